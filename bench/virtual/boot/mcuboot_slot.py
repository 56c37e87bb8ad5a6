"""A slot of MCUboot in the flash: its image header, and the trailer that says what to do with it.

Source: MCUboot design document, "Image format" and "Image trailer".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from bench.virtual.machine import Machine
from bench.virtual.process import Steps

SECTOR = 0x1000
IMAGE_MAGIC = 0x96F3B83D
TRAILER_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
DONE = b"\x01\xff\xff\xff"
_ALIGN = 8  # spacing of the trailer's flags
_STATUS_UNIT = 4  # one word for each finished step of a swap

PRIMARY, SECONDARY = "slot0", "slot1"


class SwapType(IntEnum):
    NONE = 1
    TEST = 2
    PERMANENT = 3
    REVERT = 4
    FAIL = 5


@dataclass(frozen=True, slots=True)
class Header:
    version: str
    header_size: int
    body_size: int
    protected_size: int

    @property
    def covered(self) -> int:
        return self.header_size + self.body_size + self.protected_size


@dataclass(frozen=True, slots=True)
class Trailer:
    magic: bool
    erased: bool
    image_ok: int | None
    copy_done: int | None
    swap_info: int | None


class Slot:
    """One application slot in the flash, with an image that begins in its sector `first`.

    `read` and `write` count from the image's start, `read_at` and `write_at` from the slot's.
    """

    def __init__(self, machine: Machine, name: str, first: int = 0) -> None:
        self.machine = machine
        self.name = name
        self.first = first
        self.region = machine.regions[name]
        self.sectors = self.region.size // SECTOR

    def read(self, offset: int, length: int) -> bytes:
        return self.read_at(self.first * SECTOR + offset, length)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self.write_at(self.first * SECTOR + offset, data)

    def read_at(self, offset: int, length: int) -> bytes:
        return self.machine.flash.read(self.region.offset + offset, length)

    def write_at(self, offset: int, data: bytes) -> Steps:
        yield from self.machine.flash.write(self.region.offset + offset, data, self.machine.now)

    def erase_sector(self, number: int) -> Steps:
        start = self.region.offset + number * SECTOR
        yield from self.machine.flash.erase(start, SECTOR, self.machine.now)

    def is_erased(self, number: int) -> bool:
        return self.machine.flash.is_erased(self.region.offset + number * SECTOR, SECTOR)

    def header(self) -> Header | None:
        data = self.read(0, 32)
        magic, _, header_size, protected, size = struct.unpack_from("<IIHHI", data)
        if magic != IMAGE_MAGIC or header_size < 32:
            return None
        if header_size + size + protected + 4 > (self.trailer_sector - self.first) * SECTOR:
            return None
        major, minor, revision = struct.unpack_from("<BBH", data, 20)
        return Header(f"{major}.{minor}.{revision}", header_size, size, protected)

    def total_size(self) -> int:
        """Bytes up to the end of the TLVs; 0 without an image."""
        header = self.header()
        if header is None:
            return 0
        end = header.covered
        magic, length = struct.unpack("<HH", self.read(end, 4))
        room = self.region.size - self.first * SECTOR
        return end + length if magic == 0x6907 and end + length <= room else end

    # ---- trailer, in the last sector

    @property
    def trailer_sector(self) -> int:
        return self.sectors - 1

    @property
    def flag_offsets(self) -> tuple[int, int, int, int]:
        """Of image OK, copy done, swap info and swap size."""
        end = self.region.size - 16
        return end - _ALIGN, end - 2 * _ALIGN, end - 3 * _ALIGN, end - 4 * _ALIGN

    def trailer(self) -> Trailer:
        def flag(offset: int) -> int | None:
            value = self.read_at(offset, 1)[0]
            return None if value == 0xFF else value

        magic = self.read_at(self.region.size - 16, 16)
        ok, done, info, _ = self.flag_offsets
        return Trailer(magic == TRAILER_MAGIC, magic == b"\xff" * 16, flag(ok), flag(done), flag(info))

    def status_offset(self, step: int) -> int:
        return self.trailer_sector * SECTOR + step * _STATUS_UNIT

    def steps_done(self) -> int:
        done = 0
        while self.read_at(self.status_offset(done), _STATUS_UNIT) == DONE:
            done += 1
        return done

    def swap_size(self) -> int:
        (size,) = struct.unpack("<I", self.read_at(self.flag_offsets[3], 4))
        return int(size)


def erase_slot(slot: Slot, start: int = 0) -> Steps:
    """From `start` of the image on, or all of the slot."""
    first = slot.first + start // SECTOR if start else 0
    for number in range(first, slot.sectors):
        if not slot.is_erased(number):
            yield from slot.erase_sector(number)
