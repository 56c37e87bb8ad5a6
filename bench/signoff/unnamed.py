"""Runs that lie beside those that are signed off: a failure is not undone by naming another run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.signoff.run import Product, Run
from bench.signoff.tests import TestRow, rows_of

Tested = tuple[Product | None, str, str]
"""What was tested by what: the product, and the revisions of bench and testcases."""


def failed_elsewhere(runs: Sequence[Run], others: Iterable[Run]) -> list[str]:
    """One line for each run that is not among `runs` and in which their product failed the same testcases.

    A run of other images or testcases, of testcases that nobody can know again (dirty), or of a virtual
    bench says nothing about them.
    """
    named = {run.id for run in runs}
    asked = {_tested(run, row) for run in runs for row in rows_of([run])}
    found: dict[str, str] = {}
    for run in others:
        if run.id in named or run.virtual or not _of_known_revision(run):
            continue
        failed = [
            row for row in rows_of([run]) if row.verdict.speaks_against_product and _tested(run, row) in asked
        ]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            found[run.id] = (
                f"run {run.id} is not named, and the same firmware failed in it: "
                f"{failed[0].verdict}: {failed[0].node}{more}"
            )
    return list(found.values())


def _tested(run: Run, row: TestRow) -> Tested:
    return (row.product, *_revisions(run))


def _revisions(run: Run) -> tuple[str, str]:
    testcases = run.begin.get("testcases") or {}
    return str(run.begin.get("git_revision")), str(testcases.get("git_revision"))


def _of_known_revision(run: Run) -> bool:
    states = (run.begin, run.begin.get("testcases") or {})
    return all(one.get("git_revision") and one.get("git_dirty") is False for one in states)
