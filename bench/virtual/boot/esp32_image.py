"""What the ESP32's bootloader, and the application before it asks for an image, look at in that image.

Not modelled: the checks of RAM addresses that the bootloader alone makes when it loads (stack, its own data).

Source: ESP-IDF v5.3.1, esp_image_format.c and bootloader_common_loader.c (components/bootloader_support);
address ranges: soc.h of the ESP32. Recordings of `esp_image_verify` in tests/truth. What a read past the end
of the chip gives is not in them: the ROM's read refuses it (recalled, unchecked).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from bench.virtual.boot import slots as checks
from bench.virtual.boot.esp32_log import Print
from bench.virtual.boot.esp32_secure import signature_holds
from bench.virtual.flash import Flash
from bench.virtual.machine import Region

_MAGIC = 0xE9
_CHIP_ID = 0  # ESP32
_HEADER = struct.Struct("<BBBBI4xHBHH4xB")
_SEGMENT = struct.Struct("<II")
_MAX_SEGMENTS = 16
_MAX_LENGTH = 16 << 20  # of a segment and of a partition
_CACHE_PAGE = 0x10000
_MAPPED = (range(0x3F400000, 0x3F800000), range(0x400D0000, 0x40400000))  # DROM, IROM
_LOADED_FROM = 0x10000000  # what goes below is padding
_HASH = 32
_TAG = "esp_image"


class Verdict(NamedTuple):
    """A `slots` verdict, and the image's length in bytes without its signature; 0 when it has none."""

    check: str
    length: int


@dataclass(frozen=True, slots=True)
class Verifier:
    """Verifies images in `flash` for a chip of `revision` (100 is v1.0).

    `trusted` is the digest of the key that must have signed them; with None they need no signature. `loads`:
    the bootloader verifies while it loads, and says so.
    """

    flash: Flash
    revision: int
    trusted: bytes | None
    log: Print
    loads: bool = False

    def verify(self, place: Region) -> Verdict:
        """The image at the start of `place`."""
        if place.size > _MAX_LENGTH:
            return self._refused(f"partition size {place.size:#x} invalid, larger than 16MB")
        header = self._stored(place.offset, _HEADER.size)
        magic, count, *_ = _HEADER.unpack(header)
        if magic != _MAGIC:
            text = f"image at {place.offset:#x} has invalid magic byte (nothing flashed here?)"
            return self._refused(text, checks.UNSUPPORTED)
        if not _is_for_this_chip(header, self.revision, self.log):
            return Verdict(checks.WRONG_BOARD, 0)
        if count > _MAX_SEGMENTS:
            text = f"image at {place.offset:#x} segment count {count} exceeds max {_MAX_SEGMENTS}"
            return self._refused(text, checks.UNSUPPORTED)
        return self._body(place, count, bool(header[-1]))

    def _body(self, place: Region, count: int, hashed: bool) -> Verdict:
        address, checksum = place.offset + _HEADER.size, 0xEF
        for index in range(count):
            if address + _SEGMENT.size > self.flash.size:
                return self._refused(f"bootloader_flash_read failed at 0x{address:08x}")
            target, length = _SEGMENT.unpack(self._stored(address, _SEGMENT.size))
            address += _SEGMENT.size
            if not self._segment_fits(index, address, target, length):
                return Verdict(checks.INTEGRITY, 0)
            if address + length <= self.flash.size:
                checksum ^= _folded(self.flash.read(address, length))
            address += length
        address += 15 - (address - place.offset) % 16
        if address >= self.flash.size:
            return Verdict(checks.INTEGRITY, 0)
        (stored,) = self._stored(address, 1)
        if stored != checksum:
            return self._refused(f"Checksum failed. Calculated {checksum:#x} read {stored:#x}")
        end = address + 1 - place.offset
        length = end + (_HASH if hashed else 0)
        if length > place.size:
            return self._refused(f"Image length {length} doesn't fit in partition length {place.size}")
        if self.trusted is not None:
            return self._signed(place, length, hashed)
        if hashed and not self._hash_fits(place, length, hashed):
            return Verdict(checks.INTEGRITY, 0)
        return Verdict(checks.OK, length)

    def _segment_fits(self, index: int, address: int, target: int, length: int) -> bool:
        if length % 4 or length >= _MAX_LENGTH:
            self._refused(f"invalid segment length {length:#x}")
            return False
        mapped = any(target in window for window in _MAPPED)
        if mapped and address % _CACHE_PAGE != target % _CACHE_PAGE:
            self._refused(f"Segment {index} load address 0x{target:08x}, doesn't match data 0x{address:08x}")
            return False
        how = "map" if mapped else "load" if self.loads and target >= _LOADED_FROM else ""
        line = (
            f"segment {index}: paddr={address:08x} vaddr={target:08x} size={length:05x}h ({length:6}) {how}"
        )
        self.log(line, tag=_TAG)
        return True

    def _signed(self, place: Region, length: int, hashed: bool) -> Verdict:
        """The signature covers the appended hash, which nobody compares once the signature is right."""
        self.log("Verifying image signature...", tag=_TAG)
        assert self.trusted is not None
        if signature_holds(partial(self._within, place), length, self.trusted):
            return Verdict(checks.OK, length)
        self.log("Secure boot signature verification failed", "E", _TAG)
        self.log("Calculating simple hash to check for corruption...", tag=_TAG)
        if self._hash_fits(place, length, hashed):
            self.log("image valid, signature bad", "W", _TAG)
            return Verdict(checks.SIGNATURE, 0)
        self.log("image corrupted on flash", "W", _TAG)
        return Verdict(checks.INTEGRITY, 0)

    def _hash_fits(self, place: Region, length: int, hashed: bool) -> bool:
        """`length` counts 32 bytes for the hash, also where a signed image has none: then it never fits."""
        digest = self._within(place, length - _HASH, _HASH) if hashed else bytes(_HASH)
        if hashlib.sha256(self._within(place, 0, length - _HASH)).digest() == digest:
            return True
        self._refused("Image hash failed - image is corrupt")
        return False

    def _refused(self, text: str, check: str = checks.INTEGRITY) -> Verdict:
        self.log(text, "E", _TAG)
        return Verdict(check, 0)

    def _within(self, place: Region, offset: int, length: int) -> bytes:
        return self._stored(place.offset + offset, length)

    def _stored(self, address: int, length: int) -> bytes:
        """Ones where there is no flash."""
        there = max(0, min(length, self.flash.size - address))
        return (self.flash.read(address, there) if there else b"").ljust(length, b"\xff")


def _is_for_this_chip(header: bytes, revision: int, log: Print) -> bool:
    """By chip and by its revision; a highest revision of 0 or 65535 is none."""
    *_, chip, _, lowest, highest, _ = _HEADER.unpack(header)
    if chip != _CHIP_ID:
        log(f"mismatch chip ID, expected {_CHIP_ID}, found {chip}", "E", "boot_comm")
        return False
    for wrong, relation, limit in (
        (lowest > revision, ">=", lowest),
        (highest not in (0, 0xFFFF) and revision > highest, "<=", highest),
    ):
        if wrong:
            wanted, found = (f"v{number // 100}.{number % 100}" for number in (limit, revision))
            text = f"chip revision check failed. Required {relation} {wanted}, found {found}."
            log(text, "E", "boot_comm")
            return False
    return True


def _folded(data: bytes) -> int:
    """XOR of all bytes, by halves."""
    value, width = int.from_bytes(data, "little"), 1
    while width < len(data):
        width *= 2
    while width > 1:
        width //= 2
        value = (value >> (8 * width)) ^ (value & ((1 << (8 * width)) - 1))
    return value
