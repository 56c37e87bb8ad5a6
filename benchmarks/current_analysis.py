"""What a long current trace costs: analysing 100 M samples, drawing 10 M, memory for an hour at 100 ksps.

Run `python benchmarks/current_analysis.py`. Analysing is compared, in the same run, with the time numpy
needs to read and to sum the same array twice; the goal is within three times that.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import psutil

from bench.current.phases import Phase, measure
from bench.current.trace import Block, MemoryTrace, TraceInfo
from bench.current.trace_file import StoredTrace, TraceWriter
from bench.evidence.picture.content import About
from bench.evidence.picture.draw import timeline_png
from bench.evidence.picture.lanes import Lanes

RATE = 100_000.0
ROUNDS = 5


class Delivered:
    """What a meter hands over."""

    voltage = range = logic = None

    def __init__(self, current: numpy.ndarray) -> None:
        self.current = current


def samples(count: int, seed: int = 1) -> numpy.ndarray:
    """Amperes of a board that sleeps, with bursts."""
    rng = numpy.random.default_rng(seed)
    amps = rng.gamma(2.0, 1.5e-6, count).astype(numpy.float32)
    amps[:: int(RATE) // 10] = 0.05
    return amps


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def analysis() -> None:
    counts = numpy.tile(numpy.rint(samples(1_000_000) / 10e-9).astype(numpy.int32), 100)
    trace = MemoryTrace(TraceInfo(RATE, 0.0, 3.7), Block(0, counts))
    phases = [Phase(str(n), n * 100.0, (n + 1) * 100.0) for n in range(10)]
    floor, ours = [], []
    for _ in range(ROUNDS):
        floor.append(timed(lambda: [counts.sum(dtype=numpy.int64) for _ in range(2)]))
        ours.append(timed(lambda: measure(trace, phases)))
    print(
        f"analysing 100 M samples: {statistics.median(ours):.3f} s; numpy reads and sums them twice in "
        f"{statistics.median(floor):.3f} s: {statistics.median(ours) / statistics.median(floor):.2f} times"
    )


def stored_analysis(folder: Path) -> None:
    """The same from a file. The floor reads it as it would lie there without compression, and sums it."""
    amps = numpy.tile(samples(1_000_000), 100)
    path, plain = folder / "analysis.parquet", folder / "analysis.npy"
    with TraceWriter(path, TraceInfo(RATE, 0.0, 3.7)) as writer:
        for first in range(0, len(amps), 1_000_000):
            writer.append(Delivered(amps[first : first + 1_000_000]))
    numpy.save(plain, numpy.rint(amps / 10e-9).astype(numpy.int32))
    del amps
    trace = StoredTrace(path)
    phases = [Phase(str(n), n * 100.0, (n + 1) * 100.0) for n in range(10)]
    floor = [
        timed(lambda: [numpy.load(plain).sum(dtype=numpy.int64) for _ in range(2)]) for _ in range(ROUNDS)
    ]
    ours = [timed(lambda: measure(trace, phases)) for _ in range(ROUNDS)]
    print(
        f"analysing 100 M samples from Parquet: {statistics.median(ours):.3f} s; numpy loads the plain file "
        f"and sums it twice in {statistics.median(floor):.3f} s: "
        f"{statistics.median(ours) / statistics.median(floor):.2f} times"
    )


def drawing() -> None:
    amps = samples(10_000_000)
    trace = MemoryTrace.of(Delivered(amps), TraceInfo(RATE, 0.0, 3.7, clock="bench"))
    costs = measure(trace, [Phase("downloading", 10, 60), Phase("updating", 60, 90)])
    about = About("benchmark", "a trace of 10 M samples")
    timeline_png(Lanes(0.0, 100.0), about, trace, costs)
    took = [timed(lambda: timeline_png(Lanes(0.0, 100.0), about, trace, costs)) for _ in range(ROUNDS)]
    print(f"drawing 10 M samples: {statistics.median(took):.2f} s")


def an_hour(folder: Path) -> None:
    path, process = folder / "hour.parquet", psutil.Process()
    before, peak = process.memory_info().rss, 0
    writing = time.perf_counter()
    with TraceWriter(path, TraceInfo(RATE, 0.0, 3.7)) as writer:
        for number in range(360):
            writer.append(Delivered(samples(1_000_000, number)))
            peak = max(peak, process.memory_info().rss)
    writing = time.perf_counter() - writing
    trace = StoredTrace(path)
    reading = timed(lambda: measure(trace, [Phase(str(n), n * 360.0, (n + 1) * 360.0) for n in range(10)]))
    peak = max(peak, process.memory_info().rss)
    print(
        f"an hour at 100 ksps: {path.stat().st_size / 1e6:.0f} MB on disk, written in {writing:.0f} s, "
        f"analysed in {reading:.1f} s; {peak / 1e6:.0f} MB of memory at most, {before / 1e6:.0f} MB before it"
    )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        an_hour(Path(folder))  # first: what the others hold is not its memory
        stored_analysis(Path(folder))
    analysis()
    drawing()
