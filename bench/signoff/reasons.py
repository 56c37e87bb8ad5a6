"""What keeps runs from being a release, beside the verdicts of their tests. One line for each reason."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from bench.evidence.raw_results import changed
from bench.evidence.verdict import Verdict
from bench.signoff.matrix import Cell
from bench.signoff.run import Board, Product, Run
from bench.signoff.tests import TestRow
from bench.signoff.waivers import Judged, State

AHEAD = datetime.timedelta(minutes=5)
"""By how much the clock of the bench may be ahead of that of the sign-off."""
SOURCES = (("", "the bench's sources"), ("testcases", "the testcases' sources"))


def about_runs(runs: Sequence[Run], at: datetime.datetime) -> list[str]:
    """Each run is judged by its own ledger, and all must be of one product."""
    why = [] if runs else ["no run was named"]
    for name, count in Counter(run.id for run in runs).items():
        if count > 1:
            why.append(f"run {name} is named {count} times")
    for run in runs:
        why += [f"run {run.id}: {text}" for text in _about(run, at)]
    products = {run.products for run in runs}
    if len(products) > 1:
        why.append("the runs are of different products: " + " / ".join(_named(run) for run in runs))
    if len({run.virtual for run in runs}) > 1:
        why.append("some runs are of a virtual bench, some of a real one")
    return why


def _named(run: Run) -> str:
    return ", ".join(str(product) for product in sorted(run.products)) or "none known"


def _about(run: Run, at: datetime.datetime) -> Iterator[str]:
    yield from run.verdict.whole
    yield from run.faults
    if not run.boards:
        yield "it had no board: there is no product"
    if not run.requirements:
        yield "its plan does not say which requirements there are"
    yield from _about_passes(run)
    if run.ended > at + AHEAD:
        yield f"it ended at {run.ended:%Y-%m-%d %H:%M} UTC, which is still to come"
    yield from _about_sources(run)
    yield from _about_revision(run)
    for board in run.boards.values():
        yield from _about_board(board)
    if not run.virtual:
        yield from (
            f"{one.name} ({one.idn or one.driver}) has no calibration_due in the bench file"
            for one in run.instruments.values()
            if one.calibration_due is None
        )
    twice = [name for name, n in Counter(_serial(b) for b in run.boards.values()).items() if n > 1]
    yield from (f"several boards have the serial number {serial!r}" for serial in twice)
    if run.begin.get("bench_sha256") is None:
        yield "the bench file is not known"
    yield from changed(run.places, run.files or {})


def _serial(board: Board) -> str:
    return board.serial.strip().casefold()


def _about_passes(run: Run) -> Iterator[str]:
    """What only does not apply shows nothing: at least one test of each board passed."""
    passed = {row.board for row in run.verdict.plan if run.verdict.tests[row.node].verdict is Verdict.PASSED}
    for board in run.boards.values():
        if board.name not in passed:
            yield f"not one test passed on board {board.name}"


def _about_sources(run: Run) -> Iterator[str]:
    for key, whose in SOURCES:
        state = run.begin.get(key, {}) if key else run.begin
        if not isinstance(state, dict) or state.get("git_revision") is None:
            yield f"{whose} are of no known revision"
        elif state.get("git_dirty") is not False:
            named = ", ".join(state.get("git_differs") or ())
            differs = f"{whose} differ from their revision {state['git_revision'][:12]} (dirty)"
            yield f"{differs}: {named}" if named else differs
    if not run.ran:
        yield "it does not say what ran: it was not seen to end"
    for text in dict.fromkeys(text for line in run.ran for text in line.get("differs", ())):
        yield f"not what is signed: {text}"


def _about_revision(run: Run) -> Iterator[str]:
    """What the bench file says that the update was built from, and what the image says itself."""
    given = str(run.begin.get("firmware_revision") or "").casefold()
    for board in run.boards.values():
        said = board.images["update"].revision
        if given and said and not given.startswith(said) and not said.startswith(given):
            yield (
                f"board {board.name}: firmware_revision in [bench] is {given}, but the update image says "
                f"that it was built from {said}"
            )


def _about_board(board: Board) -> Iterator[str]:
    where = f"board {board.name}"
    for name, image in board.images.items():
        if image.sha256 is None:
            yield f"{where}: the image {name!r} has no SHA-256"
    if board.file_sha256 is None:
        yield f"{where}: its board file is not known"
    if not board.asks_modem:
        return
    told = board.modem or {}
    for key in ("serial", "firmware"):
        if not told.get(key):
            yield f"{where}: its modem did not tell its {key}"
    _, by_imei, imei = board.endpoint.partition("urn:imei:")
    if by_imei and told.get("serial") and told["serial"] != imei:
        yield f"{where}: its endpoint is {board.endpoint}, but its modem says {told['serial']}"


def about_tests(tests: Iterable[TestRow], waived: Collection[TestRow]) -> tuple[list[str], list[str]]:
    """Failures that nobody answers for, and tests that prove nothing."""
    failures: list[str] = []
    doubts: list[str] = []
    for row in tests:
        if row.verdict.counts or row in waived:
            continue
        first = row.reason.split("\n", 1)[0]
        text = f"{row.verdict}: {row.node}: {first}"
        (failures if row.verdict.speaks_against_product else doubts).append(text)
    return failures, doubts


def about_requirements(cells: Iterable[Cell]) -> list[str]:
    """One line a product. What failed or was not proved is told by its tests."""
    of_product: dict[Product, list[Cell]] = {}
    for cell in cells:
        of_product.setdefault(cell.product, []).append(cell)
    why = []
    for product, mine in of_product.items():
        missing = [cell.requirement.id for cell in mine if cell.is_missing]
        if missing:
            names = ", ".join(missing)
            why.append(f"NOT COVERED: {len(missing)} of {len(mine)} requirements on {product.type}: {names}")
    return why


def about_waivers(judged: Iterable[Judged]) -> list[str]:
    return [f"waiver {one.id} is refused: {one.why}" for one in judged if one.state is State.REFUSED]


def about_left_out(runs: Sequence[Run], tests: Sequence[TestRow], omitted: Sequence[str]) -> list[str]:
    """What the bench has and no run has tried: boards of its file, testcases of its own.

    Testcases of a project's own are held against nothing but the requirements; those of the bench are known.
    """
    real = [run for run in runs if not run.virtual]  # a virtual bench releases nothing, and says so first
    tested = {board.serial for run in runs for board in run.boards.values()}
    tested &= {row.serial for row in tests if row.verdict is not Verdict.NOT_RUN}
    without = {name: serial for run in real for name, serial in run.named if serial not in tested}
    why = [f"LEFT OUT: board {name} ({serial}) of the bench file" for name, serial in sorted(without.items())]
    known = {name for run in runs for name in run.testcases}
    planned = {row.node.partition("[")[0].rpartition("/")[2] for row in tests}
    if real and omitted and known & planned:
        why.append(f"LEFT OUT: {len(omitted)} of {len(known)} testcases of the bench: {', '.join(omitted)}")
    return why


def about_figures(runs: Iterable[Run], tests: Iterable[TestRow], waived: Collection[TestRow]) -> list[str]:
    """A figure beyond its limit whose test passed nevertheless is not understood."""
    excused = {(row.run, row.node.rpartition("::")[2]) for row in tests if row in waived}
    return [
        f"run {run.id}: {figure.test}: {figure.measurement} is beyond its limit"
        for run in runs
        for figure in run.figures
        if not figure.measurement.within and (run.id, figure.test) not in excused
    ]


def about_released(runs: Sequence[Run], released: Sequence[Run]) -> list[str]:
    """What is compared with must be a run, another one, and as it was written."""
    why = [] if released else ["the released run is missing"]
    names = {run.id for run in runs}
    for run in released:
        if run.id in names:
            why.append(f"run {run.id} is compared with itself")
        if not run.verdict.finished:
            why.append(f"the released run {run.id} was not seen to end")
        why += [f"the released run {run.id}: {text}" for text in run.verdict.whole if "was changed" in text]
    return why
