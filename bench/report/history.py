"""The history over runs: one line a run in a file of the results folder, in Allure's own format.

A run is in it once, however often its report is rendered.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from bench.errors import ReportError

FILE = "allure-history.jsonl"
KEPT = 50
"""Runs that are kept: a run of some hundred testcases takes about a megabyte."""


def of_others(file: Path, run: str) -> list[str]:
    """The lines of the runs that do not bear this name. Raises `ReportError` where it is no history."""
    if not file.exists():
        return []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [f"{line}\n" for line in lines if line and not json.loads(line)["name"].endswith(run)]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise ReportError(
            f"{file}: cannot be read as the history of runs: {fault}",
            help="move the file away; the trend then begins anew",
        ) from fault


def replace(new: Path, kept: Path) -> None:
    """Put the new history in the place of the old one, whole or not at all."""
    if not new.exists():
        return
    beside = kept.with_suffix(".new")
    shutil.copyfile(new, beside)
    os.replace(beside, kept)
