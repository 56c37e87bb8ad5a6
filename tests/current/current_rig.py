"""Traces made of plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from bench.current.trace import MemoryTrace, TraceInfo


@dataclass(frozen=True)
class Delivered:
    """What a meter's driver hands over."""

    current: numpy.ndarray
    voltage: numpy.ndarray | None = None
    range: numpy.ndarray | None = None
    logic: numpy.ndarray | None = None


def trace_of(amps, rate=1000.0, *, start=0.0, volts=None, voltage=None, range=None, logic=None, **info):
    made = TraceInfo(rate, start, volts, **info)
    return MemoryTrace.of(Delivered(numpy.asarray(amps, dtype=float), voltage, range, logic), made)
