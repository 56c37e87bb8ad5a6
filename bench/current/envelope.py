"""Traces reduced to as many columns as a picture has: the smallest and the largest sample of each.

Not one peak is lost, be it a single sample; anything that picks samples would drop some. Pictures
are made from these, numbers never.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from bench.current.trace import LOST, VOLTS_PER_COUNT, Trace
from bench.errors import MeasurementError

_TOP = numpy.int32(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Envelope:
    """Column `i` spans `edges[i]` to `edges[i + 1]` (seconds); `low` and `high` in amperes, and `volts`,
    the lowest voltage, where it was measured. NaN where every sample was lost."""

    edges: numpy.ndarray
    low: numpy.ndarray
    high: numpy.ndarray
    volts: numpy.ndarray | None = None

    def __len__(self) -> int:
        return len(self.low)


def envelope(trace: Trace, columns: int, start: float | None = None, end: float | None = None) -> Envelope:
    """At most `columns` columns between `start` and `end` (seconds by the trace's clock; default: all).

    Raises `MeasurementError` when no sample lies there.
    """
    first = 0 if start is None else max(0, int(trace.position(start)))
    last = len(trace) if end is None else min(len(trace), int(numpy.ceil(trace.position(end))))
    if last <= first or columns < 1:
        raise MeasurementError(
            f"no samples to draw from {start} to {end} s in {columns} columns",
            help=f"the trace lasts from {trace.start:g} to {trace.end:g} s",
        )
    columns = min(columns, last - first)
    bounds = first + (last - first) * numpy.arange(columns + 1, dtype=numpy.int64) // columns
    low = numpy.full(columns, _TOP, dtype=numpy.int32)
    high = numpy.full(columns, LOST, dtype=numpy.int32)
    volts: numpy.ndarray | None = None
    for block in trace.blocks(first, last):
        begin = int(numpy.searchsorted(bounds, block.first, side="right")) - 1
        finish = int(numpy.searchsorted(bounds, block.first + len(block), side="left"))
        starts = numpy.maximum(bounds[begin:finish] - block.first, 0)
        least = numpy.minimum.reduceat(block.counts, starts)
        if (least == LOST).any():
            kept = numpy.where(block.counts == LOST, _TOP, block.counts)
            least = numpy.minimum.reduceat(kept, starts)
        numpy.minimum(low[begin:finish], least, out=low[begin:finish])
        most = numpy.maximum.reduceat(block.counts, starts)
        numpy.maximum(high[begin:finish], most, out=high[begin:finish])
        if block.volts is not None:
            volts = numpy.full(columns, _TOP, dtype=numpy.int32) if volts is None else volts
            least = numpy.minimum.reduceat(block.volts, starts)
            numpy.minimum(volts[begin:finish], least, out=volts[begin:finish])
    unit = trace.info.amps_per_count
    empty = high == LOST
    return Envelope(
        trace.start + bounds / trace.info.rate,
        numpy.where(empty, numpy.nan, low * unit),
        numpy.where(empty, numpy.nan, high * unit),
        None if volts is None else numpy.where(empty, numpy.nan, volts * VOLTS_PER_COUNT),
    )
