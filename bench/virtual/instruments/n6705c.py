"""A simulated Keysight N6705C with four N6781A modules on up to four rails, their scope and data log.

Kept of the real one (N6705 Programmer's Reference): channel lists, the status bits, triggers by command,
points in steps of 5.12 us, an unfinished acquisition that answers nothing until it is done, big-endian
blocks unless `FORM:BORD SWAP`, a data log whose buffer runs over when nobody fetches.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy

from bench.virtual.instruments.scpi import Call, Handler, Reply, ScpiError
from bench.virtual.instruments.scpi_supply import (
    ScpiSupply,
    every,
    put_amps,
    put_ocp,
    put_on,
    put_ovp,
    put_volts,
    scientific,
    spans,
)
from bench.virtual.rail import Rail
from bench.virtual.scheduler import Handle, Scheduler

VOLTS = 20.4
AMPS = 3.06
OVP = 24.0
OCP_DELAY = 0.020
TICK = 5.12e-6
MAX_POINTS = 512 * 1024
SHORTEST = 102.4e-6
LONGEST = 60.0
BUFFER = 100_000
"""Records of the data log that it keeps until they are fetched."""


class N6705C(ScpiSupply):
    """`rails`: channel number -> what hangs on that output."""

    identity = "Keysight Technologies,N6705C,MY56000042,E.02.15.3372"
    channel_numbers = (1, 2, 3, 4)

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.modules = dict.fromkeys(self.channel_numbers, "N6781A")
        self.swapped = False
        super().__init__(scheduler, rails)
        self.scopes = {n: _Scope(scheduler, o.rail) for n, o in self.outputs.items()}
        self.logs = {n: _Log(scheduler, o.rail) for n, o in self.outputs.items()}

    def commands(self) -> Mapping[str, Handler]:
        numbers = self.channel_numbers
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        return {
            "SYSTem:CHANnel:COUNt": lambda call: str(len(numbers)),
            "SYSTem:CHANnel:MODel": lambda call: ",".join(f'"{self.modules[n]}"' for n in call.channels),
            f"[SOURce:]VOLTage{level}": self.value(
                lambda o: o.volts, put_volts, spans(0, every(VOLTS, numbers)), default=0
            ),
            f"[SOURce:]CURRent:LIMit[:POSitive]{level[8:]}": self.value(
                lambda o: o.amps, put_amps, spans(0.001, every(AMPS, numbers))
            ),
            "[SOURce:]VOLTage:PROTection[:LEVel]": self.value(
                lambda o: o.ovp or 0.0, put_ovp, spans(0.1, every(OVP, numbers))
            ),
            "[SOURce:]CURRent:PROTection:STATe": self.flag(lambda o: o.ocp, put_ocp),
            "OUTPut[:STATe]": self.flag(lambda o: o.on, put_on),
            "OUTPut:PROTection:CLEar": self.clears(ov=True, oc=True),
            "MEASure[:SCALar]:VOLTage[:DC]": self.measured(0, every(1e-5, numbers)),
            "MEASure[:SCALar]:CURRent[:DC]": self.measured(1, every(1e-8, numbers)),
            "STATus:OPERation:CONDition": self._operation,
            "STATus:QUEStionable:CONDition": self._questionable,
            "FORMat[:DATA]": lambda call: "REAL" if call.query else _one_of(call, "REAL"),
            "FORMat:BORDer": self._order,
            "SENSe:CURRent[:DC]:RANGe[:UPPer]": self._accept,
            "SENSe:CURRent[:DC]:RANGe:AUTO": self._accept,
            "SENSe:SWEep:TINTerval": self._interval,
            "SENSe:SWEep:POINts": self._points,
            "SENSe:SWEep:OFFSet:POINts": self._accept,
            "TRIGger:ACQuire:SOURce": self._accept,
            "INITiate[:IMMediate]:ACQuire": lambda call: self._scope(call).arm(),
            "TRIGger:ACQuire[:IMMediate]": lambda call: self._scope(call).trigger(),
            "ABORt:ACQuire": lambda call: self._scope(call).abort(),
            "FETCh:ARRay:CURRent[:DC]": self._fetch_points,
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
        for output in self.outputs.values():
            output.volts, output.amps, output.ovp, output.ocp_delay = 0.0, AMPS, OVP, OCP_DELAY
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = False
            output.apply()

    # ---- status and format

    def _operation(self, call: Call) -> str:
        def bits(number: int) -> int:
            mode = {"CV": 1, "CC": 2, "OFF": 4}[self.outputs[number].mode]
            scope = self.scopes[number]
            return mode | scope.armed << 3 | scope.measuring << 5

        return ",".join(str(bits(n)) for n in call.channels)

    def _questionable(self, call: Call) -> str:
        chosen = [self.outputs[n] for n in call.channels]
        return ",".join(str(o.ov_tripped | o.oc_tripped << 1) for o in chosen)

    def _order(self, call: Call) -> str | None:
        if call.query:
            return "SWAP" if self.swapped else "NORM"
        word = call.word()
        if word not in ("NORM", "NORMAL", "SWAP", "SWAPPED"):
            raise ScpiError(-224)
        self.swapped = word.startswith("SWAP")
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

    # ---- scope

    def _scope(self, call: Call) -> _Scope:
        call.nothing()
        return self.scopes[call.channels[0]]

    def _interval(self, call: Call) -> str | None:
        scope = self.scopes[call.channels[0]]
        if call.query:
            return scientific(scope.interval)
        wanted = call.number(low=TICK * 0.999, high=40_000)
        scope.interval = max(1, round(wanted / TICK)) * TICK
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
        if scope.result is None:
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
        log.period = max(1, round(wanted / TICK)) * TICK
        return None

    def _fetch_records(self, call: Call) -> bytes:
        limit = int(call.number(low=1, high=16_384))
        return self._block(self.logs[call.channels[0]].take(limit))


def _one_of(call: Call, *words: str) -> None:
    if call.word() not in words:
        raise ScpiError(-224)


class _Scope:
    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
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
        self.result = self._history.points(self._begun, self.interval, self.points)[:, 1]


class _Log:
    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
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
        return means
