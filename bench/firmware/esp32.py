"""ESP32 images, for looking at files and at flash read back; partition tables and OTA data beside them.

Source: ESP-IDF programming guide, "App image format".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from bench.errors import ImageError
from bench.firmware.esp32_otadata import (
    SECTOR,
    OtaEntry,
    OtaState,
    active_ota_slot,
    next_ota_slot,
    parse_otadata,
)
from bench.firmware.esp32_partitions import Partition, PartitionTable, parse_partition_table

__all__ = [
    "SECTOR",
    "Esp32Image",
    "OtaEntry",
    "OtaState",
    "Partition",
    "PartitionTable",
    "active_ota_slot",
    "next_ota_slot",
    "parse",
    "parse_otadata",
    "parse_partition_table",
]

IMAGE_MAGIC = 0xE9
DESCRIPTOR_MAGIC = 0xABCD5432
MAX_SEGMENTS = 16


@dataclass(frozen=True, slots=True)
class Esp32Image:
    """The parts of an application image. `total_size` includes checksum and appended SHA-256."""

    version: str
    project: str
    chip_id: int
    entry: int
    segments: tuple[tuple[int, int], ...]
    checksum_right: bool
    hash_right: bool | None
    total_size: int


def parse(data: bytes) -> Esp32Image:
    """Take an application image apart. Raises `ImageError` naming what is wrong."""
    if len(data) < 24:
        raise ImageError(f"{len(data)} bytes are less than an image header of 24")
    magic, count, _, _, entry = struct.unpack_from("<BBBBI", data)
    (chip_id,) = struct.unpack_from("<H", data, 12)
    if magic != IMAGE_MAGIC:
        raise ImageError(f"magic {magic:#04x} is not {IMAGE_MAGIC:#04x}")
    if not 1 <= count <= MAX_SEGMENTS:
        raise ImageError(f"{count} segments; 1 to {MAX_SEGMENTS} are allowed")
    position, checksum, segments = 24, 0xEF, []
    for number in range(count):
        if position + 8 > len(data):
            raise ImageError(f"the header of segment {number} is cut off")
        address, length = struct.unpack_from("<II", data, position)
        position += 8
        if position + length > len(data):
            raise ImageError(f"segment {number} of {length} bytes runs beyond the file")
        checksum ^= _all_together(data[position : position + length])
        segments.append((address, length))
        position += length
    position += 15 - position % 16  # the checksum is the last byte of a 16-byte row
    if position >= len(data):
        raise ImageError("the checksum is cut off")
    checksum_right = data[position] == checksum
    position += 1
    hash_right = None
    if data[23] == 1:
        if position + 32 > len(data):
            raise ImageError("the appended SHA-256 is cut off")
        hash_right = data[position : position + 32] == hashlib.sha256(data[:position]).digest()
        position += 32
    version, project = _descriptor(data)
    return Esp32Image(version, project, chip_id, entry, tuple(segments), checksum_right, hash_right, position)


def _all_together(data: bytes) -> int:
    """Every byte by XOR, half upon half: a slot's bytes one by one would take a tenth of a second."""
    value, length = int.from_bytes(data, "little"), len(data)
    while length > 1:
        length = (length + 1) // 2
        value = (value >> 8 * length) ^ (value & ((1 << 8 * length) - 1))
    return value


def _descriptor(data: bytes) -> tuple[str, str]:
    """Version and project of the application descriptor, which begins the first segment."""
    if len(data) < 32 + 256 or struct.unpack_from("<I", data, 32)[0] != DESCRIPTOR_MAGIC:
        raise ImageError("there is no application descriptor at the start of the first segment")
    version = data[32 + 16 : 32 + 48].split(b"\0")[0].decode("utf-8", "replace")
    project = data[32 + 48 : 32 + 80].split(b"\0")[0].decode("utf-8", "replace")
    return version, project
