"""Compares Allure's result files with the ledger: every attempt is in both, and neither is greener."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.evidence.verdict import Attempt, Verdict, judge_attempt

RUN_LABEL = "bench-run"
NODE_LABEL = "bench-node"

AGREES: dict[Verdict, frozenset[str]] = {
    Verdict.PASSED: frozenset({"passed"}),
    Verdict.FAILED: frozenset({"failed", "broken", "skipped"}),
    Verdict.BENCH_ERROR: frozenset({"failed", "broken"}),
    Verdict.INCONCLUSIVE: frozenset({"failed", "broken", "skipped"}),
    Verdict.NOT_APPLICABLE: frozenset({"skipped"}),
    Verdict.INTERRUPTED: frozenset({"absent", "failed", "broken", "skipped", "unknown"}),
    Verdict.NOT_RUN: frozenset({"skipped", "absent"}),
    Verdict.XPASS: frozenset({"passed", "failed", "broken"}),
    Verdict.PASSED_TEARDOWN_BAD: frozenset({"failed", "broken"}),
}
"""What Allure may show for an attempt. A FAILED that was expected to fail is "skipped" there."""


def differences(folder: Path, run: str, attempts: Mapping[str, Sequence[Attempt]]) -> list[str]:
    """What does not agree between the Allure results in `folder` and the attempts of `run`, one line each."""
    shown: dict[str, list[str]] = defaultdict(list)
    found = []
    for file in sorted(folder.glob("*-result.json")):
        try:
            row = json.loads(file.read_text(encoding="utf-8"))
            labels = {label["name"]: label.get("value") or "" for label in row.get("labels", ())}
            status = str(row.get("status") or "unknown")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
            found.append(f"{file.name} cannot be read: {fault}")
            continue
        if labels.get(RUN_LABEL) != run:
            found.append(f"{file.name} is of another run, or of none: {row.get('fullName', '?')}")
        else:
            shown[labels.get(NODE_LABEL, "?")].append(status)
    for node in sorted({*attempts, *shown}):
        found += _of_one(node, list(attempts.get(node, ())), shown.get(node, []))
    return found


def _of_one(node: str, attempts: list[Attempt], statuses: list[str]) -> list[str]:
    """Allure's files carry no order that can be relied on, so each attempt takes a status that fits."""
    left = list(statuses)
    found = []
    # those that fit the fewest first, so that none takes what only another can take
    for verdict in sorted((judge_attempt(one).verdict for one in attempts), key=lambda v: len(AGREES[v])):
        fits = next((status for status in left if status in AGREES[verdict]), None)
        if fits is not None:
            left.remove(fits)
        elif "absent" not in AGREES[verdict]:
            found.append(f"{node} is {verdict}, Allure shows {', '.join(left) or 'nothing'}")
    return found + [f"{node}: Allure shows {status} once more than the ledger" for status in left]
