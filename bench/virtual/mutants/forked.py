"""Mutants as forks of one pytest that has loaded and collected everything: where a system can fork."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.virtual.defects.defect import Defect
from bench.virtual.many_runs import Runs
from bench.virtual.mutants import job
from bench.virtual.mutants.apart import pytest_of
from bench.virtual.mutants.job import Job
from bench.virtual.mutants.outcome import Fate, Outcome, died, hung, outcome_of

TOLD = "mutant "
"""What a line of stdout begins with that tells of a mutant; the rest of it is JSON."""


def judged(
    jobs: Sequence[Job],
    defects: Mapping[str, Defect],
    testcases: Path,
    bench: Path,
    *,
    seed: int,
    limit: float,
    at_a_time: int,
    runs: Runs,
) -> Iterator[Outcome]:
    """Each as it ends. All of them run on `bench`, a bench file."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "jobs"
        job.write(jobs, file)
        command = [
            *(*pytest_of(testcases, bench, seed), "-p", "fixtures.mutant_forks", "--collect-only", "-s"),
            *("--results", folder, "--mutants", str(file)),
            *("--at-a-time", str(at_a_time), "--mutant-limit", str(limit)),
        ]
        left = {told.defect for told in jobs}
        other: list[str] = []
        for line in runs.lines(command, testcases.parent):
            if not line.startswith(TOLD):
                other = [*other[-20:], line]
                continue
            row = json.loads(line.removeprefix(TOLD))
            left.discard(row["defect"])
            yield _outcome(defects[row["defect"]], row, limit)
        for name in sorted(left):
            yield Outcome(
                defects[name], Fate.NOT_JUDGED, message=f"pytest ended early: {' '.join(other[-3:])}"
            )


def _outcome(defect: Defect, row: Mapping[str, object], limit: float) -> Outcome:
    findings, seconds = row["findings"], float(str(row["seconds"]))
    if row["hung"]:
        return hung(defect, limit)
    if not isinstance(findings, dict):
        return died(defect, row["status"], str(row["said"]), seconds)
    return outcome_of(defect, findings, seconds)
