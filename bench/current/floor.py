"""The sleep floor: what a board draws when it does nothing, once it really does nothing.

A sleeping board's regulator takes its charge in short pulses some 10 to 100 ms apart. A mean over a
part of a period is off by up to one pulse, so the mean is taken over whole periods.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy

from bench.current.trace import AMPS_PER_COUNT, LOST, Trace
from bench.errors import MeasurementError

MIN_POINT_RATE = 50_000.0
"""Samples a second below which points miss the pulses: 2.7 uA were read as 534 uA at 100/s."""

WINDOW = 1.0
"""Seconds of a window when looking for the moment from which nothing changes any more."""

MIN_WINDOWS = 4
MIN_PERIODS = 5
"""Fewer periods than these are no rhythm."""

MAX_SAMPLES = 64_000_000
"""Samples looked at, 256 MB: more than ten minutes at the fastest rate."""


@dataclass(frozen=True, slots=True)
class Floor:
    """`amps` is the mean over `periods` whole periods of `period` seconds (0: no pulses were seen) from
    `start` to `end` (seconds by the trace's clock). `settled` says whether the current stayed within
    the tolerance there; where it never did, the figures are those of the last windows.
    """

    amps: float
    start: float
    end: float
    periods: int
    period: float
    settled: bool
    lost: int


def find_floor(
    trace: Trace,
    start: float | None = None,
    end: float | None = None,
    *,
    tolerance: float = 0.1,
    window: float = WINDOW,
) -> Floor:
    """The floor between `start` and `end` (seconds by the trace's clock; default: all of it).

    The board has settled from the window on after which every window's mean is within `tolerance`
    (a share) of their median. A board that never settles is a finding, not an error. Raises
    `MeasurementError` where no number would be right: too short, too many samples lost, or points
    taken too slowly.
    """
    rate = trace.info.rate
    if trace.info.sampling == "point" and rate < MIN_POINT_RATE:
        raise MeasurementError(
            f"a floor from points at {rate:g}/s is meaningless: they miss the regulator's pulses",
            help=f"measure averages, or points at {MIN_POINT_RATE:g}/s and more",
        )
    first = 0 if start is None else max(0, math.ceil(trace.position(start) - 1e-6))
    last = len(trace) if end is None else min(len(trace), math.floor(trace.position(end) + 1e-6))
    length = round(window * rate)
    if length < 1 or last - first < MIN_WINDOWS * length:
        raise MeasurementError(
            f"{max(0, last - first) / rate:.3f} s are too short for a floor",
            help=f"measure for {MIN_WINDOWS * max(window, 1 / rate):g} s or more once the board sleeps",
        )
    if last - first > MAX_SAMPLES:
        raise MeasurementError(
            f"{last - first} samples are more than a floor needs",
            help=f"give at most {MAX_SAMPLES / rate:.0f} s",
        )
    counts = numpy.concatenate([block.counts for block in trace.blocks(first, last)])
    lost = counts == LOST
    gone = int(numpy.count_nonzero(lost))
    if gone > 0.01 * len(counts):
        raise MeasurementError(
            f"{gone} of {len(counts)} samples were lost", help="look at the meter's connection"
        )
    if gone:
        counts = numpy.where(lost, numpy.int32(numpy.median(counts[~lost])), counts)
    quantum = AMPS_PER_COUNT / trace.info.amps_per_count
    settled_at, settled = _settling(counts, length, tolerance, quantum)
    counts = counts[settled_at:]
    low, high, periods = _whole_periods(counts)
    mean = float(counts[low:high].sum(dtype=numpy.int64)) / (high - low)
    origin = first + settled_at
    return Floor(
        mean * trace.info.amps_per_count,
        trace.start + (origin + low) / rate,
        trace.start + (origin + high) / rate,
        periods,
        (high - low) / rate / periods if periods else 0.0,
        settled,
        gone,
    )


def _settling(counts: numpy.ndarray, length: int, tolerance: float, quantum: float) -> tuple[int, bool]:
    """The sample from which all windows agree, and whether there is one with enough windows left."""
    windows = len(counts) // length
    offset = len(counts) - windows * length  # the last windows are whole, an odd rest is at the beginning
    means = counts[offset:].reshape(windows, length).mean(axis=1, dtype=numpy.float64)
    for begin in range(windows - MIN_WINDOWS + 1):
        rest = means[begin:]
        middle = float(numpy.median(rest))
        if numpy.abs(rest - middle).max() <= max(tolerance * abs(middle), quantum):
            return offset + begin * length, True
    return offset + (windows - MIN_WINDOWS) * length, False


def _whole_periods(counts: numpy.ndarray) -> tuple[int, int, int]:
    """First and last sample, and number, of whole periods; all samples and 0 where there is no rhythm."""
    base, top = float(numpy.median(counts)), float(counts.max())
    noise = float(numpy.percentile(counts, 90)) - base
    if top - base <= 8 * max(noise, 1.0):
        return 0, len(counts), 0
    high = counts > base + (top - base) / 2
    rising = numpy.flatnonzero(high[1:] & ~high[:-1]) + 1
    if len(rising) < MIN_PERIODS + 1:
        return 0, len(counts), 0
    gaps = numpy.diff(rising)
    usual = float(numpy.median(gaps))
    starts = rising[numpy.concatenate([[True], gaps > usual / 2])]  # a pulse with two tips is one
    return int(starts[0]), int(starts[-1]), len(starts) - 1
