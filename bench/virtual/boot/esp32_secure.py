"""What the ESP32's bootloader holds against an image that is whole: its signature and its age.

The board is a development one, as ESP-IDF lets them be built: the digest of the public key is in the
second-stage bootloader, and the secure version in the partition `emul_efuse`, one bit a version.
A product has both in its eFuses.

Source: ESP-IDF programming guide, "Secure Boot v2" and "App OTA, anti-rollback".
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256

from bench.virtual.boot.traits import BOOTLOADER_MAGIC, unpacked
from bench.virtual.machine import Machine, Region
from bench.virtual.process import Steps

SECTOR = 0x1000
FUSES = "emul_efuse"
_BOOTLOADER = 0x1000
_FIRST_SEGMENT = 32  # behind the image's header and the segment's own
_BLOCK = 1216
_PUBLIC_KEY = slice(36, 812)
_SECURE_VERSION = 32 + 4  # in the application descriptor


def trusted_key(machine: Machine) -> bytes | None:
    """SHA-256 of the public key that images must be signed with; None where nothing need be signed."""
    block = unpacked(BOOTLOADER_MAGIC, machine.flash.read(_BOOTLOADER + _FIRST_SEGMENT, 0x200))
    digest = (block or {}).get("trusted_key")
    return digest if isinstance(digest, bytes) else None


def signature_holds(read: Callable[[int, int], bytes], length: int, trusted: bytes) -> bool:
    """Whether the block in the sector behind an image of `length` bytes is right and by the trusted key.

    `read(offset, length)` counts from the start of the image.
    """
    signed = -(-length // SECTOR) * SECTOR
    block = read(signed, _BLOCK)
    if block[:2] != b"\xe7\x02" or struct.unpack_from("<I", block, 1196)[0] != zlib.crc32(block[:1196]):
        return False
    digest = hashlib.sha256(read(0, signed)).digest()
    if block[4:36] != digest or hashlib.sha256(block[_PUBLIC_KEY]).digest() != trusted:
        return False
    modulus = int.from_bytes(block[36:420], "little")
    (exponent,) = struct.unpack_from("<I", block, 420)
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    scheme = padding.PSS(mgf=padding.MGF1(SHA256()), salt_length=32)
    try:
        key.verify(block[812:1196][::-1], digest, scheme, utils.Prehashed(SHA256()))
    except InvalidSignature:
        return False
    return True


def secure_version(read: Callable[[int, int], bytes]) -> int:
    """What the application descriptor of an image says."""
    return int.from_bytes(read(_SECURE_VERSION, 4), "little")


def least_version(machine: Machine, fuses: Region | None) -> int:
    """The secure version that images must have at least."""
    if fuses is None:
        return 0
    burned = int.from_bytes(machine.flash.read(fuses.offset, 4), "little") ^ 0xFFFFFFFF
    return burned.bit_count()


def raise_version(machine: Machine, fuses: Region | None, version: int) -> Steps:
    """Burn one bit for each version, up to that of a confirmed image."""
    if fuses is None or version <= least_version(machine, fuses):
        return
    left = (0xFFFFFFFF << version) & 0xFFFFFFFF
    yield from machine.flash.write(fuses.offset, left.to_bytes(4, "little"), machine.now)
