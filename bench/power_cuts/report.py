"""The outcome of a sweep: every cut, a table of them by phase, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from bench.power_cuts.known_issues import known_issues

PHASES = ("download", "swap", "first boot", "confirm")
"""Of one update, in order."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A place to cut: `share` of the time of a flash operation (0: before it begins).

    `number` names it for good; `again` has the supply cut a second time, while the board recovers.
    """

    number: int
    phase: str
    operation: int
    what: str
    share: float
    again: bool


@dataclass(frozen=True, slots=True)
class CutResult:
    """What came of a cut. `booted` is "old", "new" or "nothing"; `problem` is "" when all was well.

    `second` says where the second cut was: number of the flash operation since power-on, and share.
    `proved_by` is the number of the cut with whose state of the memory an update was accepted: its
    own, or an earlier one that left exactly the same. `known` names the issue of the bootloader
    (`known_issues.toml`) that explains the problem, None when none does.
    """

    cut: Cut
    booted: str
    second: tuple[int, float] | None = None
    proved_by: int | None = None
    problem: str = ""
    known: str | None = None


def as_json(board: str, seed: int, results: Sequence[CutResult]) -> str:
    """One line for each cut, so that runs can be compared line by line."""
    head = {"board": board, "seed": seed, "cuts": len(results), "failed": len(failed(results))}
    rows = [json.dumps({**asdict(r.cut), **_rest(r)}, sort_keys=True) for r in results]
    return '{"sweep": ' + json.dumps(head) + ',\n "results": [\n  ' + ",\n  ".join(rows) + "\n]}\n"


def _rest(result: CutResult) -> dict[str, object]:
    row = asdict(result)
    del row["cut"]
    return row


def failed(results: Iterable[CutResult]) -> list[CutResult]:
    """With a problem that nothing known explains."""
    return [result for result in results if result.problem and result.known is None]


def expected(results: Iterable[CutResult]) -> dict[str, list[CutResult]]:
    """Those that a known issue explains, by its name."""
    found: dict[str, list[CutResult]] = {}
    for result in results:
        if result.known is not None:
            found.setdefault(result.known, []).append(result)
    return found


def told(results: Iterable[CutResult]) -> list[str]:
    """A line for each known issue that showed: how often, what it is, and a cut that repeats it."""
    return [
        f"known issue, {len(cuts)} cuts (--cut {cuts[0].cut.number}): {known_issues()[name]}"
        for name, cuts in expected(results).items()
    ]


def as_table(results: Sequence[CutResult]) -> str:
    """A row for each phase: operations, cuts, second cuts, what booted, known issues, failures."""
    columns = ("phase", "operations", "cuts", "double", "old", "new", "known", "failed")
    rows: list[tuple[str, ...]] = [columns]
    for phase in [p for p in PHASES if any(r.cut.phase == p for r in results)]:
        mine = [r for r in results if r.cut.phase == phase]
        rows.append(_row(phase, mine))
    rows.append(_row("all", results))
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            text.ljust(width) if i == 0 else text.rjust(width)
            for i, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _row(name: str, results: Sequence[CutResult]) -> tuple[str, ...]:
    numbers = (
        len({r.cut.operation for r in results}),
        len(results),
        sum(r.second is not None for r in results),
        sum(r.booted == "old" for r in results),
        sum(r.booted == "new" for r in results),
        sum(r.known is not None for r in results),
        len(failed(results)),
    )
    return (name, *map(str, numbers))


def describe(result: CutResult) -> str:
    """One failing cut in one line, with the way to see it again."""
    cut = result.cut
    moment = "before" if cut.share == 0 else f"after {100 * cut.share:.0f} % of"
    second = "" if result.second is None else f", cut again in operation {result.second[0]} of the recovery"
    return (
        f"cut {cut.number} ({cut.phase}, {moment} operation {cut.operation}: {cut.what}{second}): "
        f"{result.problem}; --cut {cut.number} repeats it"
    )
