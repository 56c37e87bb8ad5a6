"""`bench recover`: erase a whole chip and lift its readout protection."""

from __future__ import annotations

from collections.abc import Callable

from bench.config import Bench, BoardSettings, SwdAttachment
from bench.errors import ConfigError
from bench.station.one_board import one_board

DESTROYED = (
    "the whole flash: bootloader, application, settings, credentials and keys stored there",
    "all of UICR: protection, keys, one-time data, and the security counters that bootloaders keep there",
    "RAM, and the settings of all peripherals",
)
"""What ERASEALL of the CTRL-AP erases (nRF9160 and nRF9151 product specifications, CTRL-AP)."""


def recoverable(bench: Bench, name: str) -> BoardSettings:
    """The board, if it hangs on a debug probe. Raises `ConfigError`; opens and powers nothing."""
    board = bench.settings.boards[name]
    if isinstance(board, BoardSettings) and isinstance(board.flasher, SwdAttachment):
        return board
    raise ConfigError(
        f"{bench.path}: boards.{name} has no debug probe, and so no readout protection that could be lifted",
        help="name a board whose flasher is of kind 'swd'",
    )


def what_is_lost(bench: Bench, name: str) -> str:
    """For people, before they are asked."""
    board = recoverable(bench, name)
    assert isinstance(board.flasher, SwdAttachment)
    lines = [
        f"{name}: {bench.type_of(name).title}, serial {board.serial}",
        f"  behind debug probe {board.flasher.uid}, fed by {board.supply}",
        "",
        "Recovering erases, for good and whether it is locked or not:",
        *(f"  - {what}" for what in DESTROYED),
        "",
    ]
    return "\n".join(lines)


def run_recover(bench: Bench, name: str, say: Callable[[str], None], *, seed: int = 0) -> None:
    """Power the board, erase it, see that it is unlocked after its supply was off; it ends switched off.

    Raises `LockedError` when it stays locked, and whatever is wrong with its supply or probe.
    """
    recoverable(bench, name)
    with one_board(bench, name, seed=seed) as dut:
        say(f"{name}: powering it, erasing everything")
        dut.recover()
    say(f"{name}: erased and unlocked, and still so after its supply was off; it is switched off now")
