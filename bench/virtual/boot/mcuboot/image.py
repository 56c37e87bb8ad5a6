"""An image's header and its TLVs, as each version of MCUboot walks through them.

Source: MCUboot design document, "Image format"; recorded by `tests/truth` (mcuboot_acceptance).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from bench.virtual.boot.mcuboot.area import SECTOR, Area, Unreachable

IMAGE_MAGIC = 0x96F3B83D
ERASED_MAGIC = 0xFFFFFFFF
ENCRYPTED = 0x04 | 0x08
NON_BOOTABLE = 0x10
ROM_FIXED = 0x100
COMPRESSED = 0x200 | 0x400 | 0x800
KEY_HASH, SHA256, SECURITY_COUNTER = 0x01, 0x10, 0x50
_PLAIN, _PROTECTED = 0x6907, 0x6908
_HEADER = struct.Struct("<IIHHIIBBHI")
_32_BITS = 0xFFFFFFFF


class Malformed(Exception):
    """TLVs that no MCUboot reads on."""


class Header(NamedTuple):
    magic: int
    load_address: int
    header_size: int
    protected_size: int
    body_size: int
    flags: int
    major: int
    minor: int
    revision: int
    build: int

    @property
    def version(self) -> str:
        return f"{self.major}.{self.minor}.{self.revision}"

    @property
    def number(self) -> tuple[int, int, int]:
        """For comparisons; the build number has no say (BOOT_VERSION_CMP_USE_BUILD_NUMBER is off)."""
        return self.major, self.minor, self.revision

    @property
    def is_image(self) -> bool:
        return self.magic == IMAGE_MAGIC

    @property
    def tlv_offset(self) -> int:
        return (self.header_size + self.body_size) & _32_BITS

    @property
    def covered(self) -> int:
        """Bytes from the start that the hash is made over."""
        return (self.tlv_offset + self.protected_size) & _32_BITS


NO_HEADER = Header(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def header_at(area: Area, offset: int = 0) -> Header:
    """Whatever stands there, a header or not. Raises `Unreachable`."""
    return Header(*_HEADER.unpack(area.read(offset, _HEADER.size)))


def fits(header: Header, area: Area, *, is_main: bool) -> bool:
    """Whether the sizes stay in the area; main also refuses what it has no means for."""
    if not header.is_image:
        return False
    size = header.header_size + header.body_size
    if is_main:
        if header.flags & (ENCRYPTED | COMPRESSED):
            return False
        size += header.protected_size
    return size < area.size


class Tlvs(NamedTuple):
    """Where the entries of an image lie in its area."""

    area: Area
    first: int
    protected_end: int
    end: int
    has_protected: bool
    is_main: bool


class Entry(NamedTuple):
    kind: int
    offset: int
    length: int
    is_protected: bool


def tlvs_of(area: Area, header: Header, start: int, *, is_main: bool) -> Tlvs:
    """Of the image that begins at `start`. Raises `Malformed` or `Unreachable`."""
    offset = header.tlv_offset + start
    magic, total = struct.unpack("<HH", area.read(offset, 4))
    if magic == _PROTECTED:
        if total != header.protected_size:
            raise Malformed
        magic, total = struct.unpack("<HH", area.read(offset + total, 4))
    elif header.protected_size:
        raise Malformed
    if magic != _PLAIN:
        raise Malformed
    end = offset + header.protected_size
    return Tlvs(area, offset + 4, end, end + total, header.protected_size > 0, is_main)


def entries(tlvs: Tlvs, kind: int | None = None, *, protected: bool = False) -> Iterator[Entry]:
    """All entries, or those of a kind, or those of them that are protected. Raises `Malformed`."""
    return (_strictly if tlvs.is_main else _leniently)(tlvs, kind, protected)


def _strictly(tlvs: Tlvs, kind: int | None, protected: bool) -> Iterator[Entry]:
    """Nothing may run beyond its part."""
    position, last = tlvs.first, tlvs.protected_end if protected else tlvs.end
    while position < tlvs.end and not (protected and position >= last):
        if tlvs.has_protected and position == tlvs.protected_end:
            position += 4
            continue
        if position + 4 > last:
            raise Malformed
        found, length = _entry(tlvs.area, position)
        if position + 4 + length > last:
            raise Malformed
        if kind in (None, found):
            yield Entry(found, position + 4, length, position + 4 < tlvs.protected_end)
        position += 4 + length


def _leniently(tlvs: Tlvs, kind: int | None, protected: bool) -> Iterator[Entry]:
    """As long as it can be read."""
    position = tlvs.first
    while position < tlvs.end:
        if tlvs.has_protected and position == tlvs.protected_end:
            position += 4
        found, length = _entry(tlvs.area, position)
        if protected and position >= tlvs.protected_end:
            return
        if kind in (None, found):
            yield Entry(found, position + 4, length, position + 4 < tlvs.protected_end)
        position += 4 + length


def _entry(area: Area, position: int) -> tuple[int, int]:
    try:
        kind, length = struct.unpack("<HH", area.read(position, 4))
    except Unreachable:
        raise Malformed from None
    return kind, length


def image_size(area: Area, header: Header, start: int = 0) -> tuple[int, int]:
    """Up to the TLVs' end, and of the unprotected part. Raises `Malformed` or `Unreachable`."""
    tlvs = tlvs_of(area, header, start, is_main=True)
    return tlvs.end - start, tlvs.end - tlvs.protected_end


def security_counter(area: Area, header: Header, start: int, *, is_main: bool) -> int | None:
    """That of the image's first protected entry; None where it has none, or a damaged one."""
    if not header.protected_size:
        return None
    try:
        tlvs = tlvs_of(area, header, start, is_main=is_main)
        entry = next(entries(tlvs, SECURITY_COUNTER, protected=True), None)
        if entry is None or entry.length != 4:
            return None
        return int.from_bytes(area.read(entry.offset, 4), "little")
    except (Malformed, Unreachable):
        return None


def sectors_of(size: int) -> int:
    return -(-size // SECTOR)
