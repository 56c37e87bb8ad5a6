"""A supply's own read-back as a current meter: slow and blind to bursts, but there is always one.

Each sample is one `MEAS:CURR?` and one `MEAS:VOLT?`: what the supply averaged over a power-line cycle or
so at that moment, and nothing between. Charge from it is a rough figure.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy

from bench.background import Background
from bench.clock import Clock
from bench.instruments.current_meter import CurrentMeter, Measuring, MeterRatings
from bench.instruments.samples import Samples, Sampling
from bench.instruments.wires.wire import Spacing

RATINGS = MeterRatings(slowest=0.01, fastest=10, modes=(Sampling.POINT,))

KEPT = 1_000_000
"""Samples kept until they are read: more than a day at the fastest rate."""


class Readings(Protocol):
    """What is asked of the supply's output."""

    def measure_voltage(self) -> float: ...
    def measure_current(self) -> float: ...


class ReadbackMeter(CurrentMeter):
    """Asks at 0, 1/rate, 2/rate, ... seconds after the start; a moment that was missed is a lost sample."""

    def __init__(self, name: str, output: Readings, clock: Clock, spacing: Spacing | None = None) -> None:
        super().__init__(f"{name} read-back", RATINGS)
        self._output = output
        self._clock = clock
        self._spacing = spacing
        self._work: Background | None = None
        self._rows: list[tuple[float, float]] = []
        self._begun = 0.0
        self._delivered = 0

    def _configure(self, rate: float, mode: Sampling, range: float | None) -> Measuring:
        return Measuring(rate, mode, range)

    def _start(self, measuring: Measuring) -> None:
        self._rows.clear()
        self._delivered = 0
        self._begun = self._clock.now()
        self._work = Background(self._clock, self._sample(measuring.rate))

    async def _sample(self, rate: float) -> None:
        count = 0
        while count < KEPT:
            await asyncio.sleep(max(0.0, self._begun + count / rate - self._clock.now()))
            late = int((self._clock.now() - self._begun) * rate + 0.01) - count
            if late > 0:
                self._rows.extend([(numpy.nan, numpy.nan)] * late)
                count += late
            await self._pause()
            amps = await self._clock.blocking(self._output.measure_current)
            await self._pause()
            volts = await self._clock.blocking(self._output.measure_voltage)
            self._rows.append((amps, volts))
            count += 1

    async def _pause(self) -> None:
        while self._spacing is not None and (seconds := self._spacing.remaining) > 0:
            await asyncio.sleep(seconds)

    def _read(self, measuring: Measuring) -> Samples:
        if self._work is not None:
            self._work.check()
        rows, self._rows = self._rows, []
        start = self._begun + self._delivered / measuring.rate
        self._delivered += len(rows)
        table = numpy.array(rows, dtype=numpy.float32).reshape(len(rows), 2)
        lost = int(numpy.count_nonzero(numpy.isnan(table[:, 0])))
        return Samples(start, measuring.rate, table[:, 0].copy(), table[:, 1].copy(), lost=lost)

    def _stop(self) -> None:
        if self._work is not None:
            work, self._work = self._work, None
            work.end()
