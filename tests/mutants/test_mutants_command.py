"""`bench mutants` through the real command: what kills, what survives, what judges nothing, exit codes."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import bench_command
import pytest
from bench_command import BENCH, ROOT

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
    ],
    ids=["killed", "recommended", "survived", "not-judged"],
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
