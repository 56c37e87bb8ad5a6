"""What the ESP32's second-stage bootloader holds against an application in the flash.

`bench.firmware.esp32` takes files apart and is stricter; this accepts what the bootloader starts.

Sources: ESP-IDF programming guide, "App Image Format" and "Secure Boot v2"; ESP-IDF,
components/bootloader_support/src/esp_image_format.c and `bootloader_common_check_chip_validity` in
bootloader_common_loader.c.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

from bench.errors import ImageError
from bench.firmware.esp32 import IMAGE_MAGIC, MAX_SEGMENTS, SECTOR

CHIP_ID = 0
"""In the extended header of an image for an ESP32 (esp_chip_id_t); the ESP32-S2 has 2, the C3 5."""

_HEADER, _SEGMENT, _HASH = 24, 8, 32
_MMU_PAGE = 0x10000
_MAPPED = range(0x3F400000, 0x3F800000), range(0x400C2000, 0x40C00000)
"""Data and code that run from the flash (soc.h: SOC_DROM, SOC_IROM of the ESP32)."""
_ANY_REVISION = (0, 0xFFFF)

_SIGNATURE_BLOCK, _SIGNATURE_BLOCKS = 1216, 3
_PUBLIC_KEY = slice(36, 812)

Read = Callable[[int, int], bytes]
"""Bytes of the image: from which of its own offsets, and how many."""


def revision_fault(header: bytes, revision: int) -> str | None:
    """Why an image is not for a chip of this revision (100 is v1.0), or None."""
    low, high = struct.unpack_from("<HH", header, 15)
    if revision < low:
        return (
            f"needs chip revision v{low // 100}.{low % 100}, the chip is v{revision // 100}.{revision % 100}"
        )
    if high not in _ANY_REVISION and revision > high:
        return (
            f"is for chips up to v{high // 100}.{high % 100}, the chip is v{revision // 100}.{revision % 100}"
        )
    return None


def image_length(read: Read, *, offset: int, size: int, revision: int) -> int:
    """Bytes up to the end of the checksum or of the appended SHA-256, by the headers alone.

    The image lies at `offset` of the flash, in a partition of `size` bytes. Raises `ImageError` naming
    what the bootloader refuses.
    """
    header = read(0, _HEADER)
    if header[0] != IMAGE_MAGIC:
        raise ImageError(f"magic {header[0]:#04x} is not {IMAGE_MAGIC:#04x}")
    (chip_id,) = struct.unpack_from("<H", header, 12)
    if chip_id != CHIP_ID:
        raise ImageError(f"it is for the chip with id {chip_id}, not {CHIP_ID}")
    if fault := revision_fault(header, revision):
        raise ImageError(f"it {fault}")
    if header[1] > MAX_SEGMENTS:
        raise ImageError(f"{header[1]} segments; {MAX_SEGMENTS} are allowed")
    position = _HEADER
    for number in range(header[1]):
        if position + _SEGMENT > size:
            raise ImageError(f"the header of segment {number} lies beyond the partition")
        address, length = struct.unpack("<II", read(position, _SEGMENT))
        position += _SEGMENT
        if length % 4 or position + length > size:
            raise ImageError(f"segment {number} has a length of {length} bytes")
        mapped = any(address in area for area in _MAPPED)
        if mapped and (offset + position - address) % _MMU_PAGE:
            raise ImageError(f"segment {number} at {address:#x} cannot be mapped from {offset + position:#x}")
        position += length
    position += 16 - position % 16
    return position + (_HASH if header[23] else 0)


def signed_length(length: int) -> int:
    """With the sector of signatures behind it."""
    return -(-length // SECTOR) * SECTOR + SECTOR


def verify(data: bytes, length: int, *, trusted: bytes | None) -> None:
    """Raise `ImageError` unless an image of `length` bytes is whole.

    `data` begins with it. `trusted` is the SHA-256 of the public key that it must be signed with (Secure
    Boot v2, RSA-3072); its own hash is not looked at then.
    """
    hashed = data[23] != 0
    end = length - (_HASH if hashed else 0) - 1
    if _checksum(data, end) != data[end]:
        raise ImageError("the checksum is wrong")
    if trusted is not None:
        _verify_signature(data, length, trusted)
    elif hashed and data[length - _HASH : length] != hashlib.sha256(data[: length - _HASH]).digest():
        raise ImageError("the SHA-256 is wrong")


def _checksum(data: bytes, end: int) -> int:
    """XOR of all bytes of all segments, from 0xEF."""
    value, position = 0xEF, _HEADER
    for _ in range(data[1]):
        (length,) = struct.unpack_from("<I", data, position + 4)
        position += _SEGMENT
        value ^= _folded(data[position : position + length])
        position += length
    return value


def _folded(data: bytes) -> int:
    """XOR of all bytes. A segment is whole words."""
    value = 0
    for word in memoryview(data).cast("I"):
        value ^= word
    value ^= value >> 16
    return (value ^ value >> 8) & 0xFF


def signing_keys(image: bytes, length: int) -> list[bytes]:
    """SHA-256 of the public keys in the signature blocks behind an image; none when it is not signed."""
    return [hashlib.sha256(block[_PUBLIC_KEY]).digest() for block in _blocks(image, length)]


def _blocks(data: bytes, length: int) -> Iterator[bytes]:
    start = signed_length(length) - SECTOR
    for number in range(_SIGNATURE_BLOCKS):
        block = data[start + number * _SIGNATURE_BLOCK :][:_SIGNATURE_BLOCK]
        if len(block) < _SIGNATURE_BLOCK or block[:2] != b"\xe7\x02":
            return
        if struct.unpack_from("<I", block, 1196)[0] != zlib.crc32(block[:1196]):
            return
        yield block


def _verify_signature(data: bytes, length: int, trusted: bytes) -> None:
    digest = hashlib.sha256(data[: signed_length(length) - SECTOR]).digest()
    for block in _blocks(data, length):
        if hashlib.sha256(block[_PUBLIC_KEY]).digest() == trusted and block[4:36] == digest:
            modulus, exponent = (
                int.from_bytes(block[36:420], "little"),
                struct.unpack_from("<I", block, 420)[0],
            )
            scheme = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
            try:
                key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
                key.verify(block[812:1196][::-1], digest, scheme, utils.Prehashed(SHA256()))
            except (InvalidSignature, ValueError):
                continue
            return
    raise ImageError("it is not signed with the trusted key")
