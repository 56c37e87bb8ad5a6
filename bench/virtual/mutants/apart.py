"""Mutants with a pytest of their own each: slower, and possible on every system."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.virtual.defects.defect import Defect
from bench.virtual.many_runs import Runs
from bench.virtual.mutants import job
from bench.virtual.mutants.job import Job
from bench.virtual.mutants.outcome import Outcome, died, hung, outcome_of

COLLECTED_NOTHING = 5


def judge(
    defect: Defect, told: Job, testcases: Path, bench: Path, *, seed: int, limit: float, runs: Runs
) -> Outcome:
    """Run one mutant; `bench` is its bench file."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        work = Path(folder)
        job.write([told], work / "job")
        try:
            started = _command(told, testcases, bench, work, seed)
            status, output = runs.run(started, testcases.parent, limit)
        except subprocess.TimeoutExpired:
            return hung(defect, limit)
        seconds = time.monotonic() - begun
        findings = work / "findings.json"
        if not findings.exists() or status not in (0, 1, 2, COLLECTED_NOTHING):
            return died(defect, status, output.decode("utf-8", "replace"), seconds)
        return outcome_of(defect, json.loads(findings.read_text(encoding="utf-8")), seconds)


def _command(told: Job, testcases: Path, bench: Path, work: Path, seed: int) -> list[str]:
    """The pytest of one mutant, on the boards that have the defect."""
    boards = [part for board in told.boards for part in ("--board", board)]
    return [
        *(*pytest_of(testcases, bench, seed), "-p", "fixtures.mutant_run", *boards),
        *("--defect", told.defect, "--results", str(work)),
        *("--mutant", str(work / "job"), f"--findings={work / 'findings.json'}"),
    ]


def pytest_of(testcases: Path, bench: Path, seed: int) -> list[str]:
    """What every pytest of mutants has in common: nothing is shown to anybody."""
    return [
        *(sys.executable, "-m", "pytest", str(testcases), "-q", "--no-header", "--tb=no"),
        *("-o", "verbosity_assertions=2"),  # else pytest leaves out the middle of what was compared
        *("-p", "no:cacheprovider", "-p", "no:allure_pytest", f"--rootdir={testcases.parent}"),
        *("--bench", str(bench), "--seed", str(seed), "--pictures=none"),
    ]
