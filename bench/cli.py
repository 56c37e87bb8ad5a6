"""The `bench` command."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

import click

from bench.config import BoardSettings, load_bench
from bench.current.baseline import Baseline, Verdict
from bench.errors import BenchError
from bench.evidence.coverage import as_markdown, as_text, load, tables
from bench.evidence.ledger import FILE, RUNS, latest_run, read
from bench.evidence.measured_runs import collected, compared
from bench.evidence.run_summary import summary
from bench.evidence.run_verdict import judge_run

BENCH_FILE = click.argument(
    "file", type=click.Path(path_type=Path, dir_okay=False), default=Path("boards/virtual.toml")
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def commands() -> None:
    """Hardware-in-the-loop test bench for LwM2M firmware updates."""


@commands.command()
@BENCH_FILE
def check(file: Path) -> None:
    """Read a bench file and its board files; name every mistake. Opens and powers nothing."""
    bench = load_bench(file)
    click.echo(f"{file}: {bench.settings.bench.name}")
    for name, board in bench.settings.boards.items():
        supply = f", supply {board.supply}" if isinstance(board, BoardSettings) else ""
        click.echo(f"  {name}: {bench.type_of(name).title}, serial {board.serial}{supply}")
    for name, instrument in bench.settings.instruments.items():
        click.echo(f"  {name}: {instrument.driver} at {instrument.address}")


@commands.command()
@BENCH_FILE
@click.option("--seed", type=int, default=0, show_default=True, help="seed of everything random")
def up(file: Path, seed: int) -> None:
    """Keep a virtual bench running, in wall time, for other programs to look at (pyocd, esptool).

    Prints how to reach each board; ends with Ctrl-C.
    """
    from bench.virtual.exposed import run_exposed

    run_exposed(load_bench(file), seed, click.echo)


@commands.command()
@click.option(
    "--bench",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("boards/virtual.toml"),
    show_default=True,
    help="bench file",
)
@click.option("--board", multiple=True, help="only this board; may be given several times")
@click.option("--days", type=click.IntRange(1), default=90, show_default=True, help="how long it holds")
@click.option("--step", type=click.FloatRange(0.25), default=5.0, show_default=True, help="dB of the sweep")
@click.option("--seed", type=int, default=0, show_default=True, help="seed of the virtual bench")
def calibrate(file: Path, board: tuple[str, ...], days: int, step: float, seed: int) -> None:
    """Measure what each board reports at each attenuation of its radio path, up and down; keep it.

    Each board is installed with its baseline, powered and registered first. Exit status 1 when a path
    is not fit for use; what was measured is kept in calibration/, beside the bench file, either way.
    """
    from bench.calibrate import run_calibration

    sys.exit(run_calibration(load_bench(file, board), days, step, seed, click.echo))


@commands.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("results/coverage.json"))
@click.option("--markdown", is_flag=True, help="write tables for the docs instead of text")
def coverage(file: Path, markdown: bool) -> None:
    """Show which requirements, transitions and results of object 5 the last run of testcases covered."""
    found = tables(load(file))
    click.echo(as_markdown(found) if markdown else as_text(found))


@commands.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="where RUN is looked for, and the latest one where none is named",
)
@click.option("--all", "everything", is_flag=True, help="every test that does not count, not the first few")
def verdict(run: Path | None, results: Path, everything: bool) -> None:
    """Show the verdict of RUN (a folder or its name; default: the latest), computed from its ledger.

    Ends with the exit status of the run: 0 for GO alone.
    """
    folder = latest_run(results) if run is None else run if run.exists() else results / RUNS / run
    found = judge_run(read(folder / FILE if folder.is_dir() else folder))
    click.echo(summary(found, folder.name, everything=everything))
    sys.exit(found.exit_status)


@commands.group()
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


@commands.command()
@click.argument("testcases", type=click.Path(path_type=Path, exists=True), default=Path("testcases"))
@click.option("--bench", "file", type=click.Path(path_type=Path), default=Path("boards/virtual.toml"))
@click.option("--only", metavar="NAME", multiple=True, help="only this defect; may be given several times")
@click.option(
    "--jobs", metavar="N", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True
)
@click.option("--seed", type=int, default=0, show_default=True, help="seed of everything random")
@click.option("-v", "--verbose", is_flag=True, help="what each defect is, and the whole message")
@click.option("--markdown", is_flag=True, help="write the tables for the docs instead of text")
@click.option("--list", "listed", is_flag=True, help="name the defects, and run nothing")
def mutants(
    testcases: Path,
    file: Path,
    only: tuple[str, ...],
    jobs: int,
    seed: int,
    verbose: bool,
    markdown: bool,
    listed: bool,
) -> None:
    """Seed defects in the virtual devices, one at a time, and see whether the testcases find them.

    Ends with 1 when a defect survives or could not be judged.
    """
    from bench.virtual.defects.registry import DEFECTS, defect_named
    from bench.virtual.mutants import run, table

    wanted = [defect_named(name) for name in only] or list(DEFECTS.values())
    if listed:
        for defect in wanted:
            click.echo(str(defect))
        return
    outcomes = run.run(
        wanted,
        testcases.resolve(),
        file.resolve(),
        jobs=jobs,
        seed=seed,
        told=lambda outcome: click.echo(table.line(outcome, verbose), err=markdown),
    )
    if markdown:
        click.echo(table.markdown(outcomes))
    click.echo(table.score(outcomes))
    if any(outcome.fate in (run.Fate.SURVIVED, run.Fate.NOT_JUDGED) for outcome in outcomes):
        sys.exit(1)


def main() -> None:
    """Entry point of the console script: faults of the bench are one message, not a traceback."""
    try:
        commands()
    except BenchError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(3)
