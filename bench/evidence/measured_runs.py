"""The figures of whole runs: written beside the results, collected over runs, compared with a baseline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.current.baseline import Baseline, Comparison, Metric, compare
from bench.errors import FileError, MeasurementError
from bench.evidence.measurements import Measurement
from bench.outside_files import read_json

FILE = "measurements.json"
HELP = f"give a results folder (pytest --results FOLDER) with a {FILE} in it"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one testcase measured in one run; `test` is its name with parameters, the board among them."""

    test: str
    measurement: Measurement

    @property
    def key(self) -> str:
        return f"{self.test}: {self.measurement.name}"


def write(folder: Path, figures: Iterable[Figure]) -> None:
    """Keep the figures of a run in its results folder."""
    rows = [{"test": figure.test, **asdict(figure.measurement)} for figure in figures]
    (folder / FILE).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8", newline="\n")


def read(folder: Path) -> list[Figure]:
    """Raises `FileError` for a folder without figures."""
    rows = read_json(folder / FILE, "the figures of a run", help=HELP)
    try:
        return [Figure(row.pop("test"), Measurement(**row)) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise FileError(folder / FILE, f"is not the figures of a run: {error}", help=HELP) from error


def collected(folders: Sequence[Path]) -> dict[str, Metric]:
    """Each figure with its values run by run. Raises `MeasurementError` where units or limits differ."""
    metrics: dict[str, Metric] = {}
    for folder in folders:
        for figure in read(folder):
            found = figure.measurement
            held = metrics.get(figure.key, Metric(found.unit, (), found.limit))
            if (held.unit, held.limit) != (found.unit, found.limit):
                raise MeasurementError(
                    f"{folder}: {figure.key}: unit or limit differs from the runs before",
                    help="collect runs of one board file",
                )
            metrics[figure.key] = Metric(held.unit, (*held.values, found.value), held.limit)
    if not metrics:
        raise MeasurementError("the runs hold no figures", help="run testcases/test_update_current.py")
    return metrics


def compared(baseline: Baseline, folders: Sequence[Path]) -> dict[str, Comparison]:
    """Each figure that the baseline and the runs both have."""
    new = collected(folders)
    both = sorted(baseline.metrics.keys() & new.keys())
    if not both:
        raise MeasurementError(
            "the baseline and the runs have no figure in common", help="compare runs of the same testcases"
        )
    return {key: compare(baseline.metrics[key], new[key].values) for key in both}
