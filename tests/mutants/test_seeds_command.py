"""`bench seeds` through the real command: a healthy device passes, a false alarm is told and kept."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import bench_command
import psutil
import pytest
from bench_command import ROOT, STAYS

# fails with seed 1 alone: what depends on chance is what seeds are for
TESTCASE = """
from bench.firmware_update.states import State
def test_readable(dut, object5, seed):
    assert State(object5.read()[3]) is (State.IDLE if seed != 1 else State.DOWNLOADED)
"""


def seeds(testcases: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
    return bench_command.ended("seeds", testcases, "--folder", str(testcases.parent / "kept"), *options)


@pytest.fixture
def testcases(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "testcases"
    folder.mkdir()
    (folder / "test_one.py").write_text(TESTCASE, encoding="utf-8")
    return folder


def test_a_false_alarm_is_told_and_kept(testcases: pathlib.Path) -> None:
    ended = seeds(testcases, "--seeds", "0-1")
    assert ended.returncode == 1, ended.stderr
    assert "seed 0    GO            2 passed, 0 not applicable, 0 repeated" in ended.stdout
    assert "seed 1    NO-GO         0 passed" in ended.stdout
    assert "    FAILED test_one.py::test_readable[esp32]: call: assert " in ended.stdout
    assert (
        "1 of 2 seeds without a false alarm: 2 of 4 tests; below 90 % of tests with 95 % confidence"
        in ended.stdout
    )

    kept = testcases.parent / "kept"
    assert {path.name for path in kept.iterdir()} == {"seed-0.jsonl", "seed-1.jsonl", "seed-1"}
    assert "test_readable" in (kept / "seed-1" / "pytest.txt").read_text("utf-8")
    told = seeds(testcases, "--seeds", "0-5", "--kept", "--markdown")
    assert told.returncode == 1
    assert "| 0 | GO | 1/1 | 2 | 0 | 0 | none |" in told.stdout
    assert "`FAILED test_one.py::test_readable[esp32]`<br>" in told.stdout


def test_a_part_of_the_sweeps_is_told_and_counts(testcases: pathlib.Path) -> None:
    ended = seeds(testcases, "--seeds", "2,5", "--sweep-parts", "4")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 of 2 seeds without a false alarm" in ended.stdout
    told = seeds(testcases, "--seeds", "2,5", "--kept", "--markdown")
    assert "| 2 | GO | 3/4 | 2 |" in told.stdout
    assert "| 5 | GO | 2/4 | 2 |" in told.stdout


def test_a_selection_is_no_proof(testcases: pathlib.Path) -> None:
    ended = seeds(testcases, "--seeds", "3", "--select", "nrf9160")
    assert ended.returncode == 1
    assert "seed 3    INCONCLUSIVE  1 passed" in ended.stdout


@pytest.mark.parametrize("text", ["3-1", "x", "1-", ""])
def test_what_is_no_range_is_one_message(testcases: pathlib.Path, text: str) -> None:
    ended = seeds(testcases, "--seeds", text)
    assert ended.returncode == 2
    assert "Invalid value for '--seeds'" in ended.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a process is ended there without being asked")
def test_nothing_outlives_the_command(testcases: pathlib.Path) -> None:
    (testcases / "test_one.py").write_text(STAYS, encoding="utf-8")
    file = testcases.parent / "pid"
    kept = ("--folder", str(testcases.parent / "kept"))
    command = bench_command.command("seeds", testcases, "--seeds", "0", *kept)
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PID_FILE": str(file)})
    try:
        end = time.monotonic() + 120
        while not (file.exists() and file.read_text()) and time.monotonic() < end:
            time.sleep(0.1)
        pid = int(file.read_text())
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) != 0
    finally:
        started.kill()
        started.wait()
    assert not list((testcases.parent / "kept").glob("*.jsonl")), "half a run is kept as one"
    left = psutil.pid_exists(pid)
    if left:  # else it would sleep on
        psutil.Process(pid).kill()
    assert not left
