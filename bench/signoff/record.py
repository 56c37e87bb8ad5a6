"""What the record of a bench says of runs that are to be signed: which other attempts there were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.errors import BenchError, LedgerError
from bench.evidence.attempt import is_mended
from bench.evidence.bench_record import BenchRecord, identity_of, lines_of
from bench.evidence.ledger import Line, Record, parse
from bench.evidence.raw_results import sha256
from bench.outside_files import read_bytes
from bench.signoff.run import Run

Find = Callable[[Line], Record]
"""The record of a bench, by where a run says that it stands; raises `LedgerError` where it cannot be seen."""
UNSEEN = "cannot be seen: how often the same was tried is not known"
LARGEST = 128 << 20
"""Bytes of a record in a sign-off; a bench that runs every night writes a megabyte a year."""


class Records:
    """The records of the benches of some runs, where the runs left them, or `given` where it is now."""

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self._read: dict[Path, tuple[list[str], Record]] = {}

    def find(self, place: Line) -> Record:
        """Raises `LedgerError`."""
        return self._of(self._given or Path(str(place.get("file", ""))))[1]

    def _of(self, file: Path) -> tuple[list[str], Record]:
        if file not in self._read:  # once: what was judged is what is kept
            texts = BenchRecord(file).texts()
            self._read[file] = texts, parse(as_bytes(texts))
        return self._read[file]

    def keep(self, folder: Path) -> None:
        """Write all that were seen, line by line as they stand, by their identity. Raises `OSError`."""
        for texts, record in self._read.values():
            folder.mkdir(exist_ok=True)
            (folder / name_of(identity_of(record))).write_bytes(as_bytes(texts))


def as_bytes(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode("utf-8", "replace")


def name_of(identity: str) -> str:
    """Of a record in a sign-off."""
    return f"{identity[:16] or 'none'}.jsonl"


def kept_in(folder: Path) -> Find:
    """The records that were kept in a sign-off."""

    def find(place: Line) -> Record:
        try:
            content = read_bytes(folder / name_of(str(place.get("id", ""))), "a record", limit=LARGEST)
        except BenchError as fault:
            raise LedgerError(fault.message, help=fault.help) from None
        return parse(content)

    return find


def not_as_kept(runs: Sequence[Run], folder: Path, told: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """In what a sign-off's `doubts` and `known` are not what the records in it say."""
    doubts, known = about_record(runs, kept_in(folder))
    said = {text.partition(" is not named")[0] for text in told["doubts"]}
    for text in doubts:
        if UNSEEN in text:  # where it could not be seen it is not there, and that is a doubt of the sign-off
            run = text.partition(":")[0]
            if not any(one.startswith((f"{run}:", f"{run} ")) for one in told["doubts"]):
                yield f"{folder.name}/: {text}"
        elif text.partition(" is not named")[0] not in said:
            yield f"{folder.name}/: the record of the bench says, and the sign-off does not: {text}"
    yield from (
        f"{folder.name}/: the record of the bench says, and the sign-off does not: {text}"
        for text in known
        if text not in told["known"]
    )


def about_record(runs: Sequence[Run], find: Find) -> tuple[list[str], list[str]]:
    """Doubts, and what is to be known.

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
        name = str(place.get("file", "")).replace("\\", "/").rpartition("/")[2]
        try:
            record = find(place)
        except LedgerError:
            doubts.append(f"run {run.id}: the record of its bench, {name}, {UNSEEN} (--record FILE names it)")
            continue
        doubts += [f"the record of the bench, {name}, was changed: {text}" for text in record.faults]
        doubts += _about_run(run, record, place, name)
        found, beside = _other_attempts(run, record, {one.id for one in runs})
        doubts += found
        told += beside
        first = next((str(line["run"]) for line in record.lines if line["kind"] == "begin"), "")
        if first in {one.id for one in runs}:
            told.append(f"the record of the bench, {name}, begins with run {first}: it knows nothing before")
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
    images = [board.images["update"] for board in run.boards.values()]
    updates = {name for one in images for name in (one.sha256, one.content) if name}
    nodes = {row.node for row in run.verdict.plan}
    begins = {str(line["run"]): line for line in record.lines if line["kind"] == "begin"}
    tested: dict[str, set[str]] = {}
    for line in record.lines:
        if line["kind"] == "attached" and not line.get("virtual"):
            boards = line["boards"].values()
            known = tested.setdefault(str(line["run"]), set())
            known |= {str(one["images"].get("update")) for one in boards}
            known |= {str(one.get("content")) for one in boards}
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
