"""A simulated Siglent SPD3303X on up to two rails.

Kept of the real one (SPD3303X Quick Start, remote control): the channel in the header, no query of the
output but status bits in hexadecimal, no protections, errors as `-113  Undefined header`, and that a
command within 20 ms of the one before is lost without a word (PyFixate). In series and in parallel the second
output does as the first; a timer gives its own voltage.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

VOLTS = 32.0
AMPS = 3.2
TIMED = 12.0
"""Volts of a timer's groups."""
DEAF = 0.020
"""Seconds after a command in which it does not listen."""

INDEPENDENT, SERIES, PARALLEL = 0b01, 0b11, 0b10
TRACKS = {"0": INDEPENDENT, "1": SERIES, "2": PARALLEL}
"""Bits 2 and 3 of the status, by the parameter of `OUTP:TRACK`."""


class Spd3303x(ScpiInstrument):
    """`rails`: channel number -> what hangs on that output."""

    identity = "Siglent Technologies,SPD3303X,SPD3XGBX2R0042,1.01.01.02.05,V3.0"
    channel_numbers = (1, 2)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.outputs = {
            n: OutputStage(scheduler, rails[n] if n in rails else Rail(scheduler))
            for n in self.channel_numbers
        }
        self.lost = 0
        """Commands that came too soon."""
        self.track = INDEPENDENT
        self.timers: set[int] = set()
        self.third_is_on = False
        """CH3 is switched as the others are; its voltage is a switch at the front, its status not told."""
        self._scheduler = scheduler
        self._deaf_until = 0.0
        super().__init__()
        self.reset()

    def execute(self, line: str) -> bytes | None:
        if self._scheduler.now < self._deaf_until:
            self.lost += 1
            return None
        self._deaf_until = self._scheduler.now + DEAF - 1e-9
        return super().execute(line)

    def error_text(self, code: int, message: str) -> str:
        return f"{code}  {message}"

    def commands(self) -> Mapping[str, Handler]:
        return {
            "CH<n>:VOLTage": self._voltage,
            "CH<n>:CURRent": self._current,
            "OUTPut": self._output,
            "OUTPut:TRACK": self._track,
            "TIMEr": self._timer,
            "MEASure:VOLTage": lambda call: self._measured(call, 0),
            "MEASure:CURRent": lambda call: self._measured(call, 1),
            "MEASure:POWEr": self._power,
            "SYSTem:STATus": self._status,
        }

    def reset(self) -> None:
        self.track = INDEPENDENT
        self.timers.clear()
        for output in self.outputs.values():
            output.volts, output.amps, output.on, output.follows = 0.0, AMPS, False, None
            output.apply()

    def _voltage(self, call: Call) -> str | None:
        output = self._header(call)
        if call.query:
            return f"{output.volts:.3f}"
        volts = round(call.number(low=0, high=VOLTS), 3)
        for each in self._tied(output):
            each.volts = volts
            each.apply()
        return None

    def _current(self, call: Call) -> str | None:
        output = self._header(call)
        if call.query:
            return f"{output.amps:.3f}"
        amps = round(call.number(low=0, high=AMPS), 3)
        for each in self._tied(output):
            each.amps = amps
            each.apply()
        return None

    def _output(self, call: Call) -> None:
        if call.query or len(call.parameters) != 2:
            raise ScpiError(-113)
        if call.parameters[0].upper() == "CH3":
            self.third_is_on = Call(False, call.parameters[1:], (), ()).switch()
            return
        output = self._named(call.parameters[0])
        on = Call(False, call.parameters[1:], (), ()).switch()
        for each in self._tied(output):
            each.on = on
            each.apply()

    def _track(self, call: Call) -> None:
        if call.query or (word := call.word()) not in TRACKS:
            raise ScpiError(-113 if call.query else -224)
        self.track = TRACKS[word]

    def _timer(self, call: Call) -> None:
        if call.query or len(call.parameters) != 2:
            raise ScpiError(-113)
        output = self._named(call.parameters[0])
        number = next(n for n, o in self.outputs.items() if o is output)
        on = Call(False, call.parameters[1:], (), ()).switch()
        (self.timers.add if on else self.timers.discard)(number)
        output.follows = TIMED if on else None
        output.apply()

    def _tied(self, output: OutputStage) -> tuple[OutputStage, ...]:
        """In series and in parallel the first output's settings are the second's."""
        return (output,) if self.track == INDEPENDENT else tuple(self.outputs.values())

    def _measured(self, call: Call, which: int) -> str:
        if not call.query:
            raise ScpiError(-113)
        name = call.parameters[0] if call.parameters else "CH1"
        return f"{self._named(name).rail.measure()[which]:.3f}"

    def _power(self, call: Call) -> str:
        return f"{float(self._measured(call, 0)) * float(self._measured(call, 1)):.3f}"

    def _status(self, call: Call) -> str:
        bits = self.track << 2
        for number, output in self.outputs.items():
            bits |= (output.mode == "CC") << number - 1 | output.on << 3 + number
            bits |= (number in self.timers) << 5 + number
        return f"0x{bits:04x}"

    def _header(self, call: Call) -> OutputStage:
        number = call.suffixes[0] if call.suffixes else 0
        return self._named(f"CH{number}")

    def _named(self, name: str) -> OutputStage:
        for number, output in self.outputs.items():
            if name.upper() == f"CH{number}":
                return output
        raise ScpiError(-224)
