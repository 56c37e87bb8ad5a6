"""An attenuator with SCPI on TCP port 5025 or over HiSLIP, such as Nine Fives make: 0 to 95.25 dB, one path.

| command                      | use                                                                     |
|------------------------------|-------------------------------------------------------------------------|
| `INP:ATT <dB>`, `INP:ATT?`   | the attenuation                                                         |
| `INP:ATT? MIN`, `INP:ATT? MAX` | its range                                                             |
| `SYST:ERR?`                  | oldest error, `0,"No error"` when there is none                         |

Source: SCPI-1999 volume 2, INPut subsystem; range and steps, ports and HiSLIP: Nine Fives documentation,
where the maker's own command header should be compared with this table before the first use.

Addresses: `TCPIP::host::5025::SOCKET`, `TCPIP::host::hislip0::INSTR`.
"""

from __future__ import annotations

from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.scpi import ScpiInstrument, plain
from bench.instruments.wires.transport import Transport

STEP = 0.25


class ScpiAttenuator(ScpiInstrument, Attenuator[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "attenuator|Nine ?Fives"
    outputs = ("1",)

    def open(self) -> None:
        super().open()
        low, high = self.number("INP:ATT? MIN"), self.number("INP:ATT? MAX")
        self._paths = {"1": _Path(self, AttenuationRange(low, high, STEP))}


class _Path(AttenuatorPath):
    def __init__(self, instrument: ScpiAttenuator, range_: AttenuationRange) -> None:
        super().__init__(instrument.transport, "1", range_, instrument.clock)
        self._instrument = instrument

    def _get(self) -> float:
        return self._instrument.number("INP:ATT?")

    def _set(self, db: float) -> None:
        self._instrument.set(f"INP:ATT {plain(db)}")
