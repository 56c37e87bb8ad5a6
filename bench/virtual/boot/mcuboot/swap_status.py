"""How far a swap is: words in the trailer's status area, one for each copy that is done.

Source: MCUboot design document, "Swap status"; places and values recorded by `tests/truth`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from bench.virtual.boot.mcuboot.area import WORD, Area
from bench.virtual.boot.mcuboot.boot_state import BootState
from bench.virtual.boot.mcuboot.image import Header
from bench.virtual.boot.mcuboot.trailer import (
    Flag,
    Magic,
    SwapType,
    magic_of,
    swap_state,
    write_image_ok,
    write_magic,
    write_swap_info,
    write_swap_size,
)
from bench.virtual.process import Steps

FIRST = 1
"""Of an exchange, and of the steps in it."""


class Source(Enum):
    """Where the status of an interrupted swap stands."""

    NONE = auto()
    SCRATCH = auto()
    PRIMARY = auto()


@dataclass(slots=True)
class SwapStatus:
    """The next step is number `step` of exchange `exchange`, in the second phase or the first.

    Only a swap by moving has a first phase, `moving`, in which the primary image goes up.
    """

    moving: bool
    starts_moving: bool
    exchange: int = FIRST
    step: int = FIRST
    swap_type: int = int(SwapType.NONE)
    swap_size: int = 0
    source: Source = Source.NONE
    in_scratch: bool = False

    @property
    def at_start(self) -> bool:
        """Nothing is done yet."""
        return self.moving == self.starts_moving and self.exchange == FIRST and self.step == FIRST


def fresh(starts_moving: bool) -> SwapStatus:
    return SwapStatus(starts_moving, starts_moving)


class Swap(Protocol):
    """A way to exchange the images. `header` reads where it is at the moment; it raises `Unreachable`."""

    name: str
    starts_moving: bool
    rereads_headers: bool
    """Whether headers are read once more when the status is known."""
    finds_headers: bool
    """Whether it knows where they are then, so that each must be one."""

    @property
    def largest_image(self) -> int: ...
    def are_slots_compatible(self) -> bool: ...
    def source(self) -> Source: ...
    def read_progress(self, area: Area, status: SwapStatus) -> None: ...
    def header(self, slot: int, status: SwapStatus | None) -> Header: ...
    def image_size(self, slot: int) -> int: ...
    def run(self, status: SwapStatus, size: int) -> Steps: ...


def status_words(area: Area) -> list[bool]:
    """Which words of the area's status are written, from the first to the last."""
    entries = area.trailer.entries
    data = area.read(area.status_offset, entries * WORD)
    return [data[at] != 0xFF for at in range(0, entries * WORD, WORD)]


def last_written(area: Area) -> int:
    """How many words there are up to the last one that is written; 0 when none is."""
    words = status_words(area)
    return next((number for number in range(len(words), 0, -1) if words[number - 1]), 0)


def write_word(area: Area, number: int, step: int) -> Steps:
    """Say that a step is done; `number` counts from 0."""
    yield from area.write(area.status_offset + number * WORD, bytes([step]).ljust(WORD, b"\xff"))


def begin(boot: BootState, area: Area, status: SwapStatus) -> Steps:
    """A trailer that describes the swap to come; its magic is written last."""
    confirmed = swap_state(boot.secondary).image_ok is Flag.SET
    if status.swap_type != SwapType.NONE:
        yield from write_swap_info(area, status.swap_type)
    if confirmed:
        yield from write_image_ok(area)
    yield from write_swap_size(area, status.swap_size)
    if area.trailer.has_tlv_sizes:
        primary, secondary = boot.tlv_sizes
        sizes = primary.to_bytes(2, "little") + secondary.to_bytes(2, "little")
        yield from area.write_field(area.trailer.tlv_sizes, sizes)
    yield from write_magic(area)


def find_status_area(boot: BootState) -> Area:
    """The scratch area where its magic is good, the primary slot otherwise, good or not."""
    if boot.scratch is not None and magic_of(boot.scratch) is Magic.GOOD:
        return boot.scratch
    return boot.primary


def source_by_slots(boot: BootState) -> Source:
    """Of a swap without scratch: only while nothing new is asked for."""
    primary, secondary = swap_state(boot.primary), swap_state(boot.secondary)
    boot.log("I", f"Primary image: {primary}")
    boot.log("I", f"Secondary image: {secondary}")
    begun = primary.magic is Magic.GOOD and primary.copy_done is Flag.UNSET
    if begun and secondary.magic is not Magic.GOOD:
        boot.log("I", "Boot source: primary slot")
        return Source.PRIMARY
    boot.log("I", "Boot source: none")
    return Source.NONE


def too_large(boot: BootState, last: int, status: SwapStatus) -> bool:
    """Whether a swap that is to begin does not fit; then it is told, and comes to nothing."""
    first_of_trailer = boot.primary.trailer_sector
    if not status.at_start or last < first_of_trailer:
        return False
    sector = boot.machine.flash.page
    boot.log("W", "Not enough free space to run swap upgrade")
    boot.log(
        "W",
        f"required {(last + 1) * sector} bytes but only {first_of_trailer * sector} are available",
    )
    status.swap_type = int(SwapType.NONE)
    return True
