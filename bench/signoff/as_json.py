"""A sign-off for programs: JSON with a version of its form."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from bench.signoff.assessment import Assessment
from bench.signoff.decision import MEANING
from bench.signoff.history import Past
from bench.signoff.matrix import Cell
from bench.signoff.run import Board, Product, Run
from bench.signoff.tests import WAIVED, TestRow
from bench.signoff.waivers import Judged

SCHEMA = 3
"""Rises with every change after which a reader of the former form could misunderstand."""


def as_json(found: Assessment, doubts: Sequence[str], known: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that follows from the files of the runs, so that a receiver can compute it again."""
    names = {product: str(product) for product in found.products}
    return {
        "schema": SCHEMA,
        "made": found.at.isoformat(timespec="seconds"),
        "decision": found.decision.value,
        "meaning": MEANING[found.decision],
        "virtual": found.virtual,
        "first": list(found.first),
        "exit_status": found.decision.exit_status,
        "why": list(found.why),
        "doubts": list(doubts),
        "known": list(known),
        "attention": list(found.attention),
        "omitted": list(found.omitted),
        "released_as": found.released,
        "counts": {
            "planned": found.planned,
            "ran": found.ran,
            "passed": found.counts["PASSED"],
            **dict(sorted(found.counts.items())),
        },
        "products": [_product(product) for product in found.products],
        "runs": [_run(run) for run in found.runs],
        "requirements": [_cell(cell, names) for cell in found.cells],
        "tests": [_test(row, found) for row in found.tests],
        "measurements": [
            {
                "run": run.id,
                "test": figure.test,
                **dataclasses.asdict(figure.measurement),
                "margin": figure.measurement.margin,
                "within": figure.measurement.within,
            }
            for run in found.runs
            for figure in run.figures
        ],
        "waivers": [_waiver(one) for one in found.waivers],
        "comparison": None if found.comparison is None else dataclasses.asdict(found.comparison),
    }


def _product(product: Product) -> dict[str, Any]:
    return {"name": str(product), **dataclasses.asdict(product)}


def _run(run: Run) -> dict[str, Any]:
    begin = run.begin
    return {
        "id": run.id,
        "verdict": run.verdict.decision.value,
        "why": list(run.verdict.why),
        "began": run.began.isoformat(timespec="seconds"),
        "ended": run.ended.isoformat(timespec="seconds"),
        "bench": begin.get("bench"),
        "virtual": run.virtual,
        "bench_file": begin.get("bench_file"),
        "bench_sha256": begin.get("bench_sha256"),
        "git_revision": begin.get("git_revision"),
        "git_dirty": begin.get("git_dirty"),
        "testcases": begin.get("testcases"),
        "seed": begin.get("seed"),
        "python": begin.get("python"),
        "platform": begin.get("platform"),
        "packages": begin.get("packages"),
        "product": begin.get("product"),
        "firmware_revision": begin.get("firmware_revision"),
        "options": begin.get("options") or {},
        "variables": begin.get("variables") or {},
        "plugins": list(begin.get("plugins") or ()),
        "findings": [dataclasses.asdict(one) for one in run.verdict.findings],
        "ran": _ran(run),
        "boards": [_board(board) for board in run.boards.values()],
        "instruments": [dataclasses.asdict(one) for one in run.instruments.values()],
        "files": len(run.files or ()),
    }


def _ran(run: Run) -> dict[str, Any]:
    """The code that ran, of all processes together; every file is in the ledger."""
    return {
        "checkouts": _together(run, "checkouts"),
        "distributions": _together(run, "distributions"),
        "read": _together(run, "read"),
        "files": len(_together(run, "files")),
        "unlisted": run.unlisted,
    }


def _together(run: Run, what: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for line in run.ran:
        found |= line.get(what) or {}
    return dict(sorted(found.items()))


def _board(board: Board) -> dict[str, Any]:
    row = dataclasses.asdict(board)
    return {**row, "modem": None if board.modem is None else dict(board.modem)}


def _cell(cell: Cell, names: dict[Product, str]) -> dict[str, Any]:
    return {
        "id": cell.requirement.id,
        "kind": cell.requirement.kind,
        "text": cell.requirement.text,
        "strength": cell.requirement.strength.value,
        "source": cell.requirement.source,
        "clause": cell.requirement.clause,
        "not_testable": cell.requirement.not_testable,
        "product": names[cell.product],
        "status": cell.status.value,
        "tests": [{"run": row.run, "node": row.node, "verdict": row.verdict.value} for row in cell.tests],
    }


def _test(row: TestRow, found: Assessment) -> dict[str, Any]:
    waiver = found.waived.get(row)
    return {
        "run": row.run,
        "node": row.node,
        "board": row.board,
        "serial": row.serial,
        "firmware": row.firmware,
        "transport": row.transport,
        "requirements": list(row.requirements),
        "verdict": row.verdict.value,
        "shown": row.verdict.value if waiver is None else WAIVED,
        "waiver": None if waiver is None else waiver.id,
        "reason": row.reason,
        "attempts": row.attempts,
    }


def _waiver(one: Judged) -> dict[str, Any]:
    waiver = one.waiver
    told = {} if waiver is None else waiver.model_dump(mode="json")
    return {**told, "id": one.id, "state": one.state.value, "why": one.why}


def history_as_json(past: Sequence[Past], found: Assessment) -> list[dict[str, Any]]:
    """That of the tests that were planned."""
    mine = {(row.node, row.serial) for row in found.tests}
    return [dataclasses.asdict(one) for one in past if (one.node, one.serial) in mine]
