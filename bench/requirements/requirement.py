"""One row of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Strength(StrEnum):
    """How strongly a clause asks, as in RFC 2119.

    A device that breaks a `MUST` fails its testcase; a `SHOULD` that is not met is reported and fails
    nothing; a `MAY` is what the board file's profile says.
    """

    MUST = "must"
    SHOULD = "should"
    MAY = "may"


@dataclass(frozen=True, slots=True)
class Requirement:
    """`kind` is the table of the file it stands in: who asks for it.

    `source` is the document and `clause` the place in it; `keys` are those of the board file that bear on
    it, such as "profile.resets_in"; `not_testable` is why no testcase can show it, or empty.
    `gap` says that the bench itself has no testcase for it yet: its lack is the bench's, not a run's.
    """

    id: str
    text: str
    kind: str
    strength: Strength = Strength.MUST
    source: str = ""
    clause: str = ""
    keys: tuple[str, ...] = ()
    not_testable: str = ""
    gap: bool = False

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """As a ledger holds it; an older one that knows no strengths asks for all it names."""
        return cls(
            id=row["id"],
            text=row["text"],
            kind=row["kind"],
            strength=Strength(row.get("strength", Strength.MUST)),
            source=row.get("source", ""),
            clause=row.get("clause", ""),
            keys=tuple(row.get("keys", ())),
            not_testable=row.get("not_testable", ""),
            gap=bool(row.get("gap", False)),
        )
