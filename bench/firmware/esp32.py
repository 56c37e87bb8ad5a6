"""ESP32 application images, partition table and OTA data, for looking at files and at flash read back.

Source: ESP-IDF programming guide, "App image format", "Partition tables", "Over the air updates".
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from bench.errors import ImageError

IMAGE_MAGIC = 0xE9
DESCRIPTOR_MAGIC = 0xABCD5432
PARTITION_MAGIC = 0x50AA
PARTITION_MD5_MAGIC = 0xEBEB
SECTOR = 0x1000
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
        for byte in data[position : position + length]:
            checksum ^= byte
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


def _descriptor(data: bytes) -> tuple[str, str]:
    """Version and project of the application descriptor, which begins the first segment."""
    if len(data) < 32 + 256 or struct.unpack_from("<I", data, 32)[0] != DESCRIPTOR_MAGIC:
        raise ImageError("there is no application descriptor at the start of the first segment")
    version = data[32 + 16 : 32 + 48].split(b"\0")[0].decode("utf-8", "replace")
    project = data[32 + 48 : 32 + 80].split(b"\0")[0].decode("utf-8", "replace")
    return version, project


# ---- partition table ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Partition:
    """One row: `kind` 0 application, 1 data; `offset` and `size` in bytes."""

    label: str
    kind: int
    subtype: int
    offset: int
    size: int


def parse_partition_table(data: bytes) -> list[Partition]:
    """The rows of a partition table read from flash. Raises `ImageError` when its MD5 row is wrong."""
    rows = []
    for start in range(0, len(data) - 31, 32):
        (magic,) = struct.unpack_from("<H", data, start)
        if magic == PARTITION_MAGIC:
            kind, subtype, offset, size = struct.unpack_from("<BBII", data, start + 2)
            label = data[start + 12 : start + 28].split(b"\0")[0].decode("utf-8", "replace")
            rows.append(Partition(label, kind, subtype, offset, size))
        elif magic == PARTITION_MD5_MAGIC:
            if data[start + 16 : start + 32] != hashlib.md5(data[:start]).digest():
                raise ImageError("the partition table's MD5 does not fit its rows")
            break
        elif magic == 0xFFFF:
            break
        else:
            raise ImageError(f"partition row at {start:#x} has magic {magic:#06x}")
    return rows


# ---- OTA data -------------------------------------------------------------------------------------


class OtaState(IntEnum):
    NEW = 0
    PENDING_VERIFY = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4
    UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class OtaEntry:
    """One of the two OTA data sectors; the slot it names is (`sequence` - 1) modulo the slot count."""

    sequence: int
    state: OtaState


def parse_otadata(data: bytes) -> tuple[OtaEntry | None, OtaEntry | None]:
    """Both sectors; None where the sector is erased or its CRC (over the sequence only) is wrong."""
    if len(data) < 2 * SECTOR:
        raise ImageError(f"{len(data)} bytes are less than the two OTA data sectors")
    first, second = (_ota_entry(data[start : start + 32]) for start in (0, SECTOR))
    return first, second


def _ota_entry(data: bytes) -> OtaEntry | None:
    sequence, state, crc = struct.unpack("<I20xII", data)
    if sequence in (0, 0xFFFFFFFF) or crc != zlib.crc32(data[:4], 0xFFFFFFFF) & 0xFFFFFFFF:
        return None
    return OtaEntry(sequence, OtaState(state) if state in set(OtaState) else OtaState.UNDEFINED)


def active_ota_slot(otadata: bytes, slots: int) -> int:
    """The slot the bootloader will choose: highest sequence that is not INVALID or ABORTED; else 0."""
    usable = [
        e
        for e in parse_otadata(otadata)
        if e is not None and e.state not in (OtaState.INVALID, OtaState.ABORTED)
    ]
    return (max(e.sequence for e in usable) - 1) % slots if usable else 0
