"""What a bench file names, and what it is."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.board_type import BoardType
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.nearest import suggestion
from bench.config.shape import dotted

CONNECTIONS = ("supply", "attenuator", "meter", "voltmeter")
"""Keys of a board that name an instrument and one of its outputs or paths."""
FLASHERS = {"nrf9160": "swd", "esp32": "rom-serial"}
"""The kind of flasher by the driver of a board file."""


def fits(draft: Draft, board: str, board_type: BoardType) -> bool:
    """Whether its flasher is that of its type; else nobody knows which of the two was meant."""
    wanted = FLASHERS[board_type.driver]
    return bool(draft.table("boards", board, "flasher").get("kind", wanted) == wanted)


def boards_and_their_files(draft: Draft) -> Iterator[Finding]:
    """A board has the wires that its board file's kind has, and the flasher of its driver."""
    for name in draft.boards:
        board, found = draft.boards[name], draft.type_of(name)
        if found is None:
            continue
        place = ("boards", name)
        if not isinstance(found, BoardType):
            if draft.is_hardware(name):
                yield draft.finding(
                    place,
                    None,
                    "a board of kind 'process' has no console, flasher or supply",
                    f"remove these keys; {board['type']}.toml says how the program is run",
                )
        elif not draft.is_hardware(name):
            yield draft.finding(
                place,
                None,
                f"the driver {found.driver} needs console, flasher, supply and images",
                "see boards/virtual.toml for a complete example",
            )
        else:
            if not fits(draft, name, found):
                yield draft.finding(
                    (*place, "flasher", "kind"),
                    board["flasher"]["kind"],
                    f"the driver {found.driver} needs {FLASHERS[found.driver]!r}",
                    "correct the flasher, or the board's type",
                )


def instruments_listed(draft: Draft) -> Iterator[Finding]:
    """Every instrument that a board names has a table of its own."""
    for name, board in draft.boards.items():
        for key in CONNECTIONS:
            value = board.get(key)
            if value is None:
                continue
            instrument = value.partition(":")[0]
            if instrument not in draft.instruments:
                yield draft.finding(
                    ("boards", name, key),
                    value,
                    f"{key} names instrument {instrument!r}, which is not listed",
                    suggestion(instrument, draft.instruments, "instruments"),
                )


def certificates_vouched_for(draft: Draft) -> Iterator[Finding]:
    """A device with a certificate needs the CA that it comes from."""
    if "client_ca" in draft.table("server"):
        return
    for name in draft.boards:
        named = draft.table("boards", name, "security").get("certificate_name")
        if named is not None:
            yield draft.finding(
                ("server", "client_ca"),
                None,
                f"missing: {dotted(('boards', name, 'security', 'certificate_name'))} needs server.client_ca",
                "give [server] certificate, certificate_key and client_ca: docs/server.md",
            )
