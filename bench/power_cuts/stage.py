"""What a sweep needs of a virtual board beside its wires: its flash operations, and the state after a cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FlashOperation:
    """One erase of a page, or one write, as it began.

    `number` counts from 0; `time` is bench seconds; `region` is the region of the board file that it
    is in, and `offset` its place there.
    """

    number: int
    time: float
    kind: str
    region: str
    offset: int
    length: int


class FlashStage(Protocol):
    """One virtual board whose flash can be watched, and put into the state that a cut leaves."""

    def record(self) -> None:
        """Note every flash operation from now on."""
        ...

    def stop(self) -> Sequence[FlashOperation]:
        """No more; what was noted. Raises `PlantError` if the flash changed by anything else."""
        ...

    def put(self, operation: int, share: float, stream: str) -> None:
        """With the board off: what a cut leaves after `share` of the operation's time; 0 is before it.

        Everything random on the board follows from `stream` from then on.
        """
        ...

    def count(self) -> None:
        """Count the flash operations from now on, from 0."""
        ...

    def expect(self, operation: int, share: float) -> None:
        """Count likewise, and be `reached` once `share` of that operation's time has passed."""
        ...

    @property
    def counted(self) -> int: ...
    @property
    def reached(self) -> bool: ...

    def content(self, region: str, length: int) -> bytes:
        """What the array holds at the start of a region."""
        ...

    def end(self, region: str, length: int) -> bytes:
        """What the array holds at the end of a region."""
        ...

    def digest(self) -> str:
        """Of everything that survives without power."""
        ...

    def wear(self) -> Mapping[int, int]:
        """Erases of each page so far, by the page's address."""
        ...
