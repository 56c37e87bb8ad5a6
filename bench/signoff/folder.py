"""The folder of a sign-off: everything its receiver needs, and nothing else.

signoff.pdf, signoff.json     for people, for programs
raw/RUN/ledger.jsonl          each run: its ledger, and what it left behind
raw/RUN/results/, .../allure/
records/ID.jsonl              the record of the bench: every run on its boards
released/RUN/                 ledger and measurements of what it is compared with
waivers.toml                  as they were given
manifest.sha256, .sig
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from bench.errors import FileError, LedgerError, SignOffError
from bench.evidence.ledger import FILE, read
from bench.evidence.raw_results import Places, places_of
from bench.outside_files import read_json
from bench.signoff.decision import Decision
from bench.signoff.run import FIGURES, Run, allure_folder_of

PDF, JSON, WAIVERS = "signoff.pdf", "signoff.json", "waivers.toml"
RAW, RELEASED, RECORDS = "raw", "released", "records"


def places_in(folder: Path) -> Places:
    """Those of a run in a sign-off."""
    return Places(folder / FILE, folder / "results", folder / "allure")


def runs_in(folder: Path) -> list[Places]:
    """The runs that lie in `raw` or `released` of a sign-off, in the order of their names."""
    return [places_in(ledger.parent) for ledger in sorted(folder.glob(f"*/{FILE}"))]


def places_given(path: Path) -> list[Places]:
    """The runs behind a path of the command line: a run's folder, or a sign-off with its runs.

    Raises `LedgerError` when there is none.
    """
    if (path / JSON).is_file():
        found = runs_in(path / RAW)
        if found:
            return found
    if path.parent.name == RAW and (path.parent.parent / JSON).is_file() and (path / FILE).is_file():
        return [places_in(path)]
    if not (path / FILE).is_file():
        raise LedgerError(
            f"{path}: there is no run and no sign-off", help="name a run's folder, results/runs/RUN"
        )
    return [places_of(path.resolve(), allure_folder_of(read(path / FILE)))]


def decision_of(path: Path) -> str:
    """What a sign-off that was released has decided; "" for a run. Raises `SignOffError` for none."""
    if not (path / JSON).is_file():
        return ""
    try:
        return str(Decision(read_json(path / JSON, "a sign-off")["decision"]))
    except (FileError, ValueError, TypeError, KeyError) as fault:
        raise SignOffError(
            f"{path / JSON}: its decision cannot be read: {fault}",
            help="name the sign-off as it was released",
        ) from None


def empty(folder: Path) -> Path:
    """A folder beside it, to be renamed when all is in it. Raises `SignOffError` when it is in use."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SignOffError(
            f"{folder} is not empty", help="a sign-off gets a folder of its own: --output FOLDER"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def keep(runs: Iterable[Run], folder: Path) -> None:
    """Copy runs with all that they left behind; what is not there any more is told elsewhere."""
    for name, run in _by_name(runs).items():
        _keep(run, folder / name, list(run.files or ()))


def keep_figures(runs: Iterable[Run], folder: Path) -> None:
    """Copy the ledgers and measurements of runs."""
    for name, run in _by_name(runs).items():
        _keep(run, folder / name, [FIGURES] if FIGURES in (run.files or ()) else [])


def _by_name(runs: Iterable[Run]) -> dict[str, Run]:
    """A run that was named twice is kept once."""
    return {run.places.ledger.parent.name: run for run in runs}


def _keep(run: Run, folder: Path, names: list[str]) -> None:
    kept = places_in(folder)
    folder.mkdir(parents=True)
    shutil.copyfile(run.places.ledger, kept.ledger)
    for name in names:
        source, target = run.places.file(name), kept.file(name)
        if not target.resolve().is_relative_to(folder.resolve()):
            raise SignOffError(
                f"{run.places.ledger}: {name} leads out of its folder", help="nothing of it counts"
            )
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
