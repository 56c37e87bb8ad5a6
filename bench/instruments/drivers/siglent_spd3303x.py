"""Siglent SPD3303X and SPD3303X-E: two outputs of 32 V / 3.2 A, SCPI on TCP port 5025.

| command                               | use                                                       |
|---------------------------------------|-----------------------------------------------------------|
| `CH<n>:VOLT <v>`, `CH<n>:VOLT?`       | voltage setpoint, 1 mV steps (SPD3303X-E: 10 mV)          |
| `CH<n>:CURR <a>`, `CH<n>:CURR?`       | current limit, 1 mA steps (SPD3303X-E: 10 mA)             |
| `OUTP CH<n>,ON|OFF`                   | output; it cannot be asked for                            |
| `SYST:STAT?`                          | hexadecimal: bits 0, 1: CC of CH1, CH2; bits 4, 5: on    |
| `MEAS:VOLT? CH<n>`, `MEAS:CURR? CH<n>` | measured output                                          |
| `SYST:ERR?`                           | oldest error, `0  No Error` when there is none            |

Source: Siglent SPD3303X/3303X-E Quick Start, section Remote Control: command list and status bits.

It has neither OVP nor OCP over the wire, and its third output (2.5, 3.3 or 5 V by a switch on the front)
cannot be set: neither is offered here. It loses commands that come within 10 ms of each other.
"""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import Phrases, ScpiChannel, Setting
from bench.instruments.wires.transport import Transport
from bench.instruments.wires.wire import Spacing

GAP = 0.010
"""Seconds between commands, with which none is lost."""

_STEP = 5.5e-3  # an SPD3303X-E rounds to 10 mV and 10 mA
RATINGS = ChannelRatings(Range(0, 32, _STEP), Range(0.01, 3.2, _STEP), ovp=None, ocp=False)


class SiglentSpd3303x(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "SPD3303X"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.spacing = Spacing(clock, GAP)
        self._channels = {n: _Channel(self, n, RATINGS) for n in (1, 2)}

    def status(self) -> int:
        """The bits of `SYST:STAT?`."""
        reply = self.transport.query("SYST:STAT?")
        try:
            return int(reply, 16)
        except ValueError:
            raise self.transport.fault("SYST:STAT?", f"answered {reply!r}, no hexadecimal number") from None


class _Channel(ScpiChannel):
    phrases = Phrases(
        voltage=Setting(("CH{n}:VOLT {value}",), "CH{n}:VOLT?"),
        current_limit=Setting(("CH{n}:CURR {value}",), "CH{n}:CURR?"),
        output=Setting(("OUTP CH{n},{value}",)),  # the status tells
        measured_voltage="MEAS:VOLT? CH{n}",
        measured_current="MEAS:CURR? CH{n}",
        off="OFF",
        on="ON",
    )
    _supply: SiglentSpd3303x

    @property
    def regulation(self) -> Regulation:
        status = self._supply.status()
        if not status >> 3 + self.number & 1:
            return Regulation.OFF
        return Regulation.CC if status >> self.number - 1 & 1 else Regulation.CV

    @property
    def tripped(self) -> Trip | None:
        return None  # nothing of it can trip

    def _get_output(self) -> bool:
        return bool(self._supply.status() >> 3 + self.number & 1)
