"""Runs mutants: each in a pytest of its own, several at a time, until a testcase kills it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.virtual.defects.defect import Defect
from bench.virtual.many_runs import Runs, each

LIMIT = 5400.0
"""Wall seconds after which a mutant's run counts as hung. A survivor runs the whole suite."""
COLLECTED_NOTHING = 5


class Fate(Enum):
    KILLED = "killed"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant: killed by the testcase `by` with `message`; or why it was not judged.

    `ran` testcases were run, in `seconds` of wall time.
    """

    defect: Defect
    fate: Fate
    by: str = ""
    message: str = ""
    ran: int = 0
    seconds: float = 0.0


def command(defect: Defect, testcases: Path, bench: Path, work: Path, seed: int) -> list[str]:
    """The pytest of one mutant: on the boards that have the defect, hinted testcases first."""
    boards = [part for board in defect.boards for part in ("--board", board)]
    first = [f"--first={hint}" for hint in defect.hints]
    return [
        *(sys.executable, "-m", "pytest", str(testcases), "-q", "--no-header", "--tb=no"),
        *("-o", "verbosity_assertions=2"),  # else pytest leaves out the middle of what was compared
        *("-p", "no:cacheprovider", "-p", "fixtures.mutant_run", f"--rootdir={testcases.parent}"),
        *(
            "--bench",
            str(bench.with_name(defect.bench or bench.name)),
            *boards,
            "--seed",
            str(seed),
            "--defect",
            defect.name,
        ),
        "--pictures=none",
        *("--results", str(work), f"--findings={work / 'findings.json'}", *first),
    ]


def judge(
    defect: Defect,
    testcases: Path,
    bench: Path,
    seed: int = 0,
    limit: float = LIMIT,
    *,
    runs: Runs,
) -> Outcome:
    """Run one mutant."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        work = Path(folder)
        try:
            started = command(defect, testcases, bench, work, seed)
            status, output = runs.run(started, testcases.parent, limit)
        except subprocess.TimeoutExpired:
            return Outcome(defect, Fate.NOT_JUDGED, message=f"did not end within {limit:g} s", seconds=limit)
        seconds = time.monotonic() - begun
        findings = work / "findings.json"
        if not findings.exists() or status not in (0, 1, 2, COLLECTED_NOTHING):
            said = output.decode("utf-8", "replace").strip().splitlines()
            why = f"pytest ended with {status}: {' '.join(said[-3:])}"
            return Outcome(defect, Fate.NOT_JUDGED, message=why, seconds=seconds)
        return _outcome(defect, json.loads(findings.read_text(encoding="utf-8")), seconds)


def _outcome(defect: Defect, findings: dict[str, object], seconds: float) -> Outcome:
    ran = int(str(findings["ran"]))
    errors = findings["errors"]
    assert isinstance(errors, list)
    if findings["killed"]:
        return Outcome(defect, Fate.KILLED, str(findings["killed"]), str(findings["message"]), ran, seconds)
    if errors:
        by, message = errors[0]
        return Outcome(defect, Fate.NOT_JUDGED, by, f"{message} ({len(errors)} in all)", ran, seconds)
    if ran == 0:
        return Outcome(defect, Fate.NOT_JUDGED, message="no testcase ran", seconds=seconds)
    if defect.equivalent:
        return Outcome(defect, Fate.EQUIVALENT, message=defect.equivalent, ran=ran, seconds=seconds)
    return Outcome(defect, Fate.SURVIVED, ran=ran, seconds=seconds)


def run(
    defects: Iterable[Defect],
    testcases: Path,
    bench: Path,
    *,
    jobs: int,
    seed: int = 0,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run mutants, `jobs` at a time; `told` hears of each as it ends. The outcomes keep the order given."""
    return each(
        defects,
        lambda runs, defect: judge(defect, testcases, bench, seed, runs=runs),
        jobs=jobs,
        told=told,
    )
