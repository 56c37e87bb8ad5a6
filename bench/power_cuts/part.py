"""A part of a sweep: of every so many flash operations one. All parts together are the sweep."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.errors import ConfigError


@dataclass(frozen=True, slots=True)
class SweepPart:
    """The `number`th (from 1) of `of` parts; as text `3/8`. The one of one is the whole sweep."""

    number: int = 1
    of: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def is_whole(self) -> bool:
        return self.of == 1

    @property
    def left_out(self) -> str:
        """What a run of this part says of itself."""
        return f"--sweep-part {self}: of every {self.of} flash operations the sweeps cut one"

    def holds(self, operation: int) -> bool:
        """Whether the flash operation of this number is cut."""
        return operation % self.of == self.number - 1


WHOLE = SweepPart()


def parse_part(text: str) -> SweepPart:
    """The part that a text such as `3/8` names. Raises `ConfigError` for what is none."""
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if match is None or not 1 <= int(match[1]) <= int(match[2]):
        raise ConfigError(
            f"{text!r} is no part of a sweep", help="give which of how many, from 1: --sweep-part 3/8"
        )
    return SweepPart(int(match[1]), int(match[2]))
