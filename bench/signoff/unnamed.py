"""Runs that lie beside those that are signed off: a failure is not undone by naming another run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.evidence.attempt import is_mended
from bench.signoff.run import Product, Run
from bench.signoff.tests import rows_of


def failed_elsewhere(runs: Sequence[Run], others: Iterable[Run]) -> list[str]:
    """One line for each run that is not among `runs` and in which their product failed the same testcases.

    A run of other images, of other testcases (see `bench.evidence.attempt`), or of a virtual bench says
    nothing about them.
    """
    named = {run.id for run in runs}
    asked: dict[tuple[Product | None, str], list[Run]] = {}
    for run in runs:
        for row in rows_of([run]):
            asked.setdefault((row.product, row.node), []).append(run)
    found: dict[str, str] = {}
    for run in others:
        if run.id in named or run.virtual:
            continue
        failed = [
            row
            for row in rows_of([run])
            if row.verdict.speaks_against_product
            and any(
                not is_mended(run.begin, one.begin, row.node)
                for one in asked.get((row.product, row.node), ())
            )
        ]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            found[run.id] = (
                f"run {run.id} is not named, and the same firmware failed in it: "
                f"{failed[0].verdict}: {failed[0].node}{more}"
            )
    return list(found.values())
