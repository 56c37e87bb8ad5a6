"""A bench file on its way to settings: what is sound of it, for the rules that look across its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.board_type import BoardType
from bench.config.finding import Finding, shown
from bench.config.process import ProcessType
from bench.config.shape import Part, dotted

Plain = Mapping[str, Any]
AnyBoardType = BoardType | ProcessType


@dataclass(frozen=True)
class Draft:
    """The tables of a bench file as plain values. What is there has the type that its settings have; what
    was wrong is not there, nor what the file leaves to a default.

    `types` are the board files that are right, by their names; `wanted` are the boards that are used.
    """

    file: Path
    tables: Plain
    types: Mapping[str, AnyBoardType]
    wanted: frozenset[str]
    has_plant: bool
    """Whether something else than hardware stands behind the wires: then it chooses the addresses."""

    def table(self, *names: str) -> Plain:
        """A table in it; empty where there is none."""
        found: Any = self.tables
        for name in names:
            found = found.get(name) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @property
    def boards(self) -> Mapping[str, Plain]:
        return {name: self.table("boards", name) for name in self.table("boards")}

    @property
    def instruments(self) -> Mapping[str, Plain]:
        return {name: self.table("instruments", name) for name in self.table("instruments")}

    def type_of(self, board: str) -> AnyBoardType | None:
        """What a board is, where its board file is right."""
        return self.types.get(str(self.boards[board].get("type")))

    def is_hardware(self, board: str) -> bool:
        """Whether it has wires of its own; else it is a program on this PC."""
        return bool({"console", "flasher", "supply"} & self.boards[board].keys())

    def finding(self, key: Sequence[Part], value: Any, reason: str, cure: str) -> Finding:
        """A mistake in this file, at a key."""
        where = dotted(key)
        return Finding(self.file, where, shown(where, value), reason, cure)


Rule = Callable[[Draft], Iterable[Finding]]
"""Looks at one thing that can be wrong, and names each place where it is."""
