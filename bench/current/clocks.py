"""The meter's clock against the bench's: markers that both have seen give offset and slope.

Crystals differ by some 50 ppm, which is 90 ms over half an hour: one marker is not enough, and the
moments at which chunks arrive are no markers at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from bench.current.trace import LOST, Trace, held
from bench.errors import MeasurementError

MAX_PPM = 200.0
"""Parts per million by which two crystals may differ; beyond that a marker is wrong."""

MAX_RESIDUAL = 0.002
"""Seconds by which a marker may be off the line: the jitter of a pin toggled from a PC."""

MIN_SPAN = 1.0
"""Seconds between the first marker and the last; with less, jitter decides the slope."""


@dataclass(frozen=True, slots=True)
class Marker:
    """One event by both clocks, in seconds."""

    meter: float
    bench: float


@dataclass(frozen=True, slots=True)
class ClockFit:
    """Bench seconds = `offset + slope * meter seconds`; `residual` is the worst marker's, in seconds."""

    offset: float
    slope: float
    residual: float
    first: float
    last: float

    @property
    def ppm(self) -> float:
        """How much slower the meter's clock runs, in parts per million."""
        return (self.slope - 1.0) * 1e6

    def bench(self, meter: float) -> float:
        """Bench seconds at these meter seconds."""
        return self.offset + self.slope * meter

    def meter(self, bench: float) -> float:
        """Meter seconds at these bench seconds."""
        return (bench - self.offset) / self.slope

    def align(self, trace: Trace) -> Trace:
        """The trace by the bench's clock."""
        return trace.aligned(self.offset, self.slope)


def fit_clocks(
    markers: Sequence[Marker], *, max_ppm: float = MAX_PPM, max_residual: float = MAX_RESIDUAL
) -> ClockFit:
    """The line through the markers, by least squares.

    Raises `MeasurementError` for fewer than two markers, for markers that are not in order or lie
    within a second, and where a marker contradicts the others.
    """
    if len(markers) < 2:
        raise MeasurementError(
            f"{len(markers)} clock marker(s)",
            help="give one at the beginning and one at the end of the trace",
        )
    meter = numpy.array([m.meter for m in markers], dtype=numpy.float64)
    bench = numpy.array([m.bench for m in markers], dtype=numpy.float64)
    if not (numpy.isfinite(meter).all() and numpy.isfinite(bench).all()):
        raise MeasurementError("a clock marker is not a finite time", help="look at how it was taken")
    for name, times in (("meter", meter), ("bench", bench)):
        if not (numpy.diff(times) > 0).all():
            raise MeasurementError(
                f"clock markers are not in order by the {name}'s clock: {times.tolist()}",
                help="sort them, and pair each pulse with its own toggle",
            )
    if meter[-1] - meter[0] < MIN_SPAN:
        raise MeasurementError(
            f"clock markers span only {meter[-1] - meter[0]:.3f} s",
            help="set one at the beginning and one at the end of the trace",
        )
    x, y = meter - meter.mean(), bench - bench.mean()  # centred: nothing is lost to large times
    slope = float(numpy.dot(x, y) / numpy.dot(x, x))
    residual = float(numpy.abs(y - slope * x).max())
    if not abs(slope - 1.0) * 1e6 <= max_ppm:
        raise MeasurementError(
            f"the meter's clock would be off by {(slope - 1.0) * 1e6:.0f} ppm",
            help=f"crystals differ by less than {max_ppm:g} ppm: is a marker wrong, or were samples lost?",
        )
    if residual > max_residual:
        raise MeasurementError(
            f"a clock marker is {residual * 1e3:.2f} ms off the line",
            help=f"no more than {max_residual * 1e3:g} ms are plausible: were samples lost in between?",
        )
    offset = float(bench.mean() - slope * meter.mean())
    return ClockFit(offset, slope, residual, float(meter[0]), float(meter[-1]))


def marker_times(trace: Trace, bit: int) -> list[float]:
    """Meter seconds at which logic input `bit` rose, to a sample.

    Raises `MeasurementError` for a meter without inputs.
    """
    times: list[float] = []
    level: int | None = None
    for block in trace.blocks():
        if block.logic is None:
            raise MeasurementError(
                f"{trace.info.meter or 'the meter'} recorded no logic inputs",
                help="wire the marker to a meter that has them",
            )
        levels = (block.logic >> bit & 1).astype(numpy.int8)
        if level is None:
            there = levels[block.counts != LOST]
            level = int(there[0]) if len(there) else None
        if level is None:  # a block without a sample
            continue
        levels = held(levels, block.counts, level)
        rising = numpy.flatnonzero(numpy.diff(levels, prepend=numpy.int8(level)) > 0)
        times += [trace.start + (block.first + int(i)) / trace.info.rate for i in rising]
        level = int(levels[-1])
    return times


def pair_markers(meter: Sequence[float], bench: Sequence[float]) -> list[Marker]:
    """Markers from the pulses the meter saw and the toggles the bench made, in order.

    Raises `MeasurementError` when their numbers differ: no guess is made which one is missing.
    """
    if len(meter) != len(bench):
        raise MeasurementError(
            f"the meter saw {len(meter)} marker pulses, the bench made {len(bench)}",
            help="look at the marker's wire, and whether the meter ran at each",
        )
    for time in (*meter, *bench):
        if not math.isfinite(time):
            raise MeasurementError(f"a clock marker is at {time!r} s", help="look at how it was taken")
    return [Marker(m, b) for m, b in zip(meter, bench, strict=True)]
