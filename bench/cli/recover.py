"""`recover`: lift a board's readout protection."""

from __future__ import annotations

from pathlib import Path

import click

from bench.config import load_bench
from bench.errors import ConfigError


@click.command()
@click.argument("board")
@click.option(
    "--bench",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("boards/virtual.toml"),
    show_default=True,
    help="bench file",
)
@click.option("--yes", "serial", metavar="SERIAL", help="the board's serial: do not ask (for scripts)")
def recover(board: str, file: Path, serial: str | None) -> None:
    """Erase BOARD's whole chip, and so lift its readout protection (APPROTECT).

    Says what is lost, and asks for the board's serial. Powers the board by its supply; the rest of the bench
    is left alone. The board ends switched off.
    """
    from bench.recover import recoverable, run_recover, what_is_lost

    bench = load_bench(file, (board,))
    wanted = recoverable(bench, board).serial
    click.echo(what_is_lost(bench, board))
    typed = serial if serial is not None else click.prompt(f"Type the serial of {board} to go on")
    if typed.strip() != wanted:
        raise ConfigError(
            f"{typed!r} is not the serial of {board}, which is {wanted!r}: nothing was done",
            help="look at the label of the board, and at boards.NAME.serial of the bench file",
        )
    run_recover(bench, board, click.echo)
