"""What the record of a bench says of runs that are to be signed: which other attempts there were."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import LedgerError
from bench.evidence.attempt import is_mended
from bench.evidence.bench_record import BenchRecord, identity_of, lines_of
from bench.evidence.ledger import Line, Record
from bench.evidence.raw_results import sha256
from bench.signoff.run import Run


def about_record(runs: Sequence[Run], given: Path | None) -> tuple[list[str], list[str]]:
    """Doubts, and what is to be known; `given` is the record where it is no longer where the runs left it.

    A run that stands in no record, or whose record cannot be seen, is one of which nobody knows how often
    it was tried.
    """
    doubts: list[str] = []
    told: list[str] = []
    for run in runs:
        place = run.begin.get("record")
        if not isinstance(place, dict):
            doubts.append(f"run {run.id} is in no record of its bench: how often it was tried is not known")
            continue
        file = given or Path(str(place.get("file", "")))
        try:
            record = BenchRecord(file).read()
        except LedgerError:
            doubts.append(
                f"run {run.id}: the record of its bench, {file.name}, cannot be seen: how often the same "
                "was tried is not known (--record FILE names it)"
            )
            continue
        doubts += [f"the record of the bench, {file.name}, was changed: {text}" for text in record.faults]
        doubts += _about_run(run, record, place, file.name)
        found, beside = _other_attempts(run, record, {one.id for one in runs})
        doubts += found
        told += beside
    return list(dict.fromkeys(doubts)), list(dict.fromkeys(told))


def _about_run(run: Run, record: Record, place: Line, name: str) -> list[str]:
    mine = lines_of(record, run.id)
    if identity_of(record) != place.get("id") or not any(
        line["kind"] == "begin" and line["seq"] == place.get("seq") for line in mine
    ):
        return [f"run {run.id} is not in the record of its bench, {name}: it was made anew"]
    ends = [line for line in mine if line["kind"] == "end"]
    if not ends:
        return [f"run {run.id} has no end in the record of its bench"]
    try:
        same = ends[-1].get("ledger") == sha256(run.places.ledger)
    except OSError:
        same = False
    return [] if same else [f"run {run.id}: its ledger is not the one that the record of its bench knows"]


def _other_attempts(run: Run, record: Record, named: set[str]) -> tuple[list[str], list[str]]:
    """Failures of the same update in runs that are not named; a virtual bench fails for nobody."""
    updates = {board.product.update for board in run.boards.values()}
    nodes = {row.node for row in run.verdict.plan}
    begins = {str(line["run"]): line for line in record.lines if line["kind"] == "begin"}
    tested: dict[str, set[str]] = {}
    for line in record.lines:
        if line["kind"] == "attached" and not line.get("virtual"):
            images = {str(one["images"].get("update")) for one in line["boards"].values()}
            tested.setdefault(str(line["run"]), set()).update(images)
    others = [name for name in tested if name not in named and tested[name] & updates]
    doubts, told = [], []
    for name in others:
        failed = [x for x in lines_of(record, name) if x["kind"] == "failed" and x["node"] in nodes]
        begin = begins.get(name, {})
        same = [x for x in failed if not is_mended(begin, run.begin, str(x["node"]))]
        text = f"run {name} is not named, and the same firmware failed in it"
        if same:
            doubts.append(f"{text}: FAILED: {_named(same)}")
        elif failed:
            told.append(f"{text}, with other testcases or another bench: {_named(failed)}")
    if others:
        told.append(f"{len(others)} further runs with this firmware are in the record of the bench")
    return doubts, told


def _named(lines: Sequence[Line]) -> str:
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"{lines[0]['node']}{more}"
