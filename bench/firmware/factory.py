"""Where the parts beside the application lie in a flash, and where they must not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench.config import BoardType

ALONE = "give the parts beside the application alone, for example the bootloader"


@dataclass(frozen=True, slots=True)
class Extent:
    """`start` to before `end`, the chip's own addresses; `name` says what lies there."""

    name: str
    start: int
    end: int

    def overlaps(self, other: Extent) -> bool:
        return self.start < other.end and other.start < self.end

    def __str__(self) -> str:
        return f"{self.name} at {self.start:#x} to {self.end:#x}"


def misplaced(parts: Iterable[Extent], board_type: BoardType) -> Iterator[tuple[Extent, str, str]]:
    """Each part that cannot lie where it is to lie: with the reason, and the cure.

    What lies over something else would be erased with it, and the board be another than it seems.
    """
    regions = [Extent(name, r.offset, r.offset + r.size) for name, r in board_type.regions.items()]
    named = board_type.firmware.slots
    slots = [Extent(f"the slot {r.name!r}", r.start, r.end) for r in regions if r.name in named]
    slots += [
        Extent(f"the region {r.name!r}, which is not the bench's to write,", r.start, r.end)
        for r in regions
        if r.name in board_type.firmware.kept
    ]
    taken: list[Extent] = []
    for part in parts:
        if part.start == part.end:
            yield part, "is empty", "name the file that was built"
            continue
        over = next((other for other in (*slots, *taken) if part.overlaps(other)), None)
        taken.append(Extent(f"the factory part {part.name}", part.start, part.end))
        place = f"lies at {part.start:#x} to {part.end:#x}"
        if over is not None:
            yield part, f"{place}, over {over}", ALONE
            continue
        held = next((region for region in regions if region.start <= part.start < region.end), None)
        size = board_type.flash_size
        if held is None and part.end > size:
            yield part, f"{place}, beyond the flash of {size:#x} bytes", "correct the address"
        elif held is not None and part.end > held.end:
            into = [region for region in regions if region.start >= held.end and part.overlaps(region)]
            if into or part.end > size:
                what = f"into {into[0].name!r}" if into else "and of the flash"
                reason = f"{place}, out of the region {held.name!r} (to {held.end:#x}) {what}"
                yield part, reason, "correct the address, or give each region's part by itself"
