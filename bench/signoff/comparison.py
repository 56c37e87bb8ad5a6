"""What differs from the runs that were released last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.evidence.measurements import quantity
from bench.signoff.run import Run

NOTED = 0.05
"""Relative change of a figure from which on it is told."""


@dataclass(frozen=True, slots=True)
class Change:
    """`before` or `after` is "" where there was nothing."""

    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    runs: tuple[str, ...]
    decision: str
    tests: tuple[Change, ...]
    figures: tuple[Change, ...]
    versions: tuple[Change, ...]

    @property
    def lost(self) -> list[Change]:
        """Tests that passed in the release, and that are planned no more or did not pass now."""
        return [one for one in self.tests if one.before == "PASSED" and one.after != "PASSED"]


def compare(before: Sequence[Run], after: Sequence[Run], decision: str = "") -> Comparison:
    """`decision` is that of the sign-off that `before` was released by; without one, of its runs."""
    return Comparison(
        runs=tuple(run.id for run in before),
        decision=decision or " / ".join(str(run.verdict.decision) for run in before),
        tests=_changes(_verdicts(before), _verdicts(after)),
        figures=_figures(before, after),
        versions=_changes(_versions(before), _versions(after)),
    )


def _changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Change, ...]:
    return tuple(
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in sorted(before.keys() | after.keys())
        if before.get(name, "") != after.get(name, "")
    )


def _verdicts(runs: Iterable[Run]) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        for node, judged in run.verdict.tests.items():
            found[node].add(judged.verdict.value)
    return {node: " / ".join(sorted(verdicts)) for node, verdicts in found.items()}


def _figures(before: Sequence[Run], after: Sequence[Run]) -> tuple[Change, ...]:
    old = {figure.key: figure.measurement for run in before for figure in run.figures}
    new = {figure.key: figure.measurement for run in after for figure in run.figures}
    changes = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        if was is not None and now is not None and was.unit == now.unit and was.limit == now.limit:
            if abs(now.value - was.value) <= NOTED * abs(was.value):
                continue
            share = f" ({now.value / was.value - 1:+.0%})" if was.value else ""
            changes.append(
                Change(key, quantity(was.value, was.unit), f"{quantity(now.value, now.unit)}{share}")
            )
            continue
        changes.append(Change(key, _told(was), _told(now)))
    return tuple(changes)


def _told(one: Any) -> str:
    return "" if one is None else str(one).partition(": ")[2]


def _versions(runs: Sequence[Run]) -> dict[str, str]:
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        begin = run.begin
        found["bench file"].add(_short(begin.get("bench_sha256")))
        found["bench, revision"].add(_short(begin.get("git_revision")))
        found["testcases, revision"].add(_short((begin.get("testcases") or {}).get("git_revision")))
        found["Python"].add(str(begin.get("python")))
        for name, version in (begin.get("packages") or {}).items():
            found[f"package {name}"].add(str(version))
        for board in run.boards.values():
            found[f"board file {board.file}"].add(_short(board.file_sha256))
            found[f"{board.name}: serial"].add(board.serial)
            for name, image in board.images.items():
                found[f"{board.name}: {name}"].add(f"{image.version} {_short(image.sha256)}".strip())
            if board.modem is not None:
                found[f"{board.name}: modem firmware"].add(str(board.modem.get("firmware")))
        for one in run.instruments.values():
            found[f"{one.name}: instrument"].add(one.idn)
            found[f"{one.name}: calibration due"].add(one.calibration_due or "")
    return {name: " / ".join(sorted(values)) for name, values in found.items()}


def _short(digest: Any) -> str:
    return "unknown" if not digest else str(digest)[:12]
