"""Commands about what is attached: `check`, `up`, `calibrate`."""

from __future__ import annotations

import datetime
import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from bench.config import BoardSettings

BENCH_FILE = click.argument("file", type=click.Path(path_type=Path), default=Path("boards/virtual.toml"))


@click.command()
@BENCH_FILE
@click.option("--json", "as_json", is_flag=True, help="for programs: what was found, as one JSON object")
def check(file: Path, as_json: bool) -> None:
    """Read a bench file and what it names; tell every mistake at once. Opens and powers nothing.

    Ends with 0 when there is none, else with 3.
    """
    from bench.check import checked_bench, where_found
    from bench.check.kept_secrets import told_to_git
    from bench.config.finding import Mistakes
    from bench.safe_text import safe

    try:
        bench = checked_bench(file)
    except Mistakes as mistakes:
        if not as_json:
            raise
        rows = [{**asdict(found), "file": str(found.file)} for found in mistakes.findings]
        click.echo(json.dumps({"file": str(file), "mistakes": rows}, indent=2))
        sys.exit(3)
    if as_json:
        click.echo(json.dumps({"file": str(file), "mistakes": []}, indent=2))
        return
    click.echo(f"{file}: {bench.settings.bench.name}")
    for name, board in bench.settings.boards.items():
        supply = f", supply {board.supply}" if isinstance(board, BoardSettings) else ""
        click.echo(f"  {name}: {bench.type_of(name).title}, serial {board.serial}{supply}")
    if (found_at := where_found(bench)) is not None:
        click.echo(f"  server: boards find it at {found_at}")
    today = datetime.datetime.now(datetime.UTC).date()
    for name, instrument in bench.settings.instruments.items():
        due = instrument.calibration_due
        told = f", calibration {'EXPIRED' if due < today else 'due'} on {due}" if due is not None else ""
        click.echo(safe(f"  {name}: {instrument.driver} at {instrument.address}{told}"))
    for key in told_to_git(bench):
        click.echo(f'  warning: {key} is a secret in a file that Git keeps; say "env:NAME" or "keyring:..."')


@click.command()
@BENCH_FILE
@click.option("--seed", type=int, default=0, show_default=True, help="seed of everything random")
def up(file: Path, seed: int) -> None:
    """Keep a virtual bench running, in wall time, for other programs to look at (pyocd, esptool).

    Prints how to reach each board; ends with Ctrl-C.
    """
    from bench.check import checked_bench
    from bench.virtual.exposed import run_exposed

    run_exposed(checked_bench(file), seed, click.echo)


@click.command()
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
    from bench.check import checked_bench

    sys.exit(run_calibration(checked_bench(file, board), days, step, seed, click.echo))
