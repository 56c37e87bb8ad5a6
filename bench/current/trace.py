"""A current trace: evenly spaced samples as whole numbers of 10 nA, read block by block.

Whole numbers sum exactly and compress well. A trace may be far larger than memory (an hour at
100,000 samples a second is 360 million), so whatever reads one goes through its blocks.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy

from bench.errors import MeasurementError

LOST = numpy.int32(-(2**31))
"""Stands where a sample was lost."""

AMPS_PER_COUNT = 10e-9
"""Amperes of one count; the largest current is 21.4 A."""

VOLTS_PER_COUNT = 10e-6
"""Volts of one count of a measured voltage."""

BLOCK = 1 << 20
"""Samples in a block: 4 MB of counts."""

SamplingKind = Literal["average", "point"]


@dataclass(frozen=True, slots=True)
class TraceInfo:
    """What a trace is: when, how often, at what voltage.

    `rate` in samples a second and `start` in seconds are by the clock named by `clock`: "meter" as
    recorded, "bench" after `Trace.aligned`. `volts` is the supply's voltage where the meter took
    none. A sample is the mean over the time to the next one ("average") or the value at its moment
    ("point").
    """

    rate: float
    start: float = 0.0
    volts: float | None = None
    meter: str = ""
    sampling: SamplingKind = "average"
    clock: Literal["meter", "bench"] = "meter"
    amps_per_count: float = AMPS_PER_COUNT

    def __post_init__(self) -> None:
        positive = {"rate": self.rate, "amps_per_count": self.amps_per_count}
        for name, value in positive.items():
            if not (math.isfinite(value) and value > 0):
                raise MeasurementError(f"trace: {name} = {value!r}", help="give a positive number")
        if not math.isfinite(self.start) or (self.volts is not None and not math.isfinite(self.volts)):
            raise MeasurementError(
                f"trace: start = {self.start!r}, volts = {self.volts!r}", help="give finite numbers"
            )


class Samples(Protocol):
    """What a meter delivers: amperes with NaN where samples were lost, and more where it has it."""

    @property
    def current(self) -> numpy.ndarray: ...
    @property
    def voltage(self) -> numpy.ndarray | None: ...
    @property
    def range(self) -> numpy.ndarray | None: ...
    @property
    def logic(self) -> numpy.ndarray | None: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Samples `first`, `first + 1`, ...: `counts` (int32, `LOST` where lost), and if the meter has it
    `volts` (int32 counts of 10 uV), `range` (uint8) and `logic` (uint8, bit 0 is input 0)."""

    first: int
    counts: numpy.ndarray
    volts: numpy.ndarray | None = None
    range: numpy.ndarray | None = None
    logic: numpy.ndarray | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def part(self, first: int, last: int) -> Block:
        """Samples `first` to before `last` of the trace, as far as they are in this block."""
        low, high = max(0, first - self.first), max(0, last - self.first)
        columns = (self.volts, self.range, self.logic)
        return Block(
            self.first + low, self.counts[low:high], *(None if c is None else c[low:high] for c in columns)
        )


def held(levels: numpy.ndarray, counts: numpy.ndarray, before: int) -> numpy.ndarray:
    """`levels` (range or logic of each sample), where a sample was lost those of the last one that was not.

    `before` is the level ahead of the first sample. A lost sample says nothing: taken as it is it would look
    like a change, and back.
    """
    lost = counts == LOST
    if not lost.any():
        return levels
    latest = numpy.maximum.accumulate(numpy.where(lost, 0, numpy.arange(1, len(levels) + 1)))
    return numpy.concatenate([numpy.array([before], dtype=levels.dtype), levels])[latest]


class Trace(ABC):
    """Samples with their times. Sample `i` begins at `info.start + i / info.rate`."""

    def __init__(self, info: TraceInfo) -> None:
        self.info = info

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        """Blocks that hold these samples; they may hold more at both ends."""

    @property
    def start(self) -> float:
        return self.info.start

    @property
    def end(self) -> float:
        """Seconds at which the last sample ends."""
        return self.info.start + len(self) / self.info.rate

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[Block]:
        """Samples `first` to before `last`, block by block, in order."""
        last = len(self) if last is None else min(last, len(self))
        first = max(0, first)
        if first >= last:
            return
        for block in self._blocks(first, last):
            yield block.part(first, last)

    def position(self, time: float) -> float:
        """Where in the trace a time (seconds by the trace's clock) lies, in samples and parts of one."""
        return (time - self.info.start) * self.info.rate

    def aligned(self, offset: float, slope: float) -> Trace:
        """The same samples by the bench's clock, which is `offset + slope * meter seconds`."""
        if self.info.clock == "bench":
            raise MeasurementError(
                f"trace of {self.info.meter or 'a meter'} is aligned already", help="align the raw trace"
            )
        start, rate = offset + slope * self.info.start, self.info.rate / slope
        return AlignedTrace(self, dataclasses.replace(self.info, start=start, rate=rate, clock="bench"))


class MemoryTrace(Trace):
    """A trace whose samples are in memory."""

    def __init__(self, info: TraceInfo, samples: Block) -> None:
        super().__init__(info)
        self._samples = samples

    @classmethod
    def of(cls, samples: Samples, info: TraceInfo) -> MemoryTrace:
        """From what a meter delivered. Raises `MeasurementError` for values that cannot be."""
        return cls(info, to_counts(samples, info))

    def __len__(self) -> int:
        return len(self._samples)

    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        for start in range(first - first % BLOCK, last, BLOCK):
            yield self._samples.part(start, start + BLOCK)


class AlignedTrace(Trace):
    """Another trace's samples with other times."""

    def __init__(self, trace: Trace, info: TraceInfo) -> None:
        super().__init__(info)
        self._trace = trace

    def __len__(self) -> int:
        return len(self._trace)

    def _blocks(self, first: int, last: int) -> Iterator[Block]:
        return self._trace._blocks(first, last)


def to_counts(samples: Samples, info: TraceInfo) -> Block:
    """A meter's floats as counts; a sample without its voltage is lost too.

    Raises `MeasurementError` for infinities and what does not fit.
    """
    voltage = samples.voltage
    volts = None if voltage is None else _counts(voltage, VOLTS_PER_COUNT, "V", info)
    block = Block(
        0,
        _counts(samples.current, info.amps_per_count, "A", info),
        volts,
        _bytes(samples.range, "range"),
        _bytes(samples.logic, "logic"),
    )
    for name, column in (("voltage", block.volts), ("range", block.range), ("logic", block.logic)):
        if column is not None and len(column) != len(block):
            raise MeasurementError(
                f"trace: {len(block)} samples of current, {len(column)} of {name}",
                help="the meter's driver must deliver them together",
            )
    if volts is not None:
        gone = volts == LOST
        block.counts[gone], volts[gone] = LOST, 0
    return block


def _bytes(values: numpy.ndarray | None, what: str) -> numpy.ndarray | None:
    if values is None:
        return None
    made = numpy.asarray(values)
    if made.dtype != numpy.uint8:
        if len(made) and (made.min() < 0 or made.max() > 255):
            raise MeasurementError(f"trace: {what} beyond 0 to 255", help="look at the meter's driver")
        made = made.astype(numpy.uint8)
    return made


def _counts(values: numpy.ndarray, unit: float, name: str, info: TraceInfo) -> numpy.ndarray:
    scaled = numpy.asarray(values, dtype=numpy.float64) / unit
    if scaled.ndim != 1:
        raise MeasurementError(f"trace: samples of shape {scaled.shape}", help="give one row of samples")
    lost = numpy.isnan(scaled)
    scaled[lost] = 0.0
    if len(scaled) and not numpy.abs(scaled).max() < 2**31 - 1:
        worst = float(scaled[numpy.argmax(numpy.abs(scaled))]) * unit
        raise MeasurementError(
            f"trace of {info.meter or 'a meter'}: {worst:g} {name} is beyond {2**31 * unit:.4g} {name}",
            help="look at the meter's range, or choose a coarser amps_per_count",
        )
    counts: numpy.ndarray = numpy.rint(scaled).astype(numpy.int32)
    counts[lost] = LOST
    return counts
