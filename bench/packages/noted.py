"""What was asked and answered, noted in bounded memory: anybody may ask for a package."""

from __future__ import annotations

from collections.abc import Hashable
from typing import SupportsIndex, TypeVar

T = TypeVar("T", bound=Hashable)

MOST = 200_000
"""Notes of a package: a download of 3 MB in blocks of 16 bytes. Of more the older half goes."""
ALIKE = 10_000
"""Different notes of which each is held once: the blocks of a package in one size."""


class Noted(list[T]):
    """A list of the latest notes; equal ones are one object, so that a note costs a reference."""

    def __init__(self, most: int = MOST) -> None:
        super().__init__()
        self._most = most
        self._held: dict[T, T] = {}

    def append(self, note: T, /) -> None:
        if len(self) >= self._most:
            del self[: -(self._most // 2)]
        if len(self._held) >= ALIKE:
            self._held.clear()
        super().append(self._held.setdefault(note, note))

    def insert(self, index: SupportsIndex, note: T, /) -> None:
        raise TypeError("notes follow one another: append")
