"""Runs -> decision, and everything that led to it. Pure: the same files and the same moment give the same."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.evidence.run_verdict import Decision as RunDecision
from bench.evidence.verdict import Verdict
from bench.requirements import Requirement, Strength
from bench.signoff import reasons
from bench.signoff.comparison import Comparison, compare
from bench.signoff.decision import Decision, decide
from bench.signoff.matrix import Cell, Status, matrix
from bench.signoff.run import Product, Run
from bench.signoff.tests import TestRow, rows_of
from bench.signoff.waivers import Judged, State, Waiver, judge

NARROW = 0.05
"""Share of a limit that is left, below which a figure is told on the first page."""


@dataclass(frozen=True)
class Assessment:
    """`why` is what keeps it from being GO, `attention` what is to be known although it does not."""

    at: datetime.datetime
    decision: Decision
    why: tuple[str, ...]
    attention: tuple[str, ...]
    runs: tuple[Run, ...]
    products: tuple[Product, ...]
    tests: tuple[TestRow, ...]
    waived: Mapping[TestRow, Waiver]
    cells: tuple[Cell, ...]
    waivers: tuple[Judged, ...]
    comparison: Comparison | None
    omitted: tuple[str, ...] = ()
    """Testcases of the bench that are in no run's plan, by "FILE::FUNCTION"."""
    first: tuple[str, ...] = ()
    """What is said before any decision: no product, or not all of it, was tested."""
    released: str = ""
    """The decision of the sign-off that it is compared with."""

    @property
    def virtual(self) -> bool:
        return any(run.virtual for run in self.runs)

    @property
    def counts(self) -> Counter[str]:
        return Counter("WAIVED" if row in self.waived else row.verdict.value for row in self.tests)

    @property
    def planned(self) -> int:
        return len(self.tests)

    @property
    def ran(self) -> int:
        return sum(row.verdict not in (Verdict.NOT_RUN, Verdict.NOT_APPLICABLE) for row in self.tests)


def assess(
    runs: Sequence[Run],
    released: Sequence[Run] | None,
    waivers: Sequence[Judged | Waiver],
    at: datetime.datetime,
    doubts: Sequence[str] = (),
    known: Sequence[str] = (),
    released_as: str = "",
) -> Assessment:
    """What the runs are worth at the moment `at`.

    `doubts` are reasons that were found elsewhere, `known` what is to be told and was.
    `released_as` is the decision of the sign-off that `released` are the runs of.
    """
    tests = rows_of(runs)
    products = sorted({product for run in runs for product in run.products})
    requirements: dict[str, Requirement] = {}
    for run in runs:
        requirements |= run.requirements
    bare = matrix(requirements, products, tests)
    judged = judge(waivers, tests, _uncovered(bare, runs), requirements, at.date())
    used = [one.waiver for one in judged if one.state is State.USED and one.waiver is not None]
    waived = {
        row: waiver
        for waiver in used
        for row in tests
        if row.verdict.speaks_against_product
        and (row.node, row.serial, row.firmware) == (waiver.test, waiver.serial, waiver.firmware)
    }
    cells = matrix(requirements, products, tests, waived, _let_off(used, runs))
    omitted = _omitted(runs, tests)
    failures, open_tests = reasons.about_tests(tests, waived)
    against = reasons.about_released(runs, released) if released is not None else []
    open_points = [
        *doubts,
        *reasons.about_runs(runs, at),
        *_one_a_verdict(open_tests),
        *reasons.about_waivers(judged),
        *reasons.about_requirements(cells),
        *reasons.about_figures(runs, tests, waived),
        *reasons.about_left_out(runs, tests, omitted),
        *against,
    ]
    if not failures and not open_points:
        open_points += _not_understood(runs, waived)
    comparison = compare(released, runs, released_as) if released else None
    virtual = any(run.virtual for run in runs)
    return Assessment(
        at=at,
        decision=decide(bool(failures), bool(open_points), virtual, bool(used)),
        why=(*failures, *open_points),
        attention=(*_attention(runs, cells, comparison, omitted), *known),
        runs=tuple(runs),
        products=tuple(products),
        tests=tuple(tests),
        waived=waived,
        cells=tuple(cells),
        waivers=tuple(judged),
        comparison=comparison,
        omitted=omitted,
        first=tuple(dict.fromkeys(text for run in runs for text in run.verdict.first)),
        released=released_as,
    )


def _omitted(runs: Sequence[Run], tests: Sequence[TestRow]) -> tuple[str, ...]:
    planned = {row.node.partition("[")[0].rpartition("/")[2] for row in tests}
    return tuple(sorted({name for run in runs for name in run.testcases} - planned))


def _not_understood(runs: Sequence[Run], waived: Mapping[TestRow, Waiver]) -> list[str]:
    """Belt and braces: a run that is not GO by its own verdict is one only with waivers of its own."""
    excused = {row.run for row in waived}
    return [
        f"run {run.id}: its own verdict is {run.verdict.decision}"
        for run in runs
        if run.verdict.decision is not RunDecision.GO
        and not (run.verdict.decision is RunDecision.NO_GO and run.id in excused)
    ]


def _uncovered(cells: Sequence[Cell], runs: Sequence[Run]) -> dict[str, frozenset[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for cell in cells:
        if cell.is_missing:
            found.setdefault(cell.requirement.id, set()).update(
                (board.serial, cell.product.update)
                for run in runs
                for board in run.boards.values()
                if board.product == cell.product
            )
    return {name: frozenset(boards) for name, boards in found.items()}


def _let_off(used: Sequence[Waiver], runs: Sequence[Run]) -> set[tuple[str, Product]]:
    """Every product with this firmware and this board; another one with the same requirement is not meant."""
    return {
        (waiver.requirement, board.product)
        for waiver in used
        if waiver.requirement is not None
        for run in runs
        for board in run.boards.values()
        if (board.serial, board.product.update) == (waiver.serial, waiver.firmware)
    }


def _one_a_verdict(texts: Sequence[str]) -> list[str]:
    """A selection leaves hundreds of tests out for one reason: one line."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for text in texts:
        verdict, _, rest = text.partition(": ")
        node, _, reason = rest.partition(": ")
        grouped.setdefault((verdict, reason), []).append(node)
    return [
        f"{verdict}: {nodes[0]}{f' and {len(nodes) - 1} more' if len(nodes) > 1 else ''}: {reason}"
        for (verdict, reason), nodes in grouped.items()
    ]


def _all(names: Iterable[str]) -> str:
    """Each once. The first page says how many; nothing is left out further on."""
    return ", ".join(dict.fromkeys(names))


def _attention(
    runs: Sequence[Run], cells: Sequence[Cell], comparison: Comparison | None, omitted: Sequence[str]
) -> list[str]:
    told = [
        f"deviation, excused by the board file of {board.name}: {name}: {text}"
        for run in runs
        for board in run.boards.values()
        for name, text in board.deviations.items()
    ]
    told += [
        f"the update image of {board.name} was built from sources with changes that no revision holds: "
        f"it says so in its version, {board.images['update'].version}"
        for run in runs
        for board in run.boards.values()
        if board.images["update"].dirty
    ]
    told = list(dict.fromkeys(told))
    told += [
        f"recommended, and not met: {found.requirement}: {found.node}: {found.text}"
        for run in runs
        for found in run.verdict.unmet
    ]
    bare = [c.requirement for c in cells if c.status is Status.NOT_COVERED and not c.is_missing]
    musts = dict.fromkeys(row.id for row in bare if row.strength is Strength.MUST)
    if musts:
        told.append(f"{len(musts)} musts that this bench has no testcase for: {_all(musts)}")
    open_ = [row.id for row in bare if row.strength is not Strength.MUST]
    if open_:
        told.append(f"{len(open_)} recommended or left open, and shown by no test: {_all(open_)}")
    elsewhere = [cell.requirement.id for cell in cells if cell.status is Status.NOT_APPLICABLE]
    if elsewhere:
        told.append(f"{len(elsewhere)} requirements do not apply, by the board files: {_all(elsewhere)}")
    if omitted:
        told.append(f"{len(omitted)} of the bench's testcases are in no run's plan: {_all(omitted)}")
    programs = sorted(
        {board.name for run in runs for board in run.boards.values() if board.kind == "process"}
    )
    if programs:
        told.append(f"tested as a program on a PC, on no board: {', '.join(programs)}")
    for run in runs:
        for figure in run.figures:
            margin = figure.measurement.margin
            if margin is not None and 0 <= margin < NARROW:
                told.append(f"little margin: {figure.test}: {figure.measurement}")
        repeated = [node for node, j in run.verdict.tests.items() if j.attempts > 1]
        if repeated:
            told.append(f"{len(repeated)} tests were repeated: {_all(repeated)}")
        told += [f"found: {one.node}: {one.text}" for one in run.verdict.findings]
    bytecode = max((run.unlisted for run in runs), default=0)
    if bytecode:
        told.append(
            f"{bytecode} modules of installed distributions ran from cached bytecode of which their RECORD "
            "has no hash (PYTHONPYCACHEPREFIX=EMPTY-FOLDER has it made anew)"
        )
    if comparison is None:
        told.append("not compared with a released run")
    else:
        told += [
            f"passed in the released run, now {one.after or 'not planned'}: {one.what}"
            for one in comparison.lost
        ]
    return told
