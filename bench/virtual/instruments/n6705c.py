"""A simulated Keysight N6705C with four N6781A modules on up to four rails, their scope and data log.

Kept of the real one (N6705 Programmer's Reference N6705-90902, User's Guide): channel lists, the status bits,
triggers by command, times rounded to the steps it has, an acquisition of what was chosen to be measured and
nothing else, an unfinished one that answers nothing until it is done, big-endian blocks unless
`FORM:BORD SWAP`, a data log with a range of its own, whose buffer runs over when nobody fetches. A range
clips what is beyond it and resolves an 18-bit step of it; seamless ranging takes each value in the smallest
range that holds it, but for the 10 uA one.

A module refuses what it does not have: `VOLT:PROT` on an N678x (p. 464), and everything of the N678x on
others. A query that is refused is not answered. Modes stay as an earlier user has left them, and act: another
emulation, current priority, a running list, coupled outputs, open sense leads, delays, relays that open at
the set voltage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy

from bench.virtual.instruments.output_stage import OutputStage
from bench.virtual.instruments.scpi import Call, Handler, Reply, ScpiError
from bench.virtual.instruments.scpi_supply import (
    FIXED,
    SENSES,
    ScpiSupply,
    bit,
    every,
    put_amps,
    put_fall_delay,
    put_ocp,
    put_on,
    put_ovp,
    put_rise_delay,
    put_sense,
    put_volts,
    scientific,
    sense,
    spans,
)
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Handle, Scheduler

VOLTS = 20.4
AMPS = 3.06
OVP = 22.0
OCP_DELAY = 0.020
LONGEST_DELAY = 1023.0
SLOW = 5.0
"""Seconds until an output is up whose slew rate was left low."""
SMUS = ("N6781A", "N6782A", "N6784A", "N6785A", "N6786A")
WITH_RESISTANCE = ("N6781A", "N6785A")
NOT_HERE, NOT_SUPPORTED = -113, 310
"""How a module refuses."""
EMULATIONS = ("PS1Q", "PS2Q", "BATT", "CHAR", "CCL", "CVL", "VMET", "AMET")
SINKS = ("CCL", "CVL", "VMET", "AMET")
LIMITED, PROTECTED = 1 << 7, 1 << 11
"""Bits LIM+ and PROT of the questionable condition register."""
TICK = 5.12e-6
RESOLUTIONS = {"RES20": 4 * TICK, "RES40": 8 * TICK}
RANGES = (10e-6, 1e-3, 0.1, 3.0)
OVERRANGE = 1.05
STEPS = 1 << 17
"""Of its 18-bit converter, to either side of zero."""
MAX_POINTS = 512 * 1024
SHORTEST = 102.4e-6
LONGEST = 60.0
BUFFER = 100_000
"""Records of the data log that it keeps until they are fetched."""


@dataclass(slots=True)
class Modes:
    """How one module regulates, after *RST."""

    emulation: str = "PS2Q"
    priority: str = "VOLT"
    volts: str = "FIX"
    amps: str = "FIX"
    resistance: bool = False


class N6705C(ScpiSupply):
    """`rails`: channel number -> what hangs on that output."""

    identity = "Keysight Technologies,N6705C,MY56000042,E.02.15.3372"
    channel_numbers = (1, 2, 3, 4)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.modules = dict.fromkeys(self.channel_numbers, "N6781A")
        self.swapped = False
        self._levels = dict.fromkeys(self.channel_numbers, 0.0)
        self.modes = {n: Modes() for n in self.channel_numbers}
        self.coupled: frozenset[int] = frozenset()
        self.protection_coupled = False
        self.resolution = RESOLUTIONS["RES20"]
        super().__init__(scheduler, rails)
        self.scopes = {n: _Scope(scheduler, o.rail) for n, o in self.outputs.items()}
        self.logs = {n: _Log(scheduler, o.rail) for n, o in self.outputs.items()}
        for output in self.outputs.values():
            output.on_trip = self._trip_all

    def commands(self) -> Mapping[str, Handler]:
        numbers = self.channel_numbers
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        return {
            "SYSTem:CHANnel[:COUNt]": lambda call: f"{len(numbers):+d}",
            "SYSTem:CHANnel:MODel": lambda call: ",".join(self.modules[n] for n in call.channels),
            f"[SOURce:]VOLTage{level}": self.value(
                lambda o: o.volts, put_volts, spans(0, every(VOLTS, numbers)), default=0
            ),
            f"[SOURce:]CURRent:LIMit[:POSitive]{level[8:]}": self._of_smus(
                self.value(lambda o: o.amps, put_amps, spans(0.001, every(AMPS, numbers)))
            ),
            f"[SOURce:]CURRent{level}": self._priority_level,
            "[SOURce:]VOLTage:PROTection[:LEVel]": self._of_others(self._ovp()),
            "[SOURce:]VOLTage:PROTection:REMote[:POSitive][:LEVel]": self._of_smus(self._ovp()),
            "[SOURce:]VOLTage:MODE": self._transient("volts"),
            "[SOURce:]CURRent:MODE": self._transient("amps"),
            "[SOURce:]VOLTage:SENSe:SOURce": self.words(sense, put_sense, SENSES),
            "[SOURce:]VOLTage:SLEW:MAXimum": self.flag(lambda o: o.slope == 0.0, _put_fastest),
            "[SOURce:]RESistance:STATe": self._of_smus(self._switch("resistance"), WITH_RESISTANCE),
            "[SOURce:]EMULation": self._of_smus(self._emulation),
            "[SOURce:]FUNCtion": self._of_smus(self._priority),
            "ABORt:TRANsient": self._abort_transient,
            "[SOURce:]CURRent:PROTection:STATe": self.flag(lambda o: o.ocp, put_ocp),
            "OUTPut[:STATe]": self._together(self.flag(lambda o: o.on, put_on)),
            "OUTPut[:STATe]:COUPle:CHANnel": self._couple,
            "OUTPut[:STATe]:DELay:RISE": self._delay(lambda o: o.rise_delay, put_rise_delay),
            "OUTPut[:STATe]:DELay:FALL": self._delay(lambda o: o.fall_delay, put_fall_delay),
            "OUTPut[:STATe]:TMODe": self._of_smus(
                self.words(
                    lambda o: "LOWZ" if o.discharges else "HIGHZ", _put_turn_off, {w: w for w in TURN_OFF}
                )
            ),
            "OUTPut:PROTection:COUPle": self._couple_protection,
            "OUTPut:PROTection:CLEar": self.clears(ov=True, oc=True),
            "MEASure[:SCALar]:VOLTage[:DC]": self.measured(0, every(1e-5, numbers)),
            "MEASure[:SCALar]:CURRent[:DC]": self.measured(1, every(1e-8, numbers)),
            "STATus:OPERation:CONDition": self._operation,
            "STATus:QUEStionable:CONDition": self._questionable,
            "FORMat[:DATA]": lambda call: "REAL" if call.query else _one_of(call, "REAL"),
            "FORMat:BORDer": self._order,
            "SENSe:CURRent[:DC]:RANGe[:UPPer]": lambda call: self._range(call, self.scopes),
            "SENSe:CURRent[:DC]:RANGe:AUTO": lambda call: self._auto(call, self.scopes),
            "SENSe:FUNCtion:CURRent": self._measured_too("CURR"),
            "SENSe:FUNCtion:VOLTage": self._measured_too("VOLT"),
            "SENSe:SWEep:TINTerval:RESolution": self._resolution,
            "SENSe:SWEep:TINTerval": self._interval,
            "SENSe:SWEep:POINts": self._points,
            "SENSe:SWEep:OFFSet:POINts": self._accept,
            "TRIGger:ACQuire:SOURce": self._accept,
            "INITiate[:IMMediate]:ACQuire": lambda call: self._scope(call).arm(),
            "TRIGger:ACQuire[:IMMediate]": lambda call: self._scope(call).trigger(),
            "ABORt:ACQuire": lambda call: self._scope(call).abort(),
            "FETCh:ARRay:CURRent[:DC]": self._fetch_points,
            "SENSe:ELOG:CURRent[:DC]:RANGe[:UPPer]": lambda call: self._range(call, self.logs),
            "SENSe:ELOG:CURRent[:DC]:RANGe:AUTO": lambda call: self._auto(call, self.logs),
            "SENSe:ELOG:FUNCtion:CURRent": self._accept,
            "SENSe:ELOG:FUNCtion:VOLTage": self._accept,
            "SENSe:ELOG:FUNCtion:CURRent:MINMax": self._accept,
            "SENSe:ELOG:PERiod": self._period,
            "TRIGger:ELOG:SOURce": self._accept,
            "INITiate[:IMMediate]:ELOG": lambda call: self._log(call).arm(),
            "TRIGger:ELOG[:IMMediate]": lambda call: self._log(call).trigger(),
            "ABORt:ELOG": lambda call: self._log(call).stop(),
            "FETCh:ELOG": self._fetch_records,
        }

    def reset(self) -> None:
        self.swapped = False
        self._levels = dict.fromkeys(self.channel_numbers, 0.0)
        self.protection_coupled = False
        for number, output in self.outputs.items():
            self.modes[number] = Modes()
            output.volts, output.amps, output.ovp, output.ocp_delay = 0.0, AMPS, OVP, OCP_DELAY
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = output.sense_open = False
            output.held_off, output.follows, output.rise_delay, output.fall_delay = False, None, 0.0, 0.0
            output.discharges, output.slope = True, 0.0
            self._regulate(number)

    # ---- what a module has, and what an earlier user may leave

    def _of_smus(self, handler: Handler, models: tuple[str, ...] = SMUS) -> Handler:
        def handle(call: Call) -> Reply:
            if any(self.modules[n] not in models for n in call.channels):
                raise ScpiError(NOT_SUPPORTED)
            return handler(call)

        return handle

    def _of_others(self, handler: Handler) -> Handler:
        def handle(call: Call) -> Reply:
            if any(self.modules[n] in SMUS for n in call.channels):
                raise ScpiError(NOT_HERE)
            return handler(call)

        return handle

    def _ovp(self) -> Handler:
        return self.value(lambda o: o.ovp or 0.0, put_ovp, spans(0, every(OVP, self.channel_numbers)))

    def _delay(
        self, get: Callable[[OutputStage], float], put: Callable[[OutputStage, float], None]
    ) -> Handler:
        return self.value(get, put, spans(0, every(LONGEST_DELAY, self.channel_numbers)), default=0)

    def _switch(self, name: str) -> Handler:
        def handle(call: Call) -> str | None:
            if call.query:
                call.nothing()
                return ",".join(bit(getattr(self.modes[n], name)) for n in call.channels)
            for number in call.channels:
                setattr(self.modes[number], name, call.switch())
            return None

        return handle

    def _transient(self, name: str) -> Handler:
        """While a list runs (`OutputStage.follows`), it cannot be changed."""

        def handle(call: Call) -> str | None:
            if call.query:
                call.nothing()
                return ",".join(getattr(self.modes[n], name) for n in call.channels)
            if (wanted := FIXED.get(call.word())) is None:
                raise ScpiError(-224)
            for number in call.channels:
                if self.outputs[number].follows is not None:
                    raise ScpiError(308)
                setattr(self.modes[number], name, wanted)
            return None

        return handle

    def _abort_transient(self, call: Call) -> None:
        call.nothing()
        for number in call.channels:
            self.outputs[number].follows = None
            self.outputs[number].apply()

    def _emulation(self, call: Call) -> str | None:
        """A change switches off and brings the module's settings back to those after *RST (p. 562)."""
        if call.query:
            call.nothing()
            return ",".join(self.modes[n].emulation for n in call.channels)
        word = call.word()
        if (wanted := next((e for e in EMULATIONS if word.startswith(e)), None)) is None:
            raise ScpiError(-224)
        for number in call.channels:
            self._revert(number)
            self.modes[number].emulation = wanted
            self.modes[number].priority = "CURR" if wanted in ("CCL", "AMET") else "VOLT"
            self._regulate(number)
        return None

    def _priority(self, call: Call) -> str | None:
        """A change switches off and brings the module's settings back to those after *RST (User's Guide)."""
        if call.query:
            call.nothing()
            return ",".join(f'"{self.modes[n].priority}"' for n in call.channels)
        word = call.word()
        if word not in ("VOLT", "VOLTAGE", "CURR", "CURRENT"):
            raise ScpiError(-224)
        for number in call.channels:
            if self.modes[number].priority != word[:4]:
                self._revert(number)
                self.modes[number].priority = word[:4]
                self._regulate(number)
        return None

    def _revert(self, number: int) -> None:
        output = self.outputs[number]
        output.volts, output.amps, output.on = 0.0, AMPS, False

    def _regulate(self, number: int) -> None:
        output, modes = self.outputs[number], self.modes[number]
        output.sources = modes.emulation not in SINKS
        in_current = modes.priority == "CURR"
        # up to VOLT:LIM, as it is after *RST
        output.instead = (VOLTS, max(0.0, self._levels[number])) if in_current else None
        output.apply()

    def _together(self, handler: Handler) -> Handler:
        def handle(call: Call) -> Reply:
            if call.query or self.coupled.isdisjoint(call.channels):
                return handler(call)
            numbers = sorted(self.coupled | {*call.channels})
            return handler(Call(False, call.parameters, numbers, call.suffixes))

        return handle

    def _couple(self, call: Call) -> str | None:
        """Without a number: none is coupled any more. Every output goes off."""
        if call.query:
            return ",".join(map(str, sorted(self.coupled)))
        if not set(call.parameters) <= {str(n) for n in self.channel_numbers}:
            raise ScpiError(-222)
        self.coupled = frozenset(map(int, call.parameters))
        for output in self.outputs.values():
            output.on = False
            output.apply()
        return None

    def _couple_protection(self, call: Call) -> str | None:
        if call.query:
            return bit(self.protection_coupled)
        self.protection_coupled = call.switch()
        return None

    def _trip_all(self) -> None:
        if self.protection_coupled:
            for output in self.outputs.values():
                output.held_off = True
                output.apply()

    # ---- status and format

    def _operation(self, call: Call) -> str:
        def bits(number: int) -> int:
            mode = {"CV": 1, "CC": 0 if self.modules[number] in SMUS else 2, "OFF": 0}
            off = 4 * (not self.outputs[number].on)
            scope = self.scopes[number]
            return mode[self.outputs[number].mode] | off | scope.armed << 3 | scope.measuring << 5

        return ",".join(str(bits(n)) for n in call.channels)

    def _questionable(self, call: Call) -> str:
        def bits(number: int) -> int:
            output = self.outputs[number]
            limited = LIMITED * (output.mode == "CC" and self.modules[number] in SMUS)
            tripped = output.ov_tripped or output.oc_tripped or output.held_off
            return output.ov_tripped | output.oc_tripped << 1 | limited | PROTECTED * tripped

        return ",".join(str(bits(n)) for n in call.channels)

    def _order(self, call: Call) -> str | None:
        if call.query:
            return "SWAP" if self.swapped else "NORM"
        word = call.word()
        if word not in ("NORM", "NORMAL", "SWAP", "SWAPPED"):
            raise ScpiError(-224)
        self.swapped = word.startswith("SWAP")
        return None

    def _priority_level(self, call: Call) -> str | None:
        """The current that would be held in current priority; in voltage priority it does nothing."""
        if call.query:
            return ",".join(scientific(self._levels[n]) for n in call.channels)
        for number in call.channels:
            self._levels[number] = call.number(low=-AMPS, high=AMPS, default=0.0)
            if self.modes[number].priority == "CURR":
                self._regulate(number)
        return None

    def _accept(self, call: Call) -> str | None:
        """A setting that makes no difference to this plant."""
        if call.query:
            return "0"
        call.word()
        return None

    def _block(self, values: numpy.ndarray) -> bytes:
        data = values.astype("<f4" if self.swapped else ">f4").tobytes()
        size = str(len(data)).encode()
        return b"#%d%s%s" % (len(size), size, data)

    # ---- ranges

    def _range(self, call: Call, meters: Mapping[int, _Meter]) -> str | None:
        meter = meters[call.channels[0]]
        if call.query:
            return scientific(meter.range)
        wanted = call.number(low=0, high=OVERRANGE * RANGES[-1])
        meter.range = next((r for r in RANGES if r >= wanted), RANGES[-1])
        meter.auto = False
        return None

    def _auto(self, call: Call, meters: Mapping[int, _Meter]) -> str | None:
        meter = meters[call.channels[0]]
        if call.query:
            return str(int(meter.auto))
        meter.auto = call.switch()
        return None

    def _resolution(self, call: Call) -> str | None:
        if call.query:
            return next(name for name, seconds in RESOLUTIONS.items() if seconds == self.resolution)
        if (name := call.word()) not in RESOLUTIONS:
            raise ScpiError(-224)
        self.resolution = RESOLUTIONS[name]
        return None

    # ---- scope

    def _scope(self, call: Call) -> _Scope:
        call.nothing()
        return self.scopes[call.channels[0]]

    def _measured_too(self, name: str) -> Handler:
        def handle(call: Call) -> str | None:
            scope = self.scopes[call.channels[0]]
            if call.query:
                return str(int(name in scope.functions))
            scope.functions = scope.functions | {name} if call.switch() else scope.functions - {name}
            return None

        return handle

    def _interval(self, call: Call) -> str | None:
        """One tick where a single quantity is measured, else two; longer ones are rounded to steps."""
        scope = self.scopes[call.channels[0]]
        if call.query:
            return scientific(scope.interval)
        wanted = call.number(low=TICK * 0.999, high=40_000)
        step = TICK if wanted < 1.5 * TICK else 2 * TICK if wanted <= 4 * TICK else self.resolution
        scope.interval = max(len(scope.functions) * TICK, round(wanted / step) * step)
        return None

    def _points(self, call: Call) -> str | None:
        scope = self.scopes[call.channels[0]]
        if call.query:
            return str(scope.points)
        scope.points = int(call.number(low=1, high=MAX_POINTS))
        return None

    def _fetch_points(self, call: Call) -> Reply:
        scope = self.scopes[call.channels[0]]
        if scope.armed or scope.measuring:
            return None  # it answers when the acquisition is done
        if scope.result is None or "CURR" not in scope.functions:
            raise ScpiError(-230)
        return self._block(scope.result)

    # ---- data log

    def _log(self, call: Call) -> _Log:
        call.nothing()
        return self.logs[call.channels[0]]

    def _period(self, call: Call) -> str | None:
        log = self.logs[call.channels[0]]
        if call.query:
            return scientific(log.period)
        wanted = call.number(low=SHORTEST * 0.999, high=LONGEST)
        log.period = max(SHORTEST, round(wanted / self.resolution) * self.resolution)
        return None

    def _fetch_records(self, call: Call) -> bytes:
        limit = int(call.number(low=1, high=16_384))
        return self._block(self.logs[call.channels[0]].take(limit))


TURN_OFF = ("HIGHZ", "LOWZ")


def _put_fastest(output: OutputStage, on: bool) -> None:
    output.slope = 0.0 if on else SLOW


def _put_turn_off(output: OutputStage, mode: str) -> None:
    output.discharges = mode == "LOWZ"


def _one_of(call: Call, *words: str) -> None:
    if call.word() not in words:
        raise ScpiError(-224)


class _Meter:
    """What measures: in one range, or seamlessly in all of them."""

    def __init__(self) -> None:
        self.range = RANGES[-1]
        self.auto = False

    def readings(self, amps: numpy.ndarray) -> numpy.ndarray:
        taken = numpy.full(len(amps), self.range)
        if self.auto:
            seamless = RANGES[1:]
            fitting = numpy.searchsorted(seamless, numpy.abs(amps))
            taken = numpy.array(seamless)[numpy.minimum(fitting, len(seamless) - 1)]
        highest = OVERRANGE * taken
        step = taken / STEPS
        return numpy.asarray(numpy.round(numpy.clip(amps, -highest, highest) / step) * step)


class _Scope(_Meter):
    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
        super().__init__()
        self.functions: frozenset[str] = frozenset({"VOLT"})
        self.interval = TICK * 4
        self.points = 1024
        self.armed = False
        self.measuring = False
        self.result: numpy.ndarray | None = None
        self._scheduler = scheduler
        self._history = rail.history
        self._end: Handle | None = None
        self._begun = 0.0

    def arm(self) -> None:
        self.armed, self.result = True, None

    def trigger(self) -> None:
        if not self.armed:
            raise ScpiError(-211)
        self.armed, self.measuring = False, True
        self._begun = self._scheduler.now
        self._end = self._scheduler.after(self.points * self.interval, self._finish)

    def abort(self) -> None:
        self.armed = self.measuring = False
        if self._end is not None:
            self._end.cancel()

    def _finish(self) -> None:
        self.measuring = False
        self.result = self.readings(self._history.points(self._begun, self.interval, self.points)[:, 1])


class _Log(_Meter):
    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
        super().__init__()
        self.period = 0.1
        self._scheduler = scheduler
        self._history = rail.history
        self._armed = False
        self._running = False
        self._from = 0.0

    def arm(self) -> None:
        self._armed = True

    def trigger(self) -> None:
        if not self._armed:
            raise ScpiError(-211)
        self._armed, self._running = False, True
        self._from = self._scheduler.now

    def stop(self) -> None:
        self._armed = self._running = False

    def take(self, limit: int) -> numpy.ndarray:
        """The oldest records that were not taken yet; those beyond its buffer are gone."""
        if not self._running:
            return numpy.empty(0)
        there = int((self._scheduler.now - self._from) / self.period + 1e-6)
        if there > BUFFER:
            self._from += (there - BUFFER) * self.period
            there = BUFFER
        count = min(there, limit)
        means = self._history.means(self._from, self.period, count)[:, 1]
        self._from += count * self.period
        return self.readings(means)
