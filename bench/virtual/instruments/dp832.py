"""A simulated Rigol DP832 on up to three rails.

Kept of the real one (DP800 Programming Guide and specifications): the channel as a parameter, in the header,
or the selected one; ON, OFF, YES and NO as replies; setpoints rounded to 10 mV and 1 mA; an over-current
level apart from the current limit; trips that switch the output off and stay latched. CH1 and CH2 can track
each other's voltage; a timer and a delayer act on the selected output, and stay as an earlier user left them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

VOLTS = {1: 32.0, 2: 32.0, 3: 5.3}
OVP = {1: 33.0, 2: 33.0, 3: 5.5}
AMPS = 3.2
RATED = {1: "30V/3A", 2: "30V/3A", 3: "5V/3A"}
OCP = 3.3
VOLT_STEP = 0.01
AMP_STEP = 0.001
TRACKED = {1: 2, 2: 1}
TIMED = 1.0
"""Volts of a timer's groups as they are at first."""


class Dp832(ScpiInstrument):
    """`rails`: channel number -> what hangs on that output."""

    identity = "RIGOL TECHNOLOGIES,DP832,DP8C180200042,00.01.16"
    channel_numbers = (1, 2, 3)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.outputs = {
            n: OutputStage(scheduler, rails[n] if n in rails else Rail(scheduler))
            for n in self.channel_numbers
        }
        self.ovp_levels = dict(OVP)
        self.ocp_levels = dict.fromkeys(self.channel_numbers, OCP)
        self.tracking: set[int] = set()
        self.timers: set[int] = set()
        self.delayers: set[int] = set()
        super().__init__()
        self.reset()

    def commands(self) -> Mapping[str, Handler]:
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        over_current = dict.fromkeys(self.channel_numbers, OCP)
        return {
            "INSTrument:NSELect": self._select,
            "INSTrument[:SELect]": self._select,
            f"[SOURce<n>:]VOLTage{level}": self._voltage,
            f"[SOURce<n>:]CURRent{level}": self._current,
            "[SOURce<n>:]VOLTage:PROTection[:LEVel]": self._level(self.ovp_levels, OVP, VOLT_STEP),
            "[SOURce<n>:]CURRent:PROTection[:LEVel]": self._level(self.ocp_levels, over_current, AMP_STEP),
            "[SOURce<n>:]VOLTage:PROTection:STATe": self._on_off(lambda o: o.ovp is not None, self._put_ovp),
            "[SOURce<n>:]CURRent:PROTection:STATe": self._on_off(lambda o: o.ocp, _put_ocp),
            "OUTPut[:STATe]": self._on_off(lambda o: o.on, _put_on),
            "OUTPut:OVP[:STATe]": self._on_off(lambda o: o.ovp is not None, self._put_ovp),
            "OUTPut:OCP[:STATe]": self._on_off(lambda o: o.ocp, _put_ocp),
            "OUTPut:OVP:VALue": self._level(self.ovp_levels, OVP, VOLT_STEP),
            "OUTPut:OCP:VALue": self._level(self.ocp_levels, over_current, AMP_STEP),
            "OUTPut:OVP:QUES": self._asked(lambda o: "YES" if o.ov_tripped else "NO"),
            "OUTPut:OCP:QUES": self._asked(lambda o: "YES" if o.oc_tripped else "NO"),
            "OUTPut:OVP:CLEAR": self._clears(ov=True, oc=False),
            "OUTPut:OCP:CLEAR": self._clears(ov=False, oc=True),
            "OUTPut:MODE": self._asked(_mode),
            "OUTPut:CVCC": self._asked(_mode),
            "OUTPut:TRACk": self._track,
            "TIMEr[:STATe]": self._runs(self.timers),
            "DELAY[:STATe]": self._runs(self.delayers),
            "MEASure:VOLTage[:DC]": self._asked(lambda o: f"{o.rail.measure()[0]:.4f}"),
            "MEASure:CURRent[:DC]": self._asked(lambda o: f"{o.rail.measure()[1]:.4f}"),
            "MEASure:POWEr[:DC]": self._asked(_watts),
            "MEASure:ALL[:DC]": self._asked(_everything),
            "APPLy": self._both,
        }

    def error_text(self, code: int, message: str) -> str:
        return f'{code},"{message}"'

    def reset(self) -> None:
        self.selected = 1
        for modes in (self.tracking, self.timers, self.delayers):
            modes.clear()
        for number, output in self.outputs.items():
            output.volts, output.amps = 0.0, 3.0
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = False
            output.ovp = output.follows = None
            self.ovp_levels[number], self.ocp_levels[number] = OVP[number], OCP
            self._apply(number)

    def _apply(self, number: int) -> None:
        output = self.outputs[number]
        if output.ovp is not None:
            output.ovp = self.ovp_levels[number]
        output.ocp_level = self.ocp_levels[number]
        output.apply()
        self._fall(output)

    @staticmethod
    def _fall(output: OutputStage) -> None:
        if output.ov_tripped or output.oc_tripped:
            output.on = False  # a trip switches the output itself off

    def _voltage(self, call: Call) -> str | None:
        number = self._source(call)
        if call.query:
            return f"{self.outputs[number].volts:.3f}"
        volts = call.number(low=0, high=VOLTS[number], default=0)
        for each in (number, TRACKED[number]) if number in self.tracking else (number,):
            self.outputs[each].volts = round(volts / VOLT_STEP) * VOLT_STEP
            self._apply(each)
        return None

    def _track(self, call: Call) -> str | None:
        number, rest = self._named(call)
        if call.query:
            return "NONE" if number not in TRACKED else "ON" if number in self.tracking else "OFF"
        if number not in TRACKED:
            raise ScpiError(-224)
        self.tracking = self.tracking - {number} | ({number} if Call(False, rest, (), ()).switch() else set())
        return None

    def _runs(self, outputs: set[int]) -> Handler:
        """A timer or delayer of the selected output; the timer's first group holds for ever here."""

        def handle(call: Call) -> str | None:
            if call.query:
                return "ON" if self.selected in outputs else "OFF"
            (outputs.add if call.switch() else outputs.discard)(self.selected)
            self.outputs[self.selected].follows = TIMED if self.selected in self.timers else None
            self._apply(self.selected)
            return None

        return handle

    def _current(self, call: Call) -> str | None:
        number = self._source(call)
        if call.query:
            return f"{self.outputs[number].amps:.3f}"
        amps = call.number(low=0, high=AMPS, default=AMPS)
        self.outputs[number].amps = round(amps / AMP_STEP) * AMP_STEP
        self._apply(number)
        return None

    def _both(self, call: Call) -> str | None:
        """`APPL CH1,3.7,0.5` selects too; `APPL? CH1` answers `CH1:30V/3A,3.700,0.5000` (guide, 2-9)."""
        number, rest = self._named(call)
        output = self.outputs[number]
        if call.query:
            return f"CH{number}:{RATED[number]},{output.volts:.3f},{output.amps:.4f}"
        self.selected = number
        for put, value in zip((self._voltage, self._current), rest, strict=False):
            put(Call(False, [value], (), (number,)))
        return None

    def _select(self, call: Call) -> str | None:
        if call.query:
            return str(self.selected)
        name = call.word().removeprefix("CH")
        if name not in ("1", "2", "3"):
            raise ScpiError(-224)
        self.selected = int(name)
        return None

    def _source(self, call: Call) -> int:
        number = call.suffixes[0] if call.suffixes else self.selected
        if number not in self.outputs:
            raise ScpiError(-113)
        return number

    def _named(self, call: Call) -> tuple[int, list[str]]:
        """The output that the header, the first parameter or else the selection names; further parameters."""
        rest = list(call.parameters)
        if not rest or not rest[0].upper().startswith("CH"):
            return self._source(call), rest
        name = rest.pop(0).upper()
        if name not in ("CH1", "CH2", "CH3"):
            raise ScpiError(-224)
        return int(name[2:]), rest

    def _on_off(
        self, get: Callable[[OutputStage], bool], put: Callable[[OutputStage, bool], None]
    ) -> Handler:
        def handle(call: Call) -> str | None:
            number, rest = self._named(call)
            output = self.outputs[number]
            self._fall(output)
            if call.query:
                return "ON" if get(output) else "OFF"
            put(output, Call(False, rest, (), ()).switch())
            self._apply(number)
            return None

        return handle

    def _put_ovp(self, output: OutputStage, on: bool) -> None:
        output.ovp = 0.0 if on else None  # the level is filled in when it is applied

    def _level(self, levels: dict[int, float], highs: Mapping[int, float], step: float) -> Handler:
        def handle(call: Call) -> str | None:
            number, rest = self._named(call)
            if call.query:
                return f"{levels[number]:.3f}"
            value = Call(False, rest, (), ()).number(low=0.001, high=highs[number])
            levels[number] = round(value / step) * step
            self._apply(number)
            return None

        return handle

    def _asked(self, get: Callable[[OutputStage], str]) -> Handler:
        def handle(call: Call) -> str:
            if not call.query:
                raise ScpiError(-113)
            number, _ = self._named(call)
            self._fall(self.outputs[number])
            return get(self.outputs[number])

        return handle

    def _clears(self, *, ov: bool, oc: bool) -> Handler:
        def handle(call: Call) -> None:
            number, _ = self._named(call)
            self._fall(self.outputs[number])
            self.outputs[number].clear(ov=ov, oc=oc)

        return handle


def _mode(output: OutputStage) -> str:
    return "CC" if output.mode == "CC" else "CV"


def _watts(output: OutputStage) -> str:
    volts, amps, _ = output.rail.measure()
    return f"{volts * amps:.3f}"


def _everything(output: OutputStage) -> str:
    volts, amps, _ = output.rail.measure()
    return f"{volts:.4f},{amps:.4f},{_watts(output)}"


def _put_on(output: OutputStage, on: bool) -> None:
    output.on = on


def _put_ocp(output: OutputStage, on: bool) -> None:
    output.ocp = on
