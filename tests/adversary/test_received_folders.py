"""`bench verify` of a folder that somebody has made to harm: 3 at once, never a hang, never "holds"."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.signoff import received
from bench.signoff.verify import verify

ROOT = Path(__file__).parents[2]
NOW = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
POSIX = pytest.mark.skipif(os.name != "posix", reason="pipes, devices and sparse files of POSIX")
PATIENCE = 120


@pytest.fixture
def folder(tmp_path):
    """One whose manifest is right, and which says that it is a GO."""
    made = tmp_path / "signoff"
    (made / "raw" / "run").mkdir(parents=True)
    (made / "signoff.json").write_text('{"decision": "GO", "schema": 3}')
    (made / "raw" / "run" / "ledger.jsonl").write_text("{}\n")
    seal(made)
    return made


def seal(made):
    """As whoever sends it would."""
    files = sorted(f for f in made.rglob("*") if f.is_file() and not f.name.startswith("manifest"))
    rows = [
        f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.relative_to(made).as_posix()}\n" for f in files
    ]
    (made / "manifest.sha256").write_text("".join(rows))


def refused(made):
    """In a process of its own: one that waits for ever is ended here, and fails."""
    code = "from bench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "verify", str(made)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "holds" not in done.stdout
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@POSIX
@pytest.mark.parametrize(
    "name", ["signoff.json", "manifest.sha256", "raw/run/ledger.jsonl", "waivers.toml", "signoff.pdf"]
)
def test_pipe(folder, name):
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert f"{name} is no file" in refused(folder)


@POSIX
@pytest.mark.parametrize("name", ["signoff.json", "manifest.sha256", "raw/run/ledger.jsonl", "raw/zero"])
def test_link_to_a_device_that_never_ends(folder, name):
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to("/dev/zero")
    assert f"{name} is a link" in refused(folder)


@POSIX
def test_link_to_itself_and_to_a_folder_above(folder):
    (folder / "raw" / "round").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    assert {"raw/round is a link", "self is a link"} <= set(verify(folder, None, NOW).differences)


@POSIX
@pytest.mark.parametrize(("name", "size"), [("signoff.json", 1 << 40), ("raw/trace.parquet", 1 << 42)])
def test_file_that_says_it_is_larger_than_any_disk(folder, name, size):
    with (folder / name).open("ab") as file:
        try:
            os.truncate(file.fileno(), size)
        except OSError:
            pytest.skip("this file system has no such files")
    assert "bytes, at most" in refused(folder)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        '{"decision": "GO", "decision": "NO-GO", "schema": 3}',
        '{"decision": "GO", "schema": 3, "made": "9999-12-31T23:59:59+00:00"}',
        '{"decision": "GO", "schema": 3, "made": "2026-01-01", "runs": []}',
        '{"decision": ["GO"]}',
        "[]",
        "GO",
        '{"decision": "GO", "schema": 3, "made": 1' + "0" * 5000 + "}",
    ],
    ids=lambda text: text[:24],
)
def test_json_that_nobody_wrote(folder, text):
    (folder / "signoff.json").write_text(text)
    seal(folder)
    refused(folder)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"kind":' * 100_000, "", "\0" * 10_000],
    ids=["lists", "tables", "empty", "zeros"],
)
def test_ledger_that_nobody_wrote(folder, text):
    (folder / "raw" / "run" / "ledger.jsonl").write_text(text)
    told = {"decision": "GO", "schema": 3, "made": "2026-01-01T00:00:00+00:00", "runs": [{"id": "run"}]}
    told |= {"doubts": [], "known": [], "comparison": None}
    (folder / "signoff.json").write_text(json.dumps(told))
    seal(folder)
    refused(folder)


def test_waivers_nested_without_end(folder):
    (folder / "waivers.toml").write_text("waiver = " + "[" * 100_000)
    told = {"decision": "GO", "schema": 3, "made": "2026-01-01T00:00:00+00:00", "runs": [{"id": "run"}]}
    told |= {"doubts": [], "known": [], "comparison": None}
    (folder / "signoff.json").write_text(json.dumps(told))
    seal(folder)
    refused(folder)


def test_folders_in_folders_without_end(folder):
    inner = folder
    for _ in range(received.DEEPEST + 4):
        inner = inner / "d"
    inner.mkdir(parents=True)
    assert any("deeper than" in text for text in verify(folder, None, NOW).differences)


def test_more_files_than_anybody_needs(folder, monkeypatch):
    monkeypatch.setattr(received, "MOST", 50)
    for number in range(60):
        (folder / "raw" / f"{number}").write_text("")
    assert any("more than 50 files" in text for text in verify(folder, None, NOW).differences)


def test_folder_that_is_none(tmp_path):
    refused(tmp_path / "nothing")
