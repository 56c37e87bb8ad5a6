"""Makes a sign-off: reads the runs, judges them, writes its folder, signs it."""

from __future__ import annotations

import datetime
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import SignOffError
from bench.evidence.ledger import RUNS
from bench.signoff import folder, manifest, signature, waivers
from bench.signoff.as_json import as_json, history_as_json
from bench.signoff.assessment import Assessment, assess
from bench.signoff.history import History, neighbours
from bench.signoff.pdf import write_pdf
from bench.signoff.record import Records, about_record
from bench.signoff.run import Run, read_run
from bench.signoff.unnamed import failed_elsewhere


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. Without `key` it is not signed, without `history` the runs' own is used."""

    runs: tuple[Path, ...]
    output: Path
    against: Path | None = None
    waivers: Path | None = None
    key: Path | None = None
    history: Path | None = None
    record: Path | None = None
    approver: str = ""
    """Of all runs on the boards, where it is no longer where the runs left it."""


def make(order: Order, at: datetime.datetime) -> Assessment:
    """Make the sign-off of `order` at the moment `at`. Raises a `BenchError`; then nothing is left behind."""
    runs = [read_run(places) for path in order.runs for places in folder.places_given(path)]
    released = None
    if order.against is not None:
        released = [read_run(places) for places in folder.places_given(order.against)]
    given = [] if order.waivers is None else waivers.load(order.waivers)
    signed_with = None if order.key is None else signature.fingerprint(order.key)
    beside = [run for path in order.runs for run in neighbours(path.resolve())]
    with History(order.history or _history_of(order.runs)) as history:
        doubts = history.add(beside)
        doubts += [text for text in history.add(runs) if text not in doubts]
        past = history.past()
    doubts += failed_elsewhere(runs, beside)
    records = Records(order.record)
    attempts, known = about_record(runs, records.find)
    told_already = {text.partition(" is not named")[0] for text in doubts}
    doubts += [text for text in attempts if text.partition(" is not named")[0] not in told_already]
    released_as = "" if order.against is None else folder.decision_of(order.against)
    found = assess(runs, released, given, at, doubts, known, released_as)
    told = as_json(found, doubts, known) | {
        "history": history_as_json(past, found),
        "signed_with": signed_with,
        "approver": order.approver,
    }
    _write(order, found, told, released or (), records)
    return found


def _history_of(runs: Sequence[Path]) -> Path:
    """In the results folder of the first run; a sign-off that is made again has no past of its own."""
    first = runs[0].resolve()
    return first.parent.parent / "history.sqlite" if first.parent.name == RUNS else Path(":memory:")


def _write(
    order: Order, found: Assessment, told: dict[str, Any], released: Sequence[Run], records: Records
) -> None:
    part = folder.empty(order.output)
    try:
        folder.keep(found.runs, part / folder.RAW)
        records.keep(part / folder.RECORDS)
        folder.keep_figures(released, part / folder.RELEASED)
        if found.released and order.against is not None:
            shutil.copyfile(order.against / folder.JSON, part / folder.RELEASED / folder.JSON)
        if order.waivers is not None:
            shutil.copyfile(order.waivers, part / folder.WAIVERS)
        (part / folder.JSON).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8", newline="\n")
        write_pdf(told, part / folder.PDF)
        listed = manifest.write(part)
        if order.key is not None:
            signature.sign(listed, order.key)
        if order.output.exists():
            order.output.rmdir()
        part.rename(order.output)
    except OSError as fault:
        raise SignOffError(
            f"{order.output}: the sign-off cannot be written: {fault}",
            help="free the disk or name another folder",
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
