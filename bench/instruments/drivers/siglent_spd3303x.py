"""Siglent SPD3303X and SPD3303X-E: two outputs of 32 V / 3.2 A, SCPI on TCP port 5025.

Its commands and who confirms them: `bench/instruments/commands/siglent_spd3303x.toml`.

It has neither OVP nor OCP over the wire, and its third output (2.5, 3.3 or 5 V by a switch on the front)
cannot be set: neither is offered here. It loses commands that come soon after another. Its output can be
asked for only by `SYST:STAT?`, a hexadecimal number:

| bits | meaning                                             |
|------|-----------------------------------------------------|
| 0, 1 | CC (else CV) of CH1, CH2                            |
| 2, 3 | 01 independent, 11 series, 10 parallel              |
| 4, 5 | CH1, CH2 on                                         |
| 6, 7 | a timer sets the voltage of CH1, CH2                |
| 8, 9 | display of CH1, CH2 as a curve                      |

Source: SPD3303X Quick Start (QS0503X-E01B, p. 41 and 42); series (11): instro (siglent_spd3303).
"""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import Phrases, ScpiChannel, Setting
from bench.instruments.wires.transport import Transport
from bench.instruments.wires.wire import Spacing

GAP = 0.025
"""Seconds between commands, with which none is lost: 20 ms, and 1/6000 s for each of at most 30 characters
(PyFixate, siglent_spd_3303X; found by trial there). Siglent's programming tips: 10 to 100 ms."""

_STEP = 5.5e-3  # an SPD3303X-E rounds to 10 mV and 10 mA
RATINGS = ChannelRatings(Range(0, 32, _STEP), Range(0.01, 3.2, _STEP), ovp=None, ocp=False)

SERIES, PARALLEL = 0b11, 0b10


class SiglentSpd3303x(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "SPD3303X"
    outputs = ("1", "2")

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.spacing = Spacing(clock, GAP)
        self._channels = {n: _Channel(self, n, RATINGS) for n in (1, 2)}

    def take_over(self) -> None:
        """Outputs in series or parallel, and timers, are set back; all of it is in the status."""
        if self._tied():
            self.switch_off()
            self.set("OUTP:TRACK 0")
            if self._tied():
                raise self.transport.fault("OUTP:TRACK 0", "its outputs stay in series or in parallel")
            self.switch_off()
            self.transport.record("mode", "outputs in series or parallel were left, set to independent")
        for number in self.channels:
            if self._timed(number):
                self.channel(number).output = False
                self.set(f"TIME CH{number},OFF")
                if self._timed(number):
                    raise self.transport.fault(f"TIME CH{number},OFF", "its timer stays on")
                self.transport.record("mode", f"a timer of output {number} was left, switched off")

    def _tied(self) -> bool:
        return self.status() >> 2 & 0b11 in (SERIES, PARALLEL)

    def _timed(self, number: int) -> bool:
        return bool(self.status() >> 5 + number & 1)

    def status(self) -> int:
        """The bits of `SYST:STAT?`."""
        reply = self.transport.query("SYST:STAT?")
        try:
            return int(reply, 16)
        except ValueError:
            raise self.transport.fault("SYST:STAT?", f"answered {reply!r}, no hexadecimal number") from None

    def next_error(self) -> str:
        """`0  No Error`, or in newer firmware `+0, No error`; an empty line now and then, so once more."""
        return super().next_error() or super().next_error()


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
