"""`baseline`: figures of measured runs."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click

from bench.current.baseline import Baseline, Verdict
from bench.evidence.measured_runs import collected, compared


@click.group()
def baseline() -> None:
    """Figures of measured runs (energy, floor, time): keep them, and compare later runs with them."""


FOLDERS = click.argument(
    "folders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)


@baseline.command()
@FOLDERS
@click.option(
    "--to", "file", type=click.Path(path_type=Path, dir_okay=False), required=True, help="file to write"
)
@click.option("--subject", required=True, help="what was measured: board and firmware")
def keep(folders: tuple[Path, ...], file: Path, subject: str) -> None:
    """Write a baseline from the results FOLDERS of several runs; four are the least for a verdict."""
    metrics = collected(folders)
    Baseline(subject, datetime.date.today().isoformat(), metrics).save(file)
    click.echo(f"{file}: {len(metrics)} figures of {len(folders)} runs")


@baseline.command(name="compare")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@FOLDERS
def compare_runs(file: Path, folders: tuple[Path, ...]) -> None:
    """Compare the results FOLDERS with the baseline FILE. Ends with 1 when a figure is worse."""
    found = compared(Baseline.load(file), folders)
    for key, comparison in found.items():
        click.echo(f"{comparison.verdict!s:13} {key}\n{'':14}{comparison.reason}")
    if any(comparison.verdict is Verdict.WORSE for comparison in found.values()):
        sys.exit(1)
