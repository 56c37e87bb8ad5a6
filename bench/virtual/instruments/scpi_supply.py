"""What simulated SCPI supplies share: outputs on rails, settings asked and put output by output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.ovp_order import FREE, OvpOrder
from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

OVP_TRIPPED = 1 << 9
OCP_TRIPPED = 1 << 10
"""Bits of the condition register of one output, beside its regulation: 0 off, 1 CC, 2 CV."""


class ScpiSupply(ScpiInstrument):
    """Handlers below take a channel list, or the selected channel where the call has none."""

    ovp_order: ClassVar[OvpOrder] = FREE
    sees_terminals: ClassVar[bool] = True
    """Whether it measures at its terminals while the output is off; else it shows its own voltage, 0 V."""

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.scheduler = scheduler
        self.outputs = {
            n: OutputStage(scheduler, rails[n] if n in rails else Rail(scheduler))
            for n in self.channel_numbers
        }
        super().__init__()
        self.reset()

    def value(
        self,
        get: Callable[[OutputStage], float],
        put: Callable[[OutputStage, float], None],
        limits: Mapping[int, tuple[float, float]],
        *,
        default: float | None = None,
    ) -> Handler:
        """A numeric setting with its limits by channel; its query answers like `+3.70000000E+00`."""

        def change(call: Call, number: int) -> None:
            low, high = limits[number]
            wanted = call.number(low=low, high=high, default=high if default is None else default)
            output = self.outputs[number]
            if (put is put_volts and not self.ovp_order.takes_voltage(output, wanted)) or (
                put is put_ovp and not self.ovp_order.takes_level(output, wanted)
            ):
                raise ScpiError(-222)
            put(output, wanted)

        return self.setting(lambda o: scientific(get(o)), change)

    def flag(self, get: Callable[[OutputStage], bool], put: Callable[[OutputStage, bool], None]) -> Handler:
        """A Boolean setting."""
        return self.setting(lambda o: bit(get(o)), lambda call, n: put(self.outputs[n], call.switch()))

    def setting(self, get: Callable[[OutputStage], str], put: Callable[[Call, int], None]) -> Handler:
        asked = self.asked(get)

        def handle(call: Call) -> str | None:
            if call.query:
                return str(asked(call))
            for number in call.channels:
                put(call, number)
            for number in call.channels:
                self.outputs[number].apply()
            return None

        return handle

    def words(
        self,
        get: Callable[[OutputStage], str],
        put: Callable[[OutputStage, str], None],
        words: Mapping[str, str],
    ) -> Handler:
        """A setting that is one of `words`: as it may be written -> as it is answered."""

        def change(call: Call, number: int) -> None:
            if (wanted := words.get(call.word())) is None:
                raise ScpiError(-224)
            put(self.outputs[number], wanted)

        return self.setting(get, change)

    def asked(self, get: Callable[[OutputStage], str]) -> Handler:
        """A query without parameters, answered for each channel."""

        def answer(call: Call) -> str:
            if not call.query:
                raise ScpiError(-113)
            call.nothing()
            return ",".join(get(self.outputs[number]) for number in call.channels)

        return answer

    def measured(self, which: int, steps: Mapping[int, float]) -> Handler:
        """`MEAS:VOLT?` (which = 0) and `MEAS:CURR?` (1), rounded to the read-back step of the channel."""

        def answer(call: Call) -> str:
            if not call.query:
                raise ScpiError(-113)
            call.nothing()
            return ",".join(self._reading(n, which, steps[n]) for n in call.channels)

        return answer

    def _reading(self, number: int, which: int, step: float) -> str:
        output = self.outputs[number]
        reading = float(output.rail.measure()[which]) if output.live or self.sees_terminals else 0.0
        return scientific(round(reading / step) * step)

    def clears(self, *, ov: bool = False, oc: bool = False) -> Handler:
        """A command that unlatches."""

        def clear(call: Call) -> None:
            if call.query:
                raise ScpiError(-113)
            call.nothing()
            for number in call.channels:
                output = self.outputs[number]
                output.clear(ov=ov and self.ovp_order.clears(output), oc=oc)

        return clear

    def condition(self, call: Call) -> str:
        """`STAT:QUES:INST:ISUM<n>:COND?`."""
        number = call.suffixes[0] if call.suffixes else self.selected
        if not call.query or number not in self.outputs:
            raise ScpiError(-113)
        output = self.outputs[number]
        regulation = {"OFF": 0, "CC": 1, "CV": 2}[output.mode]
        return str(regulation | output.ov_tripped * OVP_TRIPPED | output.oc_tripped * OCP_TRIPPED)

    def select(self, call: Call) -> str | None:
        """`INST:NSEL`."""
        if call.query:
            return str(self.selected)
        self.selected = int(call.number(low=min(self.channel_numbers), high=max(self.channel_numbers)))
        return None


FIXED = {"FIX": "FIX", "FIXED": "FIX", "STEP": "STEP", "LIST": "LIST", "ARB": "ARB"}
SENSES = {"INT": "INT", "INTERNAL": "INT", "EXT": "EXT", "EXTERNAL": "EXT"}
"""What the mode of a setting and where it is sensed may be called (Keysight)."""


def put_sense(output: OutputStage, where: str) -> None:
    output.sense_open = where == "EXT"


def sense(output: OutputStage) -> str:
    return "EXT" if output.sense_open else "INT"


def put_rise_delay(output: OutputStage, seconds: float) -> None:
    output.rise_delay = seconds


def put_fall_delay(output: OutputStage, seconds: float) -> None:
    output.fall_delay = seconds


def put_volts(output: OutputStage, volts: float) -> None:
    output.volts = volts


def put_amps(output: OutputStage, amps: float) -> None:
    output.amps = amps


def put_on(output: OutputStage, on: bool) -> None:
    output.on = on


def put_ovp(output: OutputStage, volts: float) -> None:
    output.ovp = volts


def put_ocp(output: OutputStage, on: bool) -> None:
    output.ocp = on


def put_ocp_delay(output: OutputStage, seconds: float) -> None:
    output.ocp_delay = seconds


def spans(low: float, highs: Mapping[int, float]) -> dict[int, tuple[float, float]]:
    """The same lower limit for every channel."""
    return {number: (low, high) for number, high in highs.items()}


def every(value: float, numbers: Sequence[int]) -> dict[int, float]:
    return dict.fromkeys(numbers, value)


def scientific(value: float) -> str:
    return f"{value:+.8E}"


def bit(value: bool) -> str:
    return str(int(value))
