"""Scope and continuous data log of the N678x modules in an N6705C.

Its commands and who confirms them: `bench/instruments/commands/keysight_n6705c.toml`. Steps of the times, and
the 10 to 20 s for which the log keeps records: N6705 Programmer's Reference, p. 96; N6705C User's Guide
(external data logging).

The log does not use the scope's range, and begins in its largest one, where a sleeping board is noise.
Seamless ranging leaves out the 10 uA range, which must be chosen by itself (Programmer's Reference, p. 172).
"""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

import numpy

from bench.background import Background
from bench.clock import Clock
from bench.errors import InstrumentError
from bench.instruments.current_meter import CurrentMeter, Measuring, MeterRatings
from bench.instruments.samples import Samples, Sampling
from bench.instruments.wires.transport import Transport

TICK = 5.12e-6
"""Seconds: the digitizer's own interval."""
STEP = 4 * TICK
"""Seconds: the steps of longer ones, and of the log's."""

POINTS = 512 * 1024
PERIOD = 102.4e-6
LONGEST_PERIOD = 60.0
RANGES = {
    "N6781A": (10e-6, 1e-3, 0.1, 3.0),
    "N6782A": (10e-6, 1e-3, 0.1, 3.0),
    "N6785A": (1e-3, 0.1, 8.0),
}
"""Measuring ranges of each module in amperes."""

LIMIT = 10.0
"""Amperes beyond which no module reads."""

FETCH_EVERY = 0.5
"""Seconds between two looks at the log."""
RECORDS = 16_384
"""Records fetched at a time."""
KEPT = 64_000_000
"""Records kept until they are read: more than an hour at the fastest rate."""

WAITING_OR_MEASURING = 1 << 3 | 1 << 5


class Supply(Protocol):
    """What is used of the supply's driver."""

    @property
    def transport(self) -> Transport: ...
    def set(self, command: str) -> None: ...
    def number(self, query: str) -> float: ...
    def switch(self, query: str) -> bool: ...


def prepare(supply: Supply, number: int, sense: str, range: float | None) -> None:
    """Byte order, steps and range; `sense` is whose: `SENS` for the scope, `SENS:ELOG` for the log.

    Another byte order or range than the one asked for would make nonsense of everything: both are read back.
    """
    supply.set("FORM REAL")
    supply.set("FORM:BORD NORM")
    order = supply.transport.query("FORM:BORD?").strip().upper()
    if not order.startswith("NORM"):
        raise supply.transport.fault("FORM:BORD?", f"answered {order!r} after it was set to NORM")
    supply.set("SENS:SWE:TINT:RES RES20")
    header, at = f"{sense}:CURR:RANG", f"(@{number})"
    supply.set(f"{header}:AUTO {int(range is None)},{at}")
    if range is not None:
        supply.set(f"{header} {range:g},{at}")
        if (taken := supply.number(f"{header}? {at}")) < 0.99 * range:
            raise supply.transport.fault(
                f"{header}?", f"answered {taken:g} A after it was set to {range:g} A"
            )
    elif not supply.switch(f"{header}:AUTO? {at}"):
        raise supply.transport.fault(f"{header}:AUTO?", "answered off after it was switched on")


def interval_of(rate: float) -> float:
    """Seconds of the next shorter interval that the scope has: one tick, two, or whole steps."""
    wanted = 1 / rate * (1 + 1e-6)
    if wanted >= STEP:
        return math.floor(wanted / STEP) * STEP
    return 2 * TICK if wanted >= 2 * TICK else TICK


class Scope:
    """One stretch of current, digitized at up to 195 ksps."""

    def __init__(self, name: str, number: int, supply: Supply, clock: Clock) -> None:
        self.name = name
        self._number = number
        self._supply = supply
        self._clock = clock

    def capture(self, points: int, *, rate: float = 1 / TICK, range: float | None = None) -> Samples:
        """Take `points` points from now on, at the next faster rate it has; returns when they are there.

        Raises `InstrumentError` before anything is sent for what it cannot do.
        """
        if not 1 <= points <= POINTS:
            raise InstrumentError(f"{self.name}: {points} points", help=f"it takes 1 to {POINTS}")
        if not math.isfinite(rate) or not 1 <= rate <= 1.0001 / TICK:
            raise InstrumentError(f"{self.name}: rate {rate:g}/s", help=f"it takes 1 to {1 / TICK:.0f}/s")
        interval = interval_of(rate)
        supply, at = self._supply, f"(@{self._number})"
        prepare(supply, self._number, "SENS", range)
        supply.set(f"SENS:FUNC:CURR 1,{at}")
        supply.set(f"SENS:FUNC:VOLT 0,{at}")
        supply.set(f"SENS:SWE:TINT {interval:.8g},{at}")
        actual = supply.number(f"SENS:SWE:TINT? {at}")
        if abs(actual - interval) > 0.01 * interval:
            raise supply.transport.fault("SENS:SWE:TINT?", f"answered {actual:g} s, not {interval:g} s")
        supply.set(f"SENS:SWE:POIN {points},{at}")
        supply.set(f"SENS:SWE:OFFS:POIN 0,{at}")
        supply.set(f"TRIG:ACQ:SOUR BUS,{at}")
        supply.set(f"INIT:ACQ {at}")
        supply.set(f"TRIG:ACQ {at}")
        start = self._clock.now()
        self._await_end(points * actual)
        values = supply.transport.query_floats(f"FETC:ARR:CURR? {at}", big_endian=True, limit=LIMIT)
        if len(values) != points:
            raise supply.transport.fault("FETC:ARR:CURR?", f"answered {len(values)} points, not {points}")
        return Samples(start, 1 / actual, values)

    def _await_end(self, duration: float) -> None:
        # asked before the end, FETC would stay silent until then, and that is a time-out
        self._clock.sleep(duration, f"{self.name}: {duration:g} s of points")
        query = f"STAT:OPER:COND? (@{self._number})"
        for _ in range(100):
            if not int(self._supply.number(query)) & WAITING_OR_MEASURING:
                return
            self._clock.sleep(0.05, f"{self.name}: end of the acquisition")
        self._supply.set(f"ABOR:ACQ (@{self._number})")
        raise self._supply.transport.fault(query, f"says that it still measures 5 s after {duration:g} s")


class ElogMeter(CurrentMeter):
    """Gapless means of the current. Records that the instrument had to drop are an error."""

    def __init__(self, name: str, number: int, module: str, supply: Supply, clock: Clock) -> None:
        ratings = MeterRatings(1 / LONGEST_PERIOD, 1 / PERIOD, (Sampling.AVERAGE,), RANGES[module])
        super().__init__(f"{name} data log", ratings)
        self._at = f"(@{number})"
        self._number = number
        self._supply = supply
        self._clock = clock
        self._work: Background | None = None
        self._records: list[numpy.ndarray] = []
        self._begun = 0.0
        self._received = 0
        self._delivered = 0

    def _configure(self, rate: float, mode: Sampling, range: float | None) -> Measuring:
        period = max(PERIOD, math.floor(1 / rate / STEP + 1e-6) * STEP)
        prepare(self._supply, self._number, "SENS:ELOG", range)
        for command in ("FUNC:CURR 1", "FUNC:VOLT 0", "FUNC:CURR:MINM 0", f"PER {period:.8g}"):
            self._supply.set(f"SENS:ELOG:{command},{self._at}")
        actual = self._supply.number(f"SENS:ELOG:PER? {self._at}")
        if not 0.99 * period <= actual <= 1.01 * period:
            raise self._supply.transport.fault("SENS:ELOG:PER?", f"answered {actual:g} s, not {period:g} s")
        return Measuring(1 / actual, mode, range)

    def _start(self, measuring: Measuring) -> None:
        self._records.clear()
        self._received = self._delivered = 0
        self._supply.set(f"TRIG:ELOG:SOUR BUS,{self._at}")
        self._supply.set(f"INIT:ELOG {self._at}")
        self._supply.set(f"TRIG:ELOG {self._at}")
        self._begun = self._clock.now()
        self._work = Background(self._clock, self._collect(measuring.rate))

    async def _collect(self, rate: float) -> None:
        while True:
            await asyncio.sleep(FETCH_EVERY)
            await self._clock.blocking(self._fetch)
            self._compare(rate)

    def _fetch(self) -> None:
        while True:
            values = self._supply.transport.query_floats(
                f"FETC:ELOG? {RECORDS},{self._at}", big_endian=True, limit=LIMIT
            )
            if len(values):
                self._records.append(values)
                self._received += len(values)
            if len(values) < RECORDS:
                return

    def _compare(self, rate: float) -> None:
        """Fewer records than time has passed for: the instrument's buffer ran over, who knows where."""
        expected = (self._clock.now() - self._begun) * rate
        if self._received < 0.99 * expected - 2 - FETCH_EVERY * rate:
            raise self._supply.transport.fault(
                "FETC:ELOG?",
                f"gave {self._received} records where {expected:.0f} were taken: its buffer ran over",
            )
        if self._received - self._delivered > KEPT:
            raise self._supply.transport.fault("FETC:ELOG?", f"{KEPT} records were not read; call read()")

    def _read(self, measuring: Measuring) -> Samples:
        if self._work is not None:
            self._work.check()
        records, self._records = self._records, []
        values = numpy.concatenate(records) if records else numpy.empty(0, dtype=numpy.float32)
        start = self._begun + self._delivered / measuring.rate
        self._delivered += len(values)
        return Samples(start, measuring.rate, values)

    def _stop(self) -> None:
        work, self._work = self._work, None
        try:
            if work is not None:
                work.end()
            self._fetch()
        finally:
            self._supply.set(f"ABOR:ELOG {self._at}")
