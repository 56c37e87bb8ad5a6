"""A simulated Keysight E36312A on up to three rails.

What it keeps of the real one (E36300 Series Programming Guide and data sheet): ranges, the
selected channel as default where no channel list is given, the error queue, over-voltage trip as
soon as the setting is above the level, over-current trip after the current limit was reached for
the protection delay, the trip's latch, and that clearing it brings the output back to what it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.rail import Rail
from bench.virtual.scheduler import Handle, Scheduler

VOLTS = {1: 6.18, 2: 25.75, 3: 25.75}
AMPS = {1: 5.15, 2: 1.03, 3: 1.03}
OVP = {1: 6.6, 2: 27.5, 3: 27.5}
MIN_AMPS = 0.001
MIN_OVP = 1.0
OCP_DELAY = 0.05
"""Seconds in constant current before OCP trips, after *RST."""

VOLT_STEP = {1: 1e-4, 2: 4e-4, 3: 4e-4}
AMP_STEP = {1: 1e-5, 2: 1e-5, 3: 1e-5}
"""Read-back resolution in volts and amperes."""


@dataclass(slots=True)
class _Output:
    rail: Rail
    volts: float = 0.0
    amps: float = MIN_AMPS
    ovp: float = 0.0
    ocp: bool = False
    ocp_delay: float = OCP_DELAY
    on: bool = False
    ov_tripped: bool = False
    oc_tripped: bool = False
    pending: Handle | None = field(default=None)

    @property
    def live(self) -> bool:
        return self.on and not (self.ov_tripped or self.oc_tripped)


class E36312A(ScpiInstrument):
    """`rails`: channel number -> what hangs on that output; the others drive nothing."""

    identity = "KEYSIGHT TECHNOLOGIES,E36312A,MY59001234,1.0.4-1.0.3-1.00"
    channel_numbers = (1, 2, 3)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self._scheduler = scheduler
        self._outputs = {
            n: _Output(rails[n] if n in rails else Rail(scheduler)) for n in self.channel_numbers
        }
        super().__init__()
        for number, output in self._outputs.items():
            output.rail.on_change = lambda n=number: self._watch(n)  # type: ignore[misc]
        self.reset()

    def commands(self) -> Mapping[str, Handler]:
        source = "[SOURce:]"
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        return {
            f"{source}VOLTage{level}": self._voltage,
            f"{source}CURRent{level}": self._current,
            f"{source}VOLTage:PROTection[:LEVel]": self._ovp,
            f"{source}VOLTage:PROTection:TRIPped": self._asked(lambda o: _bit(o.ov_tripped)),
            f"{source}VOLTage:PROTection:CLEar": lambda call: self._clear(call, ov=True),
            f"{source}CURRent:PROTection:STATe": self._ocp,
            f"{source}CURRent:PROTection:DELay[:TIME]": self._ocp_delay,
            f"{source}CURRent:PROTection:TRIPped": self._asked(lambda o: _bit(o.oc_tripped)),
            f"{source}CURRent:PROTection:CLEar": lambda call: self._clear(call, oc=True),
            "OUTPut[:STATe]": self._output,
            "OUTPut:PROTection:CLEar": lambda call: self._clear(call, ov=True, oc=True),
            "MEASure[:SCALar]:VOLTage[:DC]": self._measured(0),
            "MEASure[:SCALar]:CURRent[:DC]": self._measured(1),
            "STATus:QUEStionable:INSTrument:ISUMmary<n>:CONDition": self._condition,
            "INSTrument:NSELect": self._select,
        }

    def reset(self) -> None:
        self.selected = 1
        for number, output in self._outputs.items():
            output.volts, output.amps, output.ovp = 0.0, AMPS[number], OVP[number]
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = False
            output.ocp_delay = OCP_DELAY
            self._apply(number)

    # ---- settings

    def _voltage(self, call: Call) -> str | None:
        def put(number: int) -> None:
            self._outputs[number].volts = call.number(low=0, high=VOLTS[number], default=0)

        return self._setting(call, lambda o: _number(o.volts), put)

    def _current(self, call: Call) -> str | None:
        def put(number: int) -> None:
            high = AMPS[number]
            self._outputs[number].amps = call.number(low=MIN_AMPS, high=high, default=high)

        return self._setting(call, lambda o: _number(o.amps), put)

    def _ovp(self, call: Call) -> str | None:
        def put(number: int) -> None:
            high = OVP[number]
            self._outputs[number].ovp = call.number(low=MIN_OVP, high=high, default=high)

        return self._setting(call, lambda o: _number(o.ovp), put)

    def _ocp(self, call: Call) -> str | None:
        def put(number: int) -> None:
            self._outputs[number].ocp = call.switch()

        return self._setting(call, lambda o: _bit(o.ocp), put)

    def _ocp_delay(self, call: Call) -> str | None:
        def put(number: int) -> None:
            self._outputs[number].ocp_delay = call.number(low=0, high=0.255, default=OCP_DELAY)

        return self._setting(call, lambda o: _number(o.ocp_delay), put)

    def _output(self, call: Call) -> str | None:
        def put(number: int) -> None:
            self._outputs[number].on = call.switch()

        return self._setting(call, lambda o: _bit(o.on), put)

    def _setting(self, call: Call, get: Callable[[_Output], str], put: Callable[[int], None]) -> str | None:
        if call.query:
            return self._asked(get)(call)
        for number in call.channels:
            put(number)
        for number in call.channels:
            self._apply(number)
        return None

    def _asked(self, get: Callable[[_Output], str]) -> Callable[[Call], str]:
        def answer(call: Call) -> str:
            if not call.query:
                raise ScpiError(-113)
            call.nothing()
            return ",".join(get(self._outputs[number]) for number in call.channels)

        return answer

    def _select(self, call: Call) -> str | None:
        if call.query:
            return str(self.selected)
        self.selected = int(call.number(low=1, high=3))
        return None

    def _clear(self, call: Call, *, ov: bool = False, oc: bool = False) -> None:
        if call.query:
            raise ScpiError(-113)
        call.nothing()
        for number in call.channels:
            output = self._outputs[number]
            output.ov_tripped = output.ov_tripped and not ov
            output.oc_tripped = output.oc_tripped and not oc
            self._apply(number)

    # ---- readings

    def _measured(self, which: int) -> Handler:
        step = (VOLT_STEP, AMP_STEP)[which]

        def answer(call: Call) -> str:
            if not call.query:
                raise ScpiError(-113)
            call.nothing()
            readings = []
            for number in call.channels:
                reading = float(self._outputs[number].rail.measure()[which])
                readings.append(_number(round(reading / step[number]) * step[number]))
            return ",".join(readings)

        return answer

    def _condition(self, call: Call) -> str:
        if not call.query:
            raise ScpiError(-113)
        number = call.suffixes[0] if call.suffixes else self.selected
        if number not in self._outputs:
            raise ScpiError(-113)
        output = self._outputs[number]
        regulation = {"OFF": 0, "CC": 1, "CV": 2}[output.rail.measure()[2]]
        return str(regulation | output.ov_tripped << 9 | output.oc_tripped << 10)

    # ---- the output stage

    def _apply(self, number: int) -> None:
        output = self._outputs[number]
        if output.live and output.volts > output.ovp:
            output.ov_tripped = True
        if output.live:
            output.rail.drive(output.volts, output.amps)
        else:
            output.rail.off()

    def _watch(self, number: int) -> None:
        """Over-current protection: starts, keeps or stops the delay as the rail's mode says."""
        output = self._outputs[number]
        limiting = output.live and output.ocp and output.rail.measure()[2] == "CC"
        if not limiting:
            if output.pending is not None:
                output.pending.cancel()
                output.pending = None
        elif output.pending is None:
            output.pending = self._scheduler.after(output.ocp_delay, lambda: self._trip(number))

    def _trip(self, number: int) -> None:
        output = self._outputs[number]
        output.pending = None
        output.oc_tripped = True
        self._apply(number)


def _number(value: float) -> str:
    return f"{value:+.8E}"


def _bit(value: bool) -> str:
    return str(int(value))
