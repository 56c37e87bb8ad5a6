"""Calibrations on disk: JSON, one file a board; a wrong, old or foreign one is refused."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.errors import FileError, RadioError
from bench.outside_files import TEXT, read_json
from bench.radio.calibration import Calibration, Point

FORMAT = "bench radio calibration 1"
HELP = "calibrate the path anew: bench calibrate"


def save(calibration: Calibration, path: Path) -> None:
    """Write it, stable under version control."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"format": FORMAT, **asdict(calibration)}
    path.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n", encoding="utf-8", newline="\n")


def load(path: Path) -> Calibration:
    """Raises `FileError` for a file that is no calibration."""
    rows = read_json(path, "a calibration", limit=TEXT, help=HELP)
    try:
        if rows.pop("format") != FORMAT:
            raise ValueError("another format")
        points = tuple(Point(**point) for point in rows.pop("points"))
        made = Calibration(**rows, points=points)
        _check(made)
        return made
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise FileError(path, f"is not a calibration: {error}", help=HELP) from error


def _check(made: Calibration) -> None:
    """Raises `ValueError` for figures that cannot be: a floor that is no number would allow every target."""
    texts = (made.board, made.serial, made.path, made.instrument)
    numbers = [made.intercept, made.slope, made.rms, made.hysteresis, *(p.attenuation for p in made.points)]
    numbers += [n for n in (made.floor, made.lost_at, *(p.rsrp for p in made.points)) if n is not None]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a name is no text")
    if not all(_is_number(n) for n in numbers) or made.rms < 0 or made.hysteresis < 0:
        raise ValueError("a figure is no number, or one that cannot be")
    if not all(isinstance(p.rising, bool) for p in made.points):
        raise ValueError("a point is neither of the way up nor of the way down")
    if all(p.rsrp is None for p in made.points):
        raise ValueError("there are no points")
    if not isinstance(made.days, int) or made.days < 1:
        raise ValueError(f"it holds for {made.days} days")
    _ = made.expires  # a date, and within the calendar


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def load_valid(
    path: Path, *, board: str, serial: str, rf_path: str, instrument: str, today: datetime.date
) -> Calibration:
    """The calibration of just this board at this path of this instrument, as long as it holds.

    Raises `RadioError` that says what differs, or that it has expired.
    """
    made = load(path)
    for what, held, wanted in (
        ("board", made.board, board),
        ("serial number", made.serial, serial),
        ("path", made.path, rf_path),
        ("attenuator", made.instrument, instrument),
    ):
        if held != wanted:
            raise RadioError(f"{path}: was made with {what} {held!r}, this one is {wanted!r}", help=HELP)
    if today < datetime.date.fromisoformat(made.date):
        raise RadioError(f"{path}: is dated {made.date}, after today, {today}: a clock is wrong", help=HELP)
    if today >= made.expires:
        raise RadioError(f"{path}: expired on {made.expires}, made on {made.date}", help=HELP)
    if made.problems:
        raise RadioError(f"{path}: the path is not fit for use: {made.problems[0]}", help=HELP)
    return made
