"""`mutants`: what the testcases find of the seeded defects."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command()
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

    One that is argued to be equivalent meets the testcases that find its neighbours, and all of them where
    `--only` names it. Ends with 1 when a defect survives or could not be judged.
    """
    from bench.virtual.defects.registry import DEFECTS, defect_named
    from bench.virtual.mutants import run, table
    from bench.virtual.mutants.outcome import Fate

    wanted = [defect_named(name) for name in only] or list(DEFECTS.values())
    if listed:
        for defect in wanted:
            click.echo(str(defect))
        return
    outcomes = run.run(
        wanted,
        testcases.resolve(),
        file.resolve(),
        at_a_time=jobs,
        seed=seed,
        thorough=bool(only),
        told=lambda outcome: click.echo(table.line(outcome, verbose), err=markdown),
    )
    if markdown:
        click.echo(table.markdown(outcomes))
    click.echo(table.score(outcomes))
    if any(outcome.fate in (Fate.SURVIVED, Fate.NOT_JUDGED) for outcome in outcomes):
        sys.exit(1)
