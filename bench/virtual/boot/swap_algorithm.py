"""What MCUboot's ways to swap have in common: a plan of sector copies, each recorded when it is done.

A step only destroys what an earlier, recorded step has copied elsewhere; then the step that a
power loss interrupted can simply be done again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bench.virtual.boot.mcuboot_slot import Slot, SwapType


class Slots(NamedTuple):
    """The places of a swap; `scratch` is None on boards that have no such region."""

    primary: Slot
    secondary: Slot
    scratch: Slot | None


class Copy(NamedTuple):
    """One sector (number) of a slot, to a sector of another that is erased first."""

    source: Slot
    number: int
    target: Slot
    into: int


Step = tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class SwapAlgorithm:
    """`plan(slots, count, kind)` are the steps that swap the first `count` sectors.

    `leftover(slots, count, kind)` is a sector that still holds a copy after them, if any. An update
    begins in sector `update_sector` of the secondary slot; `spare` sectors of a slot, beside the
    trailer's, cannot hold any of it.
    """

    name: str
    update_sector: int
    spare: int
    plan: Callable[[Slots, int, SwapType], Sequence[Step]]
    leftover: Callable[[Slots, int, SwapType], tuple[Slot, int] | None]
