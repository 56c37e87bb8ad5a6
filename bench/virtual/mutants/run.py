"""Runs mutants, several at a time, each until a testcase kills it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.virtual.defects.defect import Defect
from bench.virtual.defects.registry import DEFECTS
from bench.virtual.many_runs import Runs, each, running
from bench.virtual.mutants import apart, forked
from bench.virtual.mutants.job import job_of
from bench.virtual.mutants.outcome import Outcome

LIMIT = 5400.0
"""Wall seconds after which a mutant's run counts as hung. A survivor runs the whole suite."""
CAN_FORK = "fork" in multiprocessing.get_all_start_methods()


def run(
    defects: Iterable[Defect],
    testcases: Path,
    bench: Path,
    *,
    at_a_time: int,
    seed: int = 0,
    thorough: bool = False,
    told: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run mutants, `at_a_time`; `told` hears of each as it ends. The outcomes keep the order given.

    `thorough`: those that are argued to be equivalent meet every testcase too.
    """
    wanted = list(defects)
    jobs = {defect.name: job_of(defect, list(DEFECTS.values()), thorough=thorough) for defect in wanted}

    def file_of(defect: Defect) -> Path:
        return bench.with_name(defect.bench or bench.name)

    if not CAN_FORK:

        def one(runs: Runs, defect: Defect) -> Outcome:
            job, file = jobs[defect.name], file_of(defect)
            return apart.judge(defect, job, testcases, file, seed=seed, limit=LIMIT, runs=runs)

        return each(wanted, one, jobs=at_a_time, told=told)
    found: dict[str, Outcome] = {}
    with running() as runs:
        try:
            for file in dict.fromkeys(file_of(defect) for defect in wanted):
                for outcome in forked.judged(
                    [jobs[defect.name] for defect in wanted if file_of(defect) == file],
                    DEFECTS,
                    testcases,
                    file,
                    seed=seed,
                    limit=LIMIT,
                    at_a_time=at_a_time,
                    runs=runs,
                ):
                    found[outcome.defect.name] = outcome
                    told(outcome)
        except BaseException:
            runs.end()
            raise
    return [found[defect.name] for defect in wanted]
