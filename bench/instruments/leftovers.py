"""What an earlier user may have left that makes an output do other than it is told: read, and set back.

Outputs tied together (tracking, pairing, coupling), another mode of regulation, a running list, a delay or a
slow slope at the switch, sense leads that are no longer there. None of it shows in a read-back of the
settings, so it is asked for by itself before the supply is used.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bench.errors import InstrumentError
from bench.instruments.power_supply import SupplyChannel
from bench.instruments.wires.transport import Transport


@dataclass(frozen=True, slots=True)
class Leftover:
    """One such mode. `{n}` in its commands is the output's number; without one it is the whole supply's.

    `asks` are sent in turn, the last is the query. `plain` are the replies that mean that nothing is left,
    in capitals and without quotes; numbers are compared as numbers. `puts` set it back. `certain` says that a
    source confirms the query for every model of the driver: an answer that does not come is a fault then,
    and otherwise only noted. `off_first`: its outputs go off before it is changed.
    """

    what: str
    asks: tuple[str, ...]
    plain: tuple[str, ...]
    puts: tuple[str, ...]
    output: int | None = None
    certain: bool = True
    off_first: bool = True

    def at(self, output: int) -> Leftover:
        """The same of one output."""
        return replace(
            self,
            asks=tuple(ask.format(n=output) for ask in self.asks),
            puts=tuple(put.format(n=output) for put in self.puts),
            output=output,
        )

    def is_plain(self, reply: str) -> bool:
        return any(reply == word or _same_number(reply, word) for word in self.plain)

    def __str__(self) -> str:
        return self.what if self.output is None else f"{self.what} of output {self.output}"


def each(outputs: Iterable[int], modes: Sequence[Leftover]) -> list[Leftover]:
    """Every one of `modes` of every output."""
    return [mode.at(number) for number in outputs for mode in modes]


class Supply(Protocol):
    """What is used of the supply's driver."""

    @property
    def name(self) -> str: ...
    @property
    def transport(self) -> Transport: ...
    @property
    def channels(self) -> Sequence[int]: ...
    def channel(self, number: int) -> SupplyChannel: ...
    def set(self, command: str) -> None: ...
    def switch_off(self) -> None: ...


def set_back(supply: Supply, modes: Iterable[Leftover]) -> None:
    """Ask for each of `modes` and set back what is left; nothing is sent but queries where nothing is.

    What was found is on the timeline, kind "mode". Raises `InstrumentError` where it stays.
    """
    untold: set[str] = set()
    for mode in modes:
        if mode.what in untold:
            continue
        try:
            found = _read(supply, mode)
        except InstrumentError:
            if mode.certain:
                raise
            untold.add(mode.what)
            supply.transport.record("mode", f"{mode.what}: cannot be asked for; left as it is", told=False)
            continue
        if mode.is_plain(found):
            continue
        _set_back(supply, mode, found)


def _set_back(supply: Supply, mode: Leftover, found: str) -> None:
    if mode.off_first:
        _switch_off(supply, mode.output)
    for put in mode.puts:
        supply.set(put)
    if not mode.is_plain(now := _read(supply, mode)):
        raise InstrumentError(
            f"{supply.name}: {mode} was {found!r} and stays {now!r} after {mode.puts[-1]}",
            help="an earlier user has left it: set it back at the front panel, or power-cycle the supply",
        )
    if mode.off_first and mode.output is None:
        supply.switch_off()  # none of them may have followed before
    supply.transport.record("mode", f"{mode}: {found} was left, set to {now}", found=found, now=now)


def _switch_off(supply: Supply, output: int | None) -> None:
    if output is not None:
        supply.channel(output).output = False
        return
    for number in supply.channels:
        with contextlib.suppress(InstrumentError):  # tied together, one of them may refuse
            supply.channel(number).output = False


def _read(supply: Supply, mode: Leftover) -> str:
    *before, query = mode.asks
    for command in before:
        supply.set(command)
    return supply.transport.query(query).strip().strip('"').strip().upper()


def _same_number(reply: str, word: str) -> bool:
    try:
        return float(reply) == float(word)
    except ValueError:
        return False
