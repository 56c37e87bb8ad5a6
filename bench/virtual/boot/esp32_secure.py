"""What the ESP32's bootloader holds against an image that is whole: its signature and its age.

The board is a development one, as ESP-IDF lets them be built: the digest of the public key is in the
second-stage bootloader, and the secure version in the partition of type data, subtype efuse, one bit a
version. A product has both in its eFuses.

Source: ESP-IDF programming guide, "Secure Boot v2" and "App OTA, anti-rollback"; ESP-IDF v5.3.1,
`esp_efuse_update_secure_version` (components/efuse) and `bootloader_common_get_partition_description`.
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
_BOOTLOADER = 0x1000
_FIRST_SEGMENT = 32  # behind the image's header and the segment's own
_BLOCK = 1216
_PUBLIC_KEY = slice(36, 812)
_DESCRIPTOR = 32
_DESCRIPTOR_MAGIC = 0xABCD5432
_FUSE_BITS = 32


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


def secure_version(machine: Machine, place: Region) -> int | None:
    """What the descriptor of the application in `place` says; None when there is no descriptor."""
    if place.offset + _DESCRIPTOR + 8 > machine.flash.size:
        return None
    magic, version = struct.unpack("<II", machine.flash.read(place.offset + _DESCRIPTOR, 8))
    return int(version) if magic == _DESCRIPTOR_MAGIC else None


def least_version(machine: Machine, fuses: Region) -> int:
    """The secure version that images must have at least: as many bits as are burned."""
    burned = int.from_bytes(machine.flash.read(fuses.offset, 4), "little") ^ 0xFFFFFFFF
    return burned.bit_count()


def raise_version(machine: Machine, fuses: Region, version: int) -> Steps:
    """Burn the bits from those of the present version up to `version`; one too high burns none."""
    present = least_version(machine, fuses)
    if not present < version <= _FUSE_BITS:
        return
    burned = (1 << version) - (1 << present)
    left = (burned ^ 0xFFFFFFFF).to_bytes(4, "little")
    yield from machine.flash.write(fuses.offset, left, machine.now)
