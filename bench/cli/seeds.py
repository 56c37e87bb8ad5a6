"""`seeds`: whether the testcases pass healthy devices with every seed."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click


class _Seeds(click.ParamType):
    """`0-9` or `3` or `0-4,7`."""

    name = "seeds"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        found: list[int] = []
        for part in str(value).split(","):
            match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
            if match is None:
                self.fail(f"{part!r} is no seed and no range of seeds, such as 0-9", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if last < first:
                self.fail(f"{part!r} goes backwards", param, ctx)
            found += range(first, last + 1)
        return tuple(dict.fromkeys(found))


@click.command()
@click.argument("testcases", type=click.Path(path_type=Path, exists=True), default=Path("testcases"))
@click.option("--bench", "file", type=click.Path(path_type=Path), default=Path("boards/virtual.toml"))
@click.option("--seeds", "wanted", type=_Seeds(), default="0-9", show_default=True)
@click.option(
    "--jobs", metavar="N", type=click.IntRange(min=1), default=os.cpu_count() or 1, show_default=True
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/seeds"),
    show_default=True,
    help="where ledgers are kept, and everything of a run that is not GO",
)
@click.option(
    "--select", metavar="EXPR", help="only testcases that match, as pytest's -k; such runs do not count"
)
@click.option(
    "--sweep-parts",
    "parts",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="each seed makes one of N parts of the power-cut sweeps, the next seed the next one",
)
@click.option("--markdown", is_flag=True, help="write the table for the docs instead of text")
@click.option("--kept", is_flag=True, help="run nothing: tell what the kept ledgers say")
def seeds(
    testcases: Path,
    file: Path,
    wanted: tuple[int, ...],
    jobs: int,
    folder: Path,
    select: str | None,
    parts: int,
    markdown: bool,
    kept: bool,
) -> None:
    """Run the testcases against healthy virtual devices with many seeds: each failure is a false alarm.

    Ends with 1 when there was one, or when a run was not GO for another reason than cuts left out by
    `--sweep-parts`.
    """
    from bench.virtual.seeds import run, table

    if kept:
        runs = [run.load(folder, seed) for seed in wanted if run.ledger_of(folder, seed).exists()]
        if not markdown:
            for one in runs:
                click.echo(table.line(one))
    else:
        runs = run.run(
            wanted,
            testcases.resolve(),
            file.resolve(),
            folder.resolve(),
            jobs=jobs,
            parts=parts,
            selected=() if select is None else ("-k", select),
            told=lambda one: click.echo(table.line(one), err=markdown),
        )
    if markdown:
        click.echo(table.markdown(runs))
    click.echo(table.score(runs))
    if not runs or not all(one.is_clean for one in runs):
        sys.exit(1)
