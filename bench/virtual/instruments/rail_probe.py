"""What a meter's shunt sees: the rail's voltage and current as they were, exact at any moment.

Between two changes of the rail both are constant, so a point is looked up and a mean is an exact
integral, whatever the rate.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from bench.virtual.rail import Rail
from bench.virtual.scheduler import Scheduler


class RailProbe:
    """Records while it runs; forget what is no longer needed. Use with the plant's lock held."""

    def __init__(self, scheduler: Scheduler, rail: Rail) -> None:
        self._scheduler = scheduler
        self._rail = rail
        self._times: list[float] = []
        self._values: list[tuple[float, float]] = []
        self._leave: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to record, from now. Idempotent."""
        if self._leave is None:
            self._leave = self._rail.watch(self._note)
            self._note()

    def stop(self) -> None:
        """End, and drop what was recorded. Idempotent."""
        if self._leave is not None:
            self._leave()
            self._leave = None
        self._times.clear()
        self._values.clear()

    def points(self, start: float, period: float, count: int) -> numpy.ndarray:
        """Volts and amperes (an array of `count` x 2) at `start`, `start + period`, ..."""
        times, values = self._history()
        moments = start + period * numpy.arange(count)
        index = numpy.searchsorted(times, moments + 1e-12, side="right") - 1
        return values[numpy.maximum(index, 0)]

    def means(self, start: float, period: float, count: int) -> numpy.ndarray:
        """Volts and amperes (`count` x 2) averaged over the `period` from each of these moments on."""
        times, values = self._history()
        before = numpy.zeros((len(times), 2))
        numpy.cumsum(values[:-1] * numpy.diff(times)[:, None], axis=0, out=before[1:])
        edges = start + period * numpy.arange(count + 1)
        index = numpy.maximum(numpy.searchsorted(times, edges, side="right") - 1, 0)
        integral = before[index] + values[index] * (edges - times[index])[:, None]
        means: numpy.ndarray = numpy.diff(integral, axis=0) / period
        return means

    def forget(self, before: float) -> None:
        """Drop what was before this moment."""
        keep = int(numpy.searchsorted(self._times, before, side="right")) - 1
        if keep > 0:
            del self._times[:keep], self._values[:keep]

    def _note(self) -> None:
        volts, amps, _ = self._rail.measure()
        if self._times and self._times[-1] == self._scheduler.now:
            self._values[-1] = (volts, amps)
        elif not self._values or self._values[-1] != (volts, amps):
            self._times.append(self._scheduler.now)
            self._values.append((volts, amps))

    def _history(self) -> tuple[numpy.ndarray, numpy.ndarray]:
        return numpy.array(self._times), numpy.array(self._values)
