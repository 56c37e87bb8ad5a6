"""What every table of a TOML file has in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """Unknown keys are mistakes, and settings do not change after they were read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    written: ClassVar[str] = "give a table here, [name] or { key = value }"
    """How such a table is written, for who has written something else."""


class Mistake(NamedTuple):
    """What a validator has found in its table: `key` in it, the reason, and the cure ("": the usual one)."""

    key: tuple[str, ...]
    reason: str
    cure: str = ""


class Several(ValueError):
    """What a validator raises that looks at more than one thing: none of its mistakes hides another."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(mistake.reason for mistake in mistakes))
        self.mistakes = tuple(mistakes)


def refuse(mistakes: Iterable[Mistake]) -> None:
    """Raise `Several` if there are any."""
    found = list(mistakes)
    if found:
        raise Several(found)
