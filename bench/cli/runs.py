"""Commands about a run: `coverage`, `verdict`."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import click

from bench.evidence.coverage import as_markdown, as_text, load
from bench.evidence.ledger import BEGAN, FILE, RUNS, latest_run, read
from bench.evidence.run_summary import summary
from bench.evidence.run_verdict import judge_run


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("results/coverage.json"))
@click.option("--markdown", is_flag=True, help="write tables for the docs instead of text")
def coverage(file: Path, markdown: bool) -> None:
    """Show which requirements, transitions and results of object 5 the last run of testcases covered."""
    runs = load(file)
    click.echo(as_markdown(runs) if markdown else as_text(runs))


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="where RUN is looked for, and the latest one where none is named",
)
@click.option(
    "--since",
    metavar="TIME",
    type=click.DateTime([BEGAN, "%Y-%m-%dT%H:%M:%SZ"]),
    help="when the job began, UTC, such as 20270331T091500: where no run has begun since, status 3",
)
@click.option("--all", "everything", is_flag=True, help="every test that does not count, not the first few")
def verdict(run: Path | None, results: Path, since: datetime.datetime | None, everything: bool) -> None:
    """Show the verdict of RUN (a folder or its name; default: the latest), computed from its ledger.

    Ends with the exit status of the run: 0 for GO alone.
    """
    folder = latest_run(results, since) if run is None else run if run.exists() else results / RUNS / run
    found = judge_run(read(folder / FILE if folder.is_dir() else folder))
    click.echo(summary(found, folder.name, everything=everything))
    sys.exit(found.exit_status)
