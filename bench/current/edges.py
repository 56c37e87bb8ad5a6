"""Moments that the bench made itself and that every meter sees: the supply comes up."""

from __future__ import annotations

import numpy

from bench.current.trace import LOST, Trace

WINDOW = 0.25
"""Seconds on either side in which the edge is looked for: what clocks and the supply may be off by."""

SILENCE = 0.02
"""Seconds without current that must lie before an edge."""

QUIET, LOUD = 100e-6, 1e-3
"""Amperes that a meter may show of a board without supply, and that one takes at least when it comes up."""


def power_up(trace: Trace, expected: float) -> float | None:
    """Seconds, by the trace's clock, of the first current after a silence near `expected`, or None."""
    info = trace.info
    if info.rate * SILENCE < 2:  # an edge that nobody could place
        return None
    first = round(trace.position(expected - WINDOW - SILENCE))
    last = round(trace.position(expected + WINDOW)) + 1
    blocks = list(trace.blocks(first, last))
    if not blocks:
        return None
    counts = numpy.concatenate([b.counts for b in blocks])
    amps = numpy.where(counts == LOST, 0.0, counts * info.amps_per_count)
    length = max(1, round(SILENCE * info.rate))
    loud = numpy.flatnonzero(amps >= LOUD)
    for index in loud:
        if index >= length:
            quiet = bool((amps[index - length : index] < QUIET).all())
            return trace.start + (blocks[0].first + int(index)) / info.rate if quiet else None
    return None
