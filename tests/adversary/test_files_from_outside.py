"""Files that a user names or that somebody has handed over: none hangs or fills the bench that reads it."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import outside_files
from bench.check.images import unreadable
from bench.check.server import _not_valid
from bench.config.load import load_bench
from bench.current.baseline import Baseline
from bench.current.trace_file import StoredTrace
from bench.dut.certificates import _base64
from bench.errors import BenchError, FileError, LedgerError
from bench.evidence import coverage, ledger, measured_runs
from bench.evidence.bench_record import BenchRecord
from bench.firmware.image import load_image, read_file
from bench.firmware.image_set import FactoryPart
from bench.outside_files import DEEPEST, read_bytes, read_json, read_toml
from bench.radio import store
from bench.requirements.catalogue import read_clauses
from bench.signoff import folder, received, waivers
from bench.signoff.history import History

READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "bench file": ("bench.toml", load_bench),
    "requirements": ("list.toml", read_clauses),
    "waivers": ("waivers.toml", waivers.load),
    "image": ("app.bin", lambda path: load_image(path, container="mcuboot")),
    "package": ("package.bin", read_file),
    "factory part": ("boot.bin", lambda path: FactoryPart(0, path)),
    "certificate": ("cert.pem", lambda path: _base64("certificate", path)),
    "CA of a board": ("ca.pem", _not_valid),
    "ledger": (ledger.FILE, ledger.read),
    "sign-off": (folder.JSON, received.json_of),
    "released sign-off": (folder.JSON, lambda path: folder.decision_of(path.parent)),
    "coverage": ("coverage.json", coverage.load),
    "figures": (measured_runs.FILE, lambda path: measured_runs.read(path.parent)),
    "baseline": ("baseline.json", Baseline.load),
    "calibration": ("path.json", store.load),
    "trace": ("trace.parquet", StoredTrace),
    "record of a bench": ("b.runs.sqlite", lambda path: BenchRecord(path).read()),
    "history": ("history.sqlite", History),
}
"""What the bench reads that others may have made: how it is named, and by what it is read."""


FOLDERS = {"released sign-off"}
"""Where something else than a file is as good as nothing."""


@pytest.fixture(params=[name for name in READERS if name not in FOLDERS])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Callable[[Path], object]]:
    name, read = READERS[request.param]
    return tmp_path / name, read


def refused(reader: tuple[Path, Callable[[Path], object]]) -> str:
    """How a file is refused: with its name, and a cure."""
    path, read = reader
    with pytest.raises(BenchError) as told:
        read(path)
    assert path.name in told.value.message or path.parent.name in told.value.message
    assert told.value.help
    return told.value.message


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes among its files")
def test_a_pipe_is_not_waited_for(reader: tuple[Path, Callable[[Path], object]]) -> None:
    os.mkfifo(reader[0])
    assert "is no regular file" in refused(reader)


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="Windows has no such device")
def test_a_device_without_end_is_not_read(reader: tuple[Path, Callable[[Path], object]]) -> None:
    reader[0].symlink_to("/dev/zero")
    assert "is no regular file" in refused(reader)


def test_a_directory_is_no_file(reader: tuple[Path, Callable[[Path], object]]) -> None:
    reader[0].mkdir()
    assert "is a directory" in refused(reader)


SPARSE = {name: row for name, row in READERS.items() if name not in {"trace", "record of a bench", "history"}}
"""What is read whole; the others are read by pages, by libraries that know their own limits."""


@pytest.mark.parametrize("name", SPARSE)
def test_a_file_larger_than_any_such_is_not_read(name: str, tmp_path: Path) -> None:
    """A terabyte of nothing takes no room on a disk."""
    file, read = SPARSE[name]
    with (tmp_path / file).open("wb") as made:
        made.truncate(1 << 40)
    tracemalloc.start()
    try:
        with pytest.raises(BenchError, match="has more than"):
            read(tmp_path / file)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


JSON_READERS = ("sign-off", "released sign-off", "coverage", "figures", "baseline", "calibration")


@pytest.mark.parametrize("name", JSON_READERS)
@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1),
        '{"decision": "NO-GO", "decision": "GO"}',
        "9" * 5000,
        '{"decision": 1e999}',
        "\x00",
        "",
        "[null]",
        '"x"',
    ],
    ids=["lists", "tables", "deep", "twice", "long number", "infinite", "zero", "empty", "null", "text"],
)
def test_hostile_json_is_one_error(name: str, text: str, tmp_path: Path) -> None:
    file, read = READERS[name]
    (tmp_path / file).write_text(text, "utf-8")
    if name == "sign-off" and text.startswith('{"decision": 1e'):
        assert read(tmp_path / file) == {"decision": float("inf")}, "what it means is for another to say"
        return
    with pytest.raises(BenchError) as told:
        read(tmp_path / file)
    assert told.value.help
    assert len(str(told.value)) < 1000


@pytest.mark.parametrize("name", ["bench file", "requirements", "waivers"])
@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000, "x" + ".x" * 5000 + " = 1", "x = '''\0'''", "\xff", "x = 1\nx = 2"]
)
def test_hostile_toml_is_one_error(name: str, text: str, tmp_path: Path) -> None:
    file, read = READERS[name]
    (tmp_path / file).write_text(text, "latin-1")
    with pytest.raises(BenchError) as told:
        read(tmp_path / file)
    assert told.value.help
    assert len(str(told.value)) < 1000


def test_too_many_values_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_files, "MOST", 1000)
    (tmp_path / "many.json").write_text(str([0] * 1001), "utf-8")
    with pytest.raises(FileError, match=r"many\.json has more than 1000 values"):
        read_json(tmp_path / "many.json", "a table")
    (tmp_path / "many.toml").write_text(f"x = {[0] * 1001}", "utf-8")
    with pytest.raises(FileError, match=r"many\.toml has more than 1000 values"):
        read_toml(tmp_path / "many.toml", "a table")


def test_a_file_says_what_it_should_be(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(11))
    with pytest.raises(FileError) as told:
        read_bytes(tmp_path / "a.bin", "an image", limit=10, help="name the build")
    assert (told.value.file, told.value.reason) == (
        tmp_path / "a.bin",
        "has more than 10 bytes: that is not an image",
    )
    assert told.value.help == "name the build"
    assert read_bytes(tmp_path / "a.bin", "an image", limit=11) == bytes(11)
    (tmp_path / "link.bin").symlink_to(tmp_path / "a.bin")
    assert read_bytes(tmp_path / "link.bin", "an image", limit=11) == bytes(11), "builds are often linked"


def test_a_missing_build_has_its_cure(tmp_path: Path) -> None:
    assert unreadable(tmp_path / "absent.bin") == (
        "there is no such file",
        "build it, or correct the path, which is relative to the file that names it",
    )
    with pytest.raises(LedgerError, match="does not exist"):
        ledger.read(tmp_path / ledger.FILE)
