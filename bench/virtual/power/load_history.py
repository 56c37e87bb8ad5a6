"""What a rail's boards have drawn, kept so that any meter may integrate it exactly afterwards.

Volts are those at the supply's terminals, amperes those into the boards, behind the capacitor at
their input. Between two changes of the rail both follow formulas, so a point is computed and a
mean is an exact integral, at whatever rate.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass

import numpy

from bench.errors import PlantError
from bench.virtual.power.draw import Running
from bench.virtual.scheduler import Scheduler

CAPACITY = 65_536
"""Changes that are kept, some 25 MB: more than ten updates."""


@dataclass(frozen=True, slots=True)
class _Segment:
    start: float
    volts: float
    running: tuple[Running, ...]


class LoadHistory:
    """The last `capacity` changes. Call it with the scheduler's lock held."""

    def __init__(self, scheduler: Scheduler, capacity: int = CAPACITY) -> None:
        self._scheduler = scheduler
        self._capacity = capacity
        # lists, as a meter looks for a place in the middle hundreds of times a second; what is more than
        # the capacity goes now and then, many at a time
        self._segments: list[_Segment] = []
        self._starts: list[float] = []

    def note(self, volts: float, running: tuple[Running, ...]) -> None:
        """From now on the rail has `volts` at its terminals, and this is drawn."""
        now = self._scheduler.now
        if self._starts and self._starts[-1] == now:
            self._segments.pop()
            self._starts.pop()
        if self._segments:
            last = self._segments[-1]
            if last.volts == volts and last.running == running:
                return
        self._segments.append(_Segment(now, volts, running))
        self._starts.append(now)
        if len(self._starts) > self._capacity + self._capacity // 4:
            del self._segments[: -self._capacity], self._starts[: -self._capacity]

    @property
    def since(self) -> float:
        """The earliest moment that is still known, in simulated seconds; now when nothing is."""
        return self._starts[-len(self)] if self._starts else self._scheduler.now

    def __len__(self) -> int:
        return min(len(self._starts), self._capacity)

    def points(self, start: float, period: float, count: int) -> numpy.ndarray:
        """Volts and amperes (`count` x 2) at `start`, `start + period`, ...

        Raises `PlantError` for moments that are forgotten or still to come.
        """
        values = numpy.zeros((count, 2))
        offsets = period * numpy.arange(count)
        for segment, end in self._between(start, start + period * max(0, count - 1)):
            first = numpy.searchsorted(offsets, segment.start - start - 1e-12)
            last = numpy.searchsorted(offsets, end - start - 1e-12)
            values[first:last, 0] = segment.volts
            for running in segment.running:
                moments = offsets[first:last] + (start - running.since)
                amps = numpy.full(len(moments), running.draw.base)
                for train in running.draw.pulses:
                    amps += train.at(moments)
                values[first:last, 1] += amps * running.factor
        return values

    def means(self, start: float, period: float, count: int) -> numpy.ndarray:
        """Volts and amperes (`count` x 2) averaged over the `period` from each of these moments on.

        Raises `PlantError` for moments that are forgotten or still to come.
        """
        values = numpy.zeros((count, 2))
        offsets = period * numpy.arange(count + 1)
        for segment, end in self._between(start, start + period * count):
            low, high = segment.start - start, end - start
            first = max(0, int(numpy.searchsorted(offsets, low, side="right")) - 1)
            last = min(count, int(numpy.searchsorted(offsets, high, side="left")))
            if last <= first:
                continue
            edges = numpy.clip(offsets[first : last + 1], low, high)
            shares = numpy.diff(edges) / period
            values[first:last, 0] += segment.volts * shares
            for running in segment.running:
                amps = running.draw.base * shares
                for train in running.draw.pulses:
                    amps += numpy.diff(train.charge(edges + (start - running.since))) / period
                values[first:last, 1] += amps * running.factor
        return values

    def charge(self, start: float, end: float) -> float:
        """Coulombs from `start` to `end`. Raises `PlantError` as `means` does."""
        return float(self.means(start, end - start, 1)[0, 1] * (end - start)) if end > start else 0.0

    def _between(self, start: float, end: float) -> Iterator[tuple[_Segment, float]]:
        """Segments that touch this time, each with its end."""
        now = self._scheduler.now
        if start < self.since - 1e-9 or end > now + 1e-9:
            raise PlantError(
                f"{start:.6f} to {end:.6f} s was asked for; the rail knows {self.since:.6f} to {now:.6f} s",
                help="read the meter more often, and never ahead of time",
            )
        for at in range(max(0, bisect.bisect_right(self._starts, start) - 1), len(self._starts)):
            if self._starts[at] > end:
                return
            last = at + 1 == len(self._starts)
            yield self._segments[at], now + 1e-9 if last else self._starts[at + 1]
