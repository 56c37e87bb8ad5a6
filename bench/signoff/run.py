"""A run as the sign-off sees it: its ledger judged, and what its ledger says it was made with."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import FileError, LedgerError
from bench.evidence import measured_runs
from bench.evidence.ledger import Line, Record, read
from bench.evidence.measured_runs import Figure
from bench.evidence.raw_results import Places, sha256
from bench.evidence.run_verdict import RunVerdict, judge_run
from bench.requirements import Requirement

FIGURES = f"results/{measured_runs.FILE}"


@dataclass(frozen=True, slots=True)
class Image:
    """`project`, `revision` and `dirty` are what the build says of itself, see `bench.firmware.told`."""

    version: str
    sha256: str | None
    project: str = ""
    revision: str = ""
    dirty: bool = False
    content: str = ""
    """The SHA-256 of what of it runs, however it is signed or padded; "" where nobody can tell."""


@dataclass(frozen=True, slots=True, order=True)
class Product:
    """What is released: by the hashes of what is on the board before, below and after the update.

    Two boards of one type with the same images are the same product.
    """

    type: str
    title: str
    baseline: str
    update: str
    baseline_version: str
    update_version: str
    factory: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.type} {self.baseline_version} -> {self.update_version} ({self.update[:12]})"


@dataclass(frozen=True, slots=True)
class Board:
    """A board of a run. `modem` is what its modem told, None where it was not asked."""

    name: str
    type: str
    title: str
    kind: str
    serial: str
    endpoint: str
    probe: str | None
    file: str
    file_sha256: str | None
    images: Mapping[str, Image]
    asks_modem: bool
    modem: Mapping[str, str | None] | None = None
    deviations: Mapping[str, str] = field(default_factory=dict)
    """What its board file excuses, by name."""

    @property
    def product(self) -> Product:
        before, after = self.images["baseline"], self.images["update"]
        below = tuple(
            f"{name} {one.sha256}" for name, one in self.images.items() if name.startswith("factory ")
        )
        return Product(
            self.type,
            self.title,
            before.sha256 or "",
            after.sha256 or "",
            before.version,
            after.version,
            below,
        )


@dataclass(frozen=True, slots=True)
class Instrument:
    """`calibration_due` is the last day on which its calibration holds (ISO), None where it is not given."""

    name: str
    driver: str
    idn: str
    calibration_due: str | None


@dataclass(frozen=True)
class Run:
    """`faults` is what keeps it from being used, beyond what its own verdict says.

    `testcases` are those that its bench has, by "FILE::FUNCTION", whether they were planned or not.
    """

    id: str
    places: Places
    verdict: RunVerdict
    begin: Line
    began: datetime.datetime
    ended: datetime.datetime
    virtual: bool
    boards: Mapping[str, Board]
    instruments: Mapping[str, Instrument]
    requirements: Mapping[str, Requirement]
    testcases: frozenset[str]
    files: Mapping[str, str] | None
    figures: tuple[Figure, ...] = ()
    faults: tuple[str, ...] = field(default=())
    ran: tuple[Line, ...] = ()
    """What each of its processes has run: modules, distributions, files."""
    named: tuple[tuple[str, str], ...] = ()
    """Name and serial number of every board of its bench file."""

    @property
    def unlisted(self) -> int:
        """Modules of distributions that ran from bytecode which no RECORD vouches for."""
        return max((int(line.get("unlisted") or 0) for line in self.ran), default=0)

    @property
    def products(self) -> frozenset[Product]:
        return frozenset(board.product for board in self.boards.values())


def allure_folder_of(record: Record) -> str | None:
    """Allure's folder as the run has written it down, seen from the results folder."""
    lines = [line for line in record.lines if line["kind"] == "results"]
    found: str | None = lines[-1].get("allure") if lines else None
    return found


def read_run(places: Places) -> Run:
    """Read the ledger of a run and what it measured. Raises `LedgerError` when there is none."""
    return run_of(read(places.ledger), places)


def run_of(record: Record, places: Places) -> Run:
    """Raises `LedgerError` when its lines are not those of a ledger of this bench."""
    try:
        return _run_of(record, places)
    except (
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        OSError,
        RecursionError,
    ) as fault:
        raise LedgerError(
            f"{places.ledger}: the ledger cannot be understood: {type(fault).__name__}: {fault}",
            help="sign off with the bench that made the run",
        ) from None


def _run_of(record: Record, places: Places) -> Run:
    lines = record.lines
    begin = next((line for line in lines if line["kind"] == "begin"), {})
    times = [float(line["wall"]) for line in lines] or [0.0]
    opened = _of_kind(lines, "attached")
    faults = []
    if not opened:
        faults.append("it does not say what was attached: no product is known")
    elif any(_bare(line) != _bare(opened[0]) for line in opened):
        faults.append("its processes say different things of what was attached")
    modems = {(line["board"], line["serial"], line["firmware"]) for line in _of_kind(lines, "modem")}
    faults += [
        f"the modem of {name} has said different things"
        for name, count in Counter(name for name, _, _ in modems).items()
        if count > 1
    ]
    if begin.get("run") not in (None, places.ledger.parent.name):
        faults.append(f"its folder is named {places.ledger.parent.name}")
    stated = opened[0] if opened else {"plant": None, "boards": {}, "instruments": {}}
    asked = [row for line in _of_kind(lines, "plan") for row in line.get("requirements", ())]
    written = _of_kind(lines, "results")
    files = dict(written[-1]["files"]) if written else None
    if files is None:
        faults.append("it does not say what it has left behind")
    figures, lost = _figures(places, files or {})
    return Run(
        id=str(begin.get("run", "")) or places.ledger.parent.name,
        places=places,
        verdict=judge_run(record),
        begin=begin,
        began=_time(times[0]),
        ended=_time(times[-1]),
        virtual=stated["plant"] is not None,
        boards=_boards(stated["boards"], _of_kind(lines, "modem")),
        instruments={
            name: Instrument(name, one["driver"], one["idn"], one["calibration_due"])
            for name, one in stated["instruments"].items()
        },
        requirements={row["id"]: Requirement.of_row(row) for row in asked},
        testcases=frozenset(name for line in _of_kind(lines, "plan") for name in line.get("testcases", ())),
        files=files,
        figures=figures,
        faults=(*faults, *lost),
        ran=tuple(_of_kind(lines, "sources")),
        named=tuple(
            (str(row["name"]), str(row["serial"]))
            for line in _of_kind(lines, "plan")
            for row in line.get("boards", ())
        ),
    )


def _of_kind(lines: Iterable[Line], kind: str) -> list[Line]:
    return [line for line in lines if line["kind"] == kind]


def _bare(line: Line) -> dict[str, Any]:
    return {key: line[key] for key in ("plant", "boards", "instruments")}


def _time(wall: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(wall, datetime.UTC)


def _boards(stated: Mapping[str, Any], modems: list[Line]) -> dict[str, Board]:
    told = {line["board"]: line for line in modems}
    return {
        name: Board(
            name=name,
            type=row["type"],
            title=row["title"],
            kind=row["kind"],
            serial=row["serial"],
            endpoint=row["endpoint"],
            probe=row["probe"],
            file=row["file"],
            file_sha256=row["file_sha256"],
            images={of: Image(**one) for of, one in row["images"].items()},
            asks_modem=row["modem"],
            deviations=dict(row.get("deviations") or {}),
            modem={key: told[name][key] for key in ("serial", "firmware")} if name in told else None,
        )
        for name, row in stated.items()
    }


def _figures(places: Places, files: Mapping[str, str]) -> tuple[tuple[Figure, ...], list[str]]:
    """What was measured, from the file that the run left and no other."""
    if FIGURES not in files:
        return (), []
    file = places.file(FIGURES)
    try:
        if sha256(file) != files[FIGURES]:
            return (), []  # told with the other files that are not as the run left them
        return tuple(measured_runs.read(file.parent)), []
    except OSError:
        return (), []
    except FileError as fault:
        return (), [f"its measurements cannot be read: the file {fault.reason}"]
