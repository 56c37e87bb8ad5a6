"""What a rail's boards have drawn, kept so that any meter may integrate it exactly afterwards.

Volts are those at the supply's terminals, amperes those into the boards, behind the capacitor at
their input. Between two changes of the rail both follow formulas, so a point is computed and a
mean is an exact integral, at whatever rate.
"""

from __future__ import annotations

import bisect
import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy

from bench.errors import PlantError
from bench.virtual.draw import Running
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
        self._segments: deque[_Segment] = deque(maxlen=capacity)

    def note(self, volts: float, running: tuple[Running, ...]) -> None:
        """From now on the rail has `volts` at its terminals, and this is drawn."""
        now = self._scheduler.now
        if self._segments and self._segments[-1].start == now:
            self._segments.pop()
        if self._segments:
            last = self._segments[-1]
            if last.volts == volts and last.running == running:
                return
        self._segments.append(_Segment(now, volts, running))

    @property
    def since(self) -> float:
        """The earliest moment that is still known, in simulated seconds; now when nothing is."""
        return self._segments[0].start if self._segments else self._scheduler.now

    def __len__(self) -> int:
        return len(self._segments)

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
        at = bisect.bisect_right(self._segments, start, key=lambda s: s.start)
        chosen = itertools.islice(self._segments, max(0, at - 1), None)
        following: _Segment | None = next(chosen, None)
        while following is not None and following.start <= end:
            segment, following = following, next(chosen, None)
            yield segment, now + 1e-9 if following is None else following.start
