"""The files that a run leaves behind: listed with their hashes as it ends, looked at again later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.evidence.ledger import FILE, RUNS

OWN = ("timeline.jsonl", "coverage.json", "measurements.json", "current/**/*", "power-cuts-*.json")
"""In the results folder."""
OF_ALLURE = ("*-result.json", "*-container.json", "*-attachment*")
"""What a run writes into Allure's folder; what describes a report may be written again later."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of one run lie: its ledger, its results folder, and Allure's."""

    ledger: Path
    results: Path
    allure: Path

    def file(self, name: str) -> Path:
        """The file behind a name of the list, "results/..." or "allure/..."."""
        group, _, inside = name.partition("/")
        return (self.results if group == "results" else self.allure) / inside


def places_of(run: Path, allure: str | None) -> Places:
    """Those of a run's folder `results/runs/RUN`; `allure` is as the run has written it down."""
    results = run.parent.parent if run.parent.name == RUNS else run
    return Places(run / FILE, results, results / (allure or "allure"))


def listed(results: Path, allure: Path | None) -> dict[str, Any]:
    """JSON-able: Allure's folder as seen from the results folder, and name -> SHA-256 of every file."""
    groups: dict[str, tuple[Path, tuple[str, ...]]] = {"results": (results, OWN)}
    if allure is not None:
        groups["allure"] = (allure, OF_ALLURE)
    files = {
        f"{group}/{file.relative_to(folder).as_posix()}": sha256(file)
        for group, (folder, patterns) in groups.items()
        for file in _matching(folder, patterns)
    }
    return {"allure": None if allure is None else _seen_from(results, allure), "files": files}


def _matching(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    found = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    yield from sorted(found)


def _seen_from(results: Path, allure: Path) -> str:
    try:
        return Path(os.path.relpath(allure, results)).as_posix()
    except ValueError:  # another drive
        return allure.as_posix()


def sha256(file: Path) -> str:
    """Raises `OSError`."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def changed(places: Places, files: Mapping[str, str]) -> list[str]:
    """The files that are not as the run left them, one line each."""
    found = []
    for name, digest in files.items():
        try:
            is_now = sha256(places.file(name))
        except FileNotFoundError:
            found.append(f"{name} is missing")
        except OSError:  # without its text, which another PC would word differently
            found.append(f"{name} cannot be read")
        else:
            if is_now != digest:
                found.append(f"{name} is not as the run left it")
    return found
