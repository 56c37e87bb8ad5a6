"""Every planned test of every run, with its board, firmware and verdict."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.evidence.run_verdict import Planned
from bench.evidence.verdict import Judgement, Verdict
from bench.signoff.run import Product, Run

WAIVED = "WAIVED"


@dataclass(frozen=True, slots=True)
class TestRow:
    """`firmware` is the SHA-256 of the update image, "" where none is known; `product` as of its board;
    `unmet` are the recommendations that it found not met.
    """

    __test__ = False  # no class of tests, whatever its name begins with

    run: str
    node: str
    board: str
    serial: str
    firmware: str
    transport: str
    requirements: tuple[str, ...]
    verdict: Verdict
    reason: str
    attempts: int
    product: Product | None
    unmet: tuple[str, ...] = ()


def rows_of(runs: Iterable[Run]) -> list[TestRow]:
    return [_row(run, row, run.verdict.tests[row.node]) for run in runs for row in run.verdict.plan]


def _row(run: Run, row: Planned, judged: Judgement) -> TestRow:
    board = run.boards.get(row.board)
    product = None if board is None else board.product
    return TestRow(
        run=run.id,
        node=row.node,
        board=row.board,
        serial=row.serial,
        firmware="" if product is None else product.update,
        transport=row.transport,
        requirements=row.requirements,
        verdict=judged.verdict,
        reason=judged.reason,
        attempts=judged.attempts,
        product=product,
        unmet=tuple(f.requirement for f in run.verdict.unmet if f.node == row.node),
    )
