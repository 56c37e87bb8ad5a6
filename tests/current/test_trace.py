"""Traces: exact counts, files that hold what was delivered, bounded memory, bad input refused."""

import subprocess
import sys
import textwrap

import numpy
import pyarrow.parquet
import pytest
from current_rig import Delivered, trace_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.current.trace import BLOCK, LOST, MemoryTrace, TraceInfo
from bench.current.trace_file import StoredTrace, TraceWriter
from bench.errors import MeasurementError


def whole(trace, column="counts", first=0, last=None):
    parts = [getattr(block, column) for block in trace.blocks(first, last)]
    return numpy.concatenate(parts) if parts else numpy.array([], dtype=numpy.int32)


def test_amperes_become_counts_of_10_na():
    trace = trace_of([0.1, -2.7e-6, float("nan"), 0.0, 21.4])
    assert whole(trace).tolist() == [10_000_000, -270, LOST, 0, 2_140_000_000]


def test_a_sample_without_its_voltage_is_lost():
    trace = trace_of([0.1, 0.2], voltage=numpy.array([3.7, numpy.nan]))
    assert whole(trace).tolist() == [10_000_000, LOST]


@pytest.mark.parametrize(
    ("amps", "message"),
    [
        ([float("inf")], "inf A"),
        ([0.1, -30.0], "-30 A is beyond 21.47 A"),
        ([[0.1, 0.2]], "shape"),
    ],
)
def test_currents_that_cannot_be_are_refused(amps, message):
    with pytest.raises(MeasurementError, match=message):
        trace_of(amps)


@pytest.mark.parametrize(
    "wrong", [{"rate": 0.0}, {"rate": float("nan")}, {"rate": 1.0, "start": float("inf")}, {"rate": -5.0}]
)
def test_a_rate_or_a_start_that_cannot_be_is_refused(wrong):
    with pytest.raises(MeasurementError, match="trace: "):
        TraceInfo(**wrong)


def test_columns_of_other_lengths_and_values_are_refused():
    with pytest.raises(MeasurementError, match="2 samples of current, 3 of logic"):
        trace_of([0.1, 0.2], logic=numpy.zeros(3, dtype=numpy.uint8))
    with pytest.raises(MeasurementError, match="range beyond 0 to 255"):
        trace_of([0.1, 0.2], range=numpy.array([0, 256]))


def test_a_file_holds_what_was_delivered(tmp_path):
    generator = numpy.random.default_rng(1)
    length = BLOCK + 12_345
    amps = generator.normal(0.05, 0.01, length)
    amps[[0, 777, length - 1]] = numpy.nan
    volts = generator.normal(3.7, 0.001, length)
    ranges = generator.integers(0, 5, length).astype(numpy.uint8)
    logic = generator.integers(0, 256, length).astype(numpy.uint8)
    info = TraceInfo(100_000.0, 12.5, 3.7, "ppk2", "average")
    delivered = Delivered(amps, volts, ranges, logic)
    path = tmp_path / "run.parquet"
    with TraceWriter(path, info) as writer:
        for start in range(0, length, 100_003):
            part = slice(start, start + 100_003)
            writer.append(Delivered(amps[part], volts[part], ranges[part], logic[part]))
        writer.append(Delivered(amps[:0]))
    stored, kept = StoredTrace(path), MemoryTrace.of(delivered, info)
    assert stored.info == info
    assert len(stored) == length
    for column in ("counts", "volts", "range", "logic"):
        assert (whole(stored, column) == whole(kept, column)).all()
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet"]
    table = pyarrow.parquet.read_table(path)  # any reader sees a lost sample as null
    assert table.column("current").null_count == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_any_part_of_a_file_reads_as_that_part_of_the_array(tmp_path_factory, first, last):
    path = tmp_path_factory.getbasetemp() / "parts.parquet"
    if not path.exists():
        rows = numpy.arange(350) * 1e-6
        table = [rows[:100], rows[100:220], rows[220:]]
        with TraceWriter(path, TraceInfo(10.0)) as writer:
            for rows in table:
                writer.append(Delivered(rows))
                writer._write(len(rows))  # small row groups: every border is near
    expected = (numpy.arange(350) * 100)[first : max(first, last)]
    assert whole(StoredTrace(path), first=first, last=last).tolist() == expected.tolist()


def test_an_interrupted_recording_does_not_look_complete(tmp_path):
    def record() -> None:
        with TraceWriter(tmp_path / "run.parquet", TraceInfo(10.0)) as writer:
            writer.append(Delivered(numpy.ones(5)))
            raise RuntimeError("cable")

    with pytest.raises(RuntimeError, match="cable"):
        record()
    assert [p.name for p in tmp_path.iterdir()] == ["run.parquet.partial"]


def test_an_empty_recording_and_foreign_files_are_refused(tmp_path):
    with (
        pytest.raises(MeasurementError, match="no samples"),
        TraceWriter(tmp_path / "a.parquet", TraceInfo(1.0)),
    ):
        pass
    (tmp_path / "b.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(MeasurementError, match="not a current trace"):
        StoredTrace(tmp_path / "b.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"current": [1, 2]}), tmp_path / "c.parquet")
    with pytest.raises(MeasurementError, match="not a current trace"):
        StoredTrace(tmp_path / "c.parquet")
    with pytest.raises(MeasurementError, match="not a current trace"):
        StoredTrace(tmp_path / "absent.parquet")


def test_columns_must_not_change_while_the_meter_runs(tmp_path):
    with TraceWriter(tmp_path / "a.parquet", TraceInfo(1.0)) as writer:
        writer.append(Delivered(numpy.ones(2)))
        with pytest.raises(MeasurementError, match="columns changed"):
            writer.append(Delivered(numpy.ones(2), voltage=numpy.ones(2)))


def test_alignment_moves_times_and_nothing_else():
    trace = trace_of(numpy.arange(1000) * 1e-3, rate=100.0, start=10.0)
    aligned = trace.aligned(2.0, 1.00005)
    assert aligned.start == pytest.approx(2.0 + 10.0005)
    assert aligned.end - aligned.start == pytest.approx(10.0 * 1.00005)
    assert (whole(aligned) == whole(trace)).all()
    with pytest.raises(MeasurementError, match="aligned already"):
        aligned.aligned(0.0, 1.0)


MEMORY = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import numpy, psutil
    from bench.current.envelope import envelope
    from bench.current.phases import Phase, measure
    from bench.current.trace import TraceInfo
    from bench.current.trace_file import TraceWriter

    class Part:
        voltage = range = None
        logic = numpy.zeros(100_000, dtype=numpy.uint8)

    def peak():
        if sys.platform == "win32":
            return psutil.Process().memory_info().peak_wset
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024

    count, path = int(sys.argv[1]), Path(sys.argv[2])
    before = peak()
    generator = numpy.random.default_rng(1)
    writer = TraceWriter(path, TraceInfo(100_000.0, volts=3.7))
    for _ in range(count // 100_000):
        part = Part()
        part.current = generator.normal(0.05, 0.01, 100_000).astype(numpy.float32)
        writer.append(part)
    trace = writer.close()
    measure(trace, [Phase("all", 0.0, trace.end)])
    envelope(trace, 2000)
    print((peak() - before) / 1e6)
    """
)


def test_memory_does_not_grow_with_the_trace(tmp_path):
    """Recorded, measured and drawn in a process of its own: four times the samples, the same memory.

    An hour at 100,000 a second is 12 times the larger one here; it must fit in 300 MB.
    """
    used = []
    for count in (7_500_000, 30_000_000):
        path = tmp_path / f"{count}.parquet"
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(count), str(path)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        used.append(float(done.stdout))
    assert used[1] < 150, used
    assert used[1] < used[0] + 30, used
