"""An attenuator with SCPI on TCP port 5025 or over HiSLIP, such as Nine Fives make: 0 to 95.25 dB, one path.

The commands, and what stands behind each, are in docs/instruments.md: range, steps, ports and HiSLIP are the
maker's documentation of Nine Fives; the header INP:ATT is SCPI-1999's and that of Keysight's optical
attenuators, and should be compared with the maker's before the first use. Other steps than 0.25 dB are given
as `step` in the bench file.

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
        self._paths = {"1": _Path(self, AttenuationRange(low, high, self.step or STEP))}


class _Path(AttenuatorPath):
    def __init__(self, instrument: ScpiAttenuator, range_: AttenuationRange) -> None:
        super().__init__(instrument.transport, "1", range_, instrument.clock)
        self._instrument = instrument

    def _get(self) -> float:
        return self._instrument.number("INP:ATT?")

    def _set(self, db: float) -> None:
        self._instrument.set(f"INP:ATT {plain(db)}")
