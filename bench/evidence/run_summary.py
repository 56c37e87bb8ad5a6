"""The verdict of a run on one screen: what it is, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from bench.evidence.run_verdict import Decision, RunVerdict
from bench.evidence.verdict import Judgement, Verdict

SHOWN = 5
"""Tests shown for each verdict, and reasons for the run; `bench verdict --all` shows the rest."""

NEXT: dict[Verdict, str] = {
    Verdict.FAILED: "look at the Allure report of the failed tests: the product did not do what is required",
    Verdict.FLAKY_PASS: "find out why it failed once: a pass after a failure of the product is no pass",
    Verdict.BENCH_ERROR: "follow the help line of the bench error, then `bench check` and run again",
    Verdict.INTERRUPTED: "run again: what was interrupted proves nothing",
    Verdict.NOT_RUN: "run again without a selection, once the cause above is removed",
    Verdict.INCONCLUSIVE: "follow its help line; where it has none, mend the testcase: it ended with "
    "neither an assertion nor a bench error",
    Verdict.XPASS: "remove the xfail mark: the test passes",
    Verdict.PASSED_TEARDOWN_BAD: "mend the teardown: what it left behind may have spoilt what followed",
}
"""Ordered by what is to be looked at first."""


def summary(found: RunVerdict, run: str, *, everything: bool = False) -> str:
    """Text for a terminal, at most about 40 lines unless `everything` is asked for."""
    return "\n".join(_lines(found, run, everything))


def _lines(found: RunVerdict, run: str, everything: bool) -> Iterator[str]:
    yield from found.first
    counted = ", ".join(f"{count} {verdict}" for verdict, count in sorted(found.counts.items()))
    yield f"{found.decision}  run {run}: {len(found.tests)} planned" + (f": {counted}" if counted else "")
    limit = None if everything else SHOWN
    for verdict in NEXT:
        rows = [(node, judged) for node, judged in found.tests.items() if judged.verdict is verdict]
        if not everything:
            rows = _one_a_reason(rows)
        for node, judged in rows[:limit]:
            yield f"  {verdict:<20}{node}"
            yield from _reason(judged)
        if limit is not None and len(rows) > limit:
            yield f"  {verdict:<20}... and {len(rows) - limit} more"
    yield from _of_the_run(found, limit)
    yield from _recommended(found, limit)
    repeated = [node for node, j in found.tests.items() if j.verdict is Verdict.PASSED and j.attempts > 1]
    if repeated:
        yield f"  passed after a fault of the bench: {', '.join(repeated[:SHOWN])}"
    yield f"next: {_next(found)}"


def _one_a_reason(rows: list[tuple[str, Judgement]]) -> list[tuple[str, Judgement]]:
    """One cause that stopped a hundred tests is one row."""
    same: dict[str, list[tuple[str, Judgement]]] = {}
    for node, judged in rows:
        same.setdefault(judged.reason, []).append((node, judged))
    return [
        (f"{found[0][0]} and {len(found) - 1} more" if len(found) > 1 else found[0][0], found[0][1])
        for found in same.values()
    ]


def _reason(judged: Judgement) -> Iterator[str]:
    tries = f" ({judged.attempts} attempts)" if judged.attempts > 1 else ""
    lines = [line.strip() for line in judged.reason.splitlines() if line.strip()][:2]
    for number, line in enumerate(lines):
        yield f"      {line[:180]}{tries if number == 0 else ''}"


def _of_the_run(found: RunVerdict, limit: int | None) -> Iterator[str]:
    """What is wrong with the run as a whole; the tests have been told."""
    whole = [text for text in found.why if text.split(":", 1)[0] not in Verdict.__members__]
    for text in whole[:limit]:
        yield f"  the run: {text.splitlines()[0][:200]}"
    if limit is not None and len(whole) > limit:
        yield f"  the run: ... and {len(whole) - limit} more reasons"


def _recommended(found: RunVerdict, limit: int | None) -> Iterator[str]:
    """One row a requirement, however many tests have seen it."""
    rows: dict[str, list[str]] = {}
    for one in found.unmet:
        rows.setdefault(one.requirement, []).append(f"{one.text} ({one.node})")
    for name, seen in [*rows.items()][:limit]:
        more = f" and {len(seen) - 1} more" if len(seen) > 1 else ""
        yield f"  recommended, not met: {name}: {seen[0][:180]}{more}"
    if limit is not None and len(rows) > limit:
        yield f"  recommended, not met: ... and {len(rows) - limit} more requirements"


def _next(found: RunVerdict) -> str:
    if found.decision is Decision.GO:
        return "nothing; every planned test passed or does not apply"
    for verdict, advice in NEXT.items():
        if found.counts[verdict]:
            return advice
    return "the run proves nothing as it is: remove what is named above and run again"
