"""Runs of seeds as text for the terminal, and as Markdown for the docs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.evidence.run_verdict import Decision
from bench.evidence.verdict import Verdict
from bench.power_cuts.bound import CONFIDENCE, upper_bound
from bench.virtual.seeds.run import SeedRun


def alarms(run: SeedRun) -> Iterator[tuple[str, str]]:
    """Tests that neither passed nor were not applicable: (name with its verdict, why)."""
    for node, judged in run.verdict.tests.items():
        if not judged.verdict.counts and judged.verdict is not Verdict.NOT_RUN:
            yield f"{judged.verdict} {node.rpartition('/')[2]}", judged.reason


def repeated(run: SeedRun) -> int:
    """Tests that were begun again after a fault of the bench."""
    return sum(judged.attempts > 1 for judged in run.verdict.tests.values())


def _decision(run: SeedRun) -> str:
    """Of a clean part GO too: of the cuts that it left out nothing is said."""
    return Decision.GO if run.is_clean else run.verdict.decision


def line(run: SeedRun) -> str:
    """One run on a line, and a line for each false alarm."""
    counts = run.verdict.counts
    text = f"seed {run.seed:<4} {_decision(run):<13} {counts[Verdict.PASSED]} passed, "
    text += f"{counts[Verdict.NOT_APPLICABLE]} not applicable, {repeated(run)} repeated, "
    text += f"sweeps {run.part}, {run.seconds:.0f} s"
    return "\n".join([text, *(f"    {name}: {why}" for name, why in alarms(run))])


def score(runs: Sequence[SeedRun]) -> str:
    """All of them in a line, and what so many tests without a false alarm prove."""
    passed = sum(run.verdict.counts[Verdict.PASSED] for run in runs)
    false = sum(1 for run in runs for _ in alarms(run))
    clean = sum(run.is_clean for run in runs)
    bound = upper_bound(false, passed + false)
    return (
        f"{clean} of {len(runs)} seeds without a false alarm: {false} of {passed + false} tests; "
        f"below {100 * bound:.2g} % of tests with {100 * CONFIDENCE:g} % confidence"
    )


def markdown(runs: Iterable[SeedRun]) -> str:
    """One row a seed."""
    rows = [
        "| seed | verdict | sweeps | passed | not applicable | repeated | false alarms |",
        "|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        counts = run.verdict.counts
        told = "<br>".join(f"`{name}`" for name, _ in alarms(run)) or "none"
        rows.append(
            f"| {run.seed} | {_decision(run)} | {run.part} | {counts[Verdict.PASSED]} | "
            f"{counts[Verdict.NOT_APPLICABLE]} | {repeated(run)} | {told} |"
        )
    return "\n".join(rows) + "\n"
