"""A flash area as MCUboot sees it: a region of the flash in sectors, and where the trailer's fields are.

Source: MCUboot design document, "Image trailer", for write alignments up to 8 bytes. Every read is
checked against the area, as Zephyr's flash map does.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.virtual.boot.mcuboot.options import Options, Upgrade
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

SECTOR = 0x1000
WORD = 4
"""Bytes that are written at once at least (flash_area_align)."""
FIELD = 8
"""Bytes from field to field of a trailer (BOOT_MAX_ALIGN)."""
MAGIC_SIZE = 16
COPY_CHUNK = 1024
"""Bytes that are copied with one write."""


class Unreachable(Exception):
    """An access outside of its area."""


@dataclass(frozen=True, slots=True)
class TrailerLayout:
    """Distances from an area's end, in bytes; `entries` words of swap status lie before the fields."""

    entries: int
    has_tlv_sizes: bool = False
    image_ok: int = MAGIC_SIZE + FIELD
    copy_done: int = MAGIC_SIZE + 2 * FIELD
    swap_info: int = MAGIC_SIZE + 3 * FIELD
    tlv_sizes: int = MAGIC_SIZE + 4 * FIELD

    @property
    def swap_size(self) -> int:
        return MAGIC_SIZE + (5 if self.has_tlv_sizes else 4) * FIELD

    @property
    def size(self) -> int:
        """Of the whole trailer, which begins with the status."""
        return self.swap_size + self.entries * WORD


def slot_layout(options: Options) -> TrailerLayout:
    """Of a slot's trailer: each sector has as many status words as its exchange has steps."""
    if options.upgrade is Upgrade.OFFSET:
        return TrailerLayout(2 * options.max_sectors, has_tlv_sizes=True)
    return TrailerLayout(3 * options.max_sectors)


SCRATCH_LAYOUT = TrailerLayout(3)


class Area:
    """The region `name`; offsets count from its start."""

    def __init__(self, machine: Machine, name: str, trailer: TrailerLayout) -> None:
        self.machine = machine
        self.name = name
        self.trailer = trailer
        region = machine.regions[name]
        self.start, self.size = region.offset, region.size
        self.sectors = region.size // SECTOR

    def read(self, offset: int, length: int) -> bytes:
        """Raises `Unreachable` outside of the area, as `write` and `erase` do."""
        self._check(offset, length)
        return self.machine.flash.read(self.start + offset, length)

    def field(self, distance: int, length: int) -> bytes:
        """What stands `distance` bytes before the area's end."""
        return self.machine.flash.read(self.start + self.size - distance, length)

    @property
    def status_offset(self) -> int:
        return self.size - self.trailer.size

    @property
    def trailer_sector(self) -> int:
        """The first sector that holds some of the trailer."""
        return self.status_offset // SECTOR

    def _check(self, offset: int, length: int) -> None:
        if offset < 0 or offset + length > self.size:
            raise Unreachable(f"{self.name}+{offset:#x}, {length} bytes")

    def write(self, offset: int, data: bytes) -> Steps:
        self._check(offset, len(data))
        yield from self.machine.flash.write(self.start + offset, data, self.machine.now)

    def write_field(self, distance: int, data: bytes) -> Steps:
        """As many whole words as `data` needs, the rest of them as erased."""
        words = -(-len(data) // WORD) * WORD
        yield from self.write(self.size - distance, data.ljust(words, b"\xff"))

    def erase(self, offset: int, length: int) -> Steps:
        """With one call of the flash driver."""
        self._check(offset, length)
        yield from self.machine.flash.erase(self.start + offset, length, self.machine.now)

    def is_erased(self, sector: int) -> bool:
        return self.machine.flash.is_erased(self.start + sector * SECTOR, SECTOR)


def copy(source: Area, offset: int, target: Area, into: int, length: int) -> Steps:
    """To where it was erased before."""
    for done in range(0, length, COPY_CHUNK):
        part = min(COPY_CHUNK, length - done)
        yield from target.write(into + done, source.read(offset + done, part))
