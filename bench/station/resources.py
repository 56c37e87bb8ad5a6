"""What a run with a bench file touches, each by a name that is the same in every bench file of this PC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bench.config import BenchSettings, BoardSettings, RomSerialAttachment, SwdAttachment
from bench.config.rules.twice import is_serial, network_address, serial_port
from bench.instruments.models import DRIVERS
from bench.locks import Resource

OUTPUT = "output"
"""Kind of an output or path of an instrument."""


def resources_of(settings: BenchSettings) -> set[Resource]:
    """Boards, probes, ports and outputs of instruments, for as many of them as `settings` have.

    Programs on this PC are no resource: each run has its own. Settings of a plant are none either.
    """
    found = set[Resource]()
    for name, board in settings.boards.items():
        if isinstance(board, BoardSettings):
            found.update(_of_board(name, board))
    for name in settings.instruments:
        found.update(_of_instrument(settings, name))
    return found


def guarded_outputs(settings: BenchSettings, supplies: Iterable[str]) -> set[Resource]:
    """The outputs of `supplies` that a run switches on, and off at its end."""
    return {resource for name in supplies for resource in _of_instrument(settings, name)}


def outputs_used(settings: BenchSettings, name: str) -> tuple[str, ...]:
    """The outputs of an instrument that boards of the bench file hang on; all of it where none does."""
    named = {
        output
        for board in settings.boards.values()
        if isinstance(board, BoardSettings)
        for key in (board.supply, board.attenuator, board.meter)
        if key is not None
        for instrument, _, output in [key.partition(":")]
        if instrument == name
    }
    driver = DRIVERS.get(settings.instruments[name].driver)
    return tuple(sorted(named)) or ((driver.outputs or ("all",)) if driver is not None else ("all",))


def supply_outputs(settings: BenchSettings, name: str) -> tuple[int, ...]:
    """`outputs_used` of a supply, as numbers; empty: all of it."""
    return tuple(int(output) for output in outputs_used(settings, name) if output.isdecimal())


def _of_board(name: str, board: BoardSettings) -> Iterator[Resource]:
    yield Resource("board", board.serial.casefold(), f"boards.{name}.serial")
    yield Resource("port", serial_port(board.console), f"boards.{name}.console")
    match board.flasher:
        case SwdAttachment(uid=uid):
            yield Resource("probe", uid.casefold(), f"boards.{name}.flasher.uid")
        case RomSerialAttachment():  # on the console's port
            pass


def _of_instrument(settings: BenchSettings, name: str) -> Iterator[Resource]:
    address = settings.instruments[name].address
    same = serial_port(address) if is_serial(address) else network_address(address)
    for output in outputs_used(settings, name):
        yield Resource(OUTPUT, f"{same} {output}", f"instruments.{name}")
