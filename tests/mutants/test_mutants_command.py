"""`bench mutants` through the real command: what kills, what survives, what judges nothing, exit codes."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import bench_command
import psutil
import pytest
from bench_command import BENCH, ROOT, STAYS

from bench.virtual.defects.registry import defect_named
from bench.virtual.many_runs import running
from bench.virtual.mutants import apart, forked
from bench.virtual.mutants.job import job_of
from bench.virtual.mutants.outcome import Fate
from bench.virtual.mutants.run import CAN_FORK

PYTEST = (sys.executable, "-m", "pytest")
KILLING = """
from bench.firmware_update.states import State
def test_readable(dut, object5):
    assert State(object5.read()[3]) is State.IDLE
"""
BLIND = """
def test_nothing(dut):
    assert dut.name
"""
TELLING = """
import pytest
from bench.firmware_update.states import State
@pytest.mark.requirement("OMA-5-3-reset-removes")
def test_readable(dut, object5, recommended):
    with recommended("OMA-5-3-reset-removes"):
        assert State(object5.read()[3]) is State.IDLE
"""
CRASHING = """
import os
def test_crash(dut):
    os.abort()
"""
BROKEN_BENCH = """
from bench.errors import InstrumentError
def test_broken(dut):
    raise InstrumentError("the supply is gone")
"""


def mutants(testcases: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
    return bench_command.ended("mutants", testcases, *options)


@pytest.fixture
def testcases(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "testcases"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("text", "fate", "code"),
    [
        (KILLING, "killed", 0),
        (TELLING, "killed", 0),
        (BLIND, "survived", 1),
        (BROKEN_BENCH, "not judged", 1),
        (CRASHING, "not judged", 1),
    ],
    ids=["killed", "recommended", "survived", "not-judged", "crashed"],
)
def test_fate_of_a_mutant(testcases: pathlib.Path, text: str, fate: str, code: int) -> None:
    (testcases / "test_one.py").write_text(text, encoding="utf-8")
    ended = mutants(testcases, "--only", "states-numbered-from-one", "-v")
    assert ended.returncode == code, ended.stderr
    assert ended.stdout.startswith(fate)
    assert "States are reported one too high." in ended.stdout


def test_hints_are_tried_first_and_the_message_names_the_problem(testcases: pathlib.Path) -> None:
    (testcases / "test_a_blind.py").write_text(BLIND, encoding="utf-8")
    (testcases / "test_resources.py").write_text(
        KILLING.replace("test_readable", "test_readable_resources"), encoding="utf-8"
    )
    ended = mutants(testcases, "--only", "states-numbered-from-one", "--markdown")
    assert ended.returncode == 0, ended.stderr
    assert "| `states-numbered-from-one` | States are reported one too high. |" in ended.stdout
    assert "`test_resources.py::test_readable_resources[esp32]`" in ended.stdout
    assert "State.DOWNLOADING: 1> is <State.IDLE: 0" in ended.stdout
    assert "mutation score 100 %: 1 of 1 killed" in ended.stdout


def test_an_unknown_defect_is_one_message(testcases: pathlib.Path) -> None:
    ended = mutants(testcases, "--only", "no-such-thing")
    assert ended.returncode == 3
    assert "no seeded defect is called 'no-such-thing'" in ended.stderr


def test_a_run_with_a_defect_says_so_first(testcases: pathlib.Path) -> None:
    (testcases / "test_one.py").write_text(BLIND, encoding="utf-8")
    ended = subprocess.run(
        [*PYTEST, str(testcases), "--collect-only", "--defect", "never-confirmed", *BENCH],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "SEEDED DEFECT: never-confirmed" in ended.stdout


@pytest.mark.parametrize(("text", "fate"), [(KILLING, Fate.KILLED), (BLIND, Fate.SURVIVED)])
def test_a_process_for_each_mutant_finds_the_same(testcases: pathlib.Path, text: str, fate: Fate) -> None:
    """The way of systems that cannot fork."""
    (testcases / "test_one.py").write_text(text, encoding="utf-8")
    defect = defect_named("states-numbered-from-one")
    job = job_of(defect, [defect], thorough=False)
    file = ROOT / "boards" / "virtual.toml"
    with running() as runs:
        outcome = apart.judge(defect, job, testcases, file, seed=0, limit=120.0, runs=runs)
    assert outcome.fate is fate, outcome
    assert outcome.ran == (1 if fate is Fate.KILLED else 2), "once a board, until one kills"


@pytest.mark.skipif(not CAN_FORK, reason="mutants are forks only where a process can fork")
def test_a_mutant_that_hangs_is_ended(testcases: pathlib.Path) -> None:
    (testcases / "test_one.py").write_text("import time\ndef test_it(dut): time.sleep(600)\n", "utf-8")
    defect = defect_named("states-numbered-from-one")
    with running() as runs:
        (outcome,) = forked.judged(
            [job_of(defect, [defect], thorough=False)],
            {defect.name: defect},
            testcases,
            ROOT / "boards" / "virtual.toml",
            seed=0,
            limit=8.0,
            at_a_time=1,
            runs=runs,
        )
    assert outcome.fate is Fate.NOT_JUDGED
    assert outcome.message == "did not end within 8 s"


@pytest.mark.skipif(not CAN_FORK, reason="mutants are forks only where a process can fork")
@pytest.mark.parametrize("asked", [1, 2])
def test_no_fork_outlives_the_command(testcases: pathlib.Path, asked: int) -> None:
    (testcases / "test_one.py").write_text(STAYS, encoding="utf-8")
    file = testcases.parent / "pid"
    command = bench_command.command("mutants", testcases, "--only", "states-numbered-from-one")
    started = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PID_FILE": str(file)})
    try:
        end = time.monotonic() + 120
        while not (file.exists() and file.read_text()) and time.monotonic() < end:
            time.sleep(0.1)
        pid = int(file.read_text())
        for _ in range(asked):
            started.send_signal(signal.SIGTERM)
        assert started.wait(60) != 0
    finally:
        started.kill()
        started.wait()
    with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):  # it may be closing its bench
        psutil.Process(pid).wait(30)
    left = psutil.pid_exists(pid)
    if left:  # else it would sleep on
        psutil.Process(pid).kill()
    assert not left
