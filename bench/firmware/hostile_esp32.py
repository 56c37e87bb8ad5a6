"""Hostile images for ESP32 boards."""

from __future__ import annotations

import random
import struct

from bench.errors import ImageError, NotApplicable
from bench.firmware.corrupt import flipped, padded
from bench.firmware.esp32 import SECTOR, parse
from bench.firmware.esp32_signing import hashed, plain, sealed, signature_sector, signed, stranger
from bench.firmware.hostile import (
    CONNECTION_LOST,
    FAILED,
    INTEGRITY,
    NO_FLASH,
    UNSUPPORTED,
    HostileKind,
    below,
    key_of,
)
from bench.firmware.image_set import ImageSet

_ENTRY = 4
_CHIP_ID = 12
_OTHER_CHIP = 9  # ESP32-S3
_FIRST_SEGMENT_LENGTH = 28
_SECURE_VERSION = 32 + 4  # in the application descriptor
_VERSION = 32 + 16
_SIGNATURE = 812  # offset in a signature block
_HEADER, _SEGMENT, _DIGEST, _ROW = 24, struct.Struct("<II"), 32, 16


def _finished(images: ImageSet, content: bytes) -> bytes:
    """Signed as the update is; a product without Secure Boot has no signatures."""
    return signed(content, key_of(images)) if signature_sector(images.update.data) else content


def _edited(images: ImageSet, offset: int, value: bytes) -> bytes:
    """The update with other bytes at `offset`; checksum, hash and signature fit."""
    content = plain(images.update.data)
    return _finished(images, sealed(content[:offset] + value + content[offset + len(value) :]))


def _bad_segment(images: ImageSet) -> bytes:
    content = bytearray(plain(images.update.data))
    struct.pack_into("<I", content, _FIRST_SEGMENT_LENGTH, 0x00FF0000)
    return _finished(images, hashed(bytes(content)))


def _checksum_offset(content: bytes) -> int:
    return len(content) - 1 - (32 if parse(content).hash_right is not None else 0)


def _bad_checksum(images: ImageSet) -> bytes:
    content = plain(images.update.data)
    return _finished(images, hashed(flipped(content, _checksum_offset(content))))


def _bad_hash(images: ImageSet) -> bytes:
    """Not signed anew: behind a signature that is right ESP-IDF compares no SHA-256 (tests/truth)."""
    content = plain(images.update.data)
    if parse(content).hash_right is None:
        raise NotApplicable("the update has no SHA-256 appended")
    return flipped(images.update.data, len(content) - 16)


def _bad_hash_signed(images: ImageSet) -> bytes:
    """ESP-IDF takes it: behind a signature that is right it compares no SHA-256 (tests/truth)."""
    _sector(images)
    return signed(plain(_bad_hash(images)), key_of(images))


def _signature_flipped(images: ImageSet) -> bytes:
    data = images.update.data
    return flipped(data, len(data) - len(_sector(images)) + _SIGNATURE + 100)


def _other_block(images: ImageSet) -> bytes:
    """The signature block of the baseline, whole and by the right key, behind the update."""
    other = signature_sector(images.baseline.data)
    if not other:
        raise NotApplicable("the baseline is not signed")
    return images.update.data[: -len(_sector(images))] + other


def _sector(images: ImageSet) -> bytes:
    sector = signature_sector(images.update.data)
    if not sector:
        raise NotApplicable("the update is not signed")
    return sector


def _other_key(images: ImageSet) -> bytes:
    _sector(images)
    return signed(plain(images.update.data), stranger())


def _unsigned(images: ImageSet) -> bytes:
    return images.update.data[: -len(_sector(images))]


def secure_version(data: bytes) -> int:
    """What the application descriptor says."""
    return int.from_bytes(data[_SECURE_VERSION : _SECURE_VERSION + 4], "little")


def _lower_secure_version(images: ImageSet) -> bytes:
    """Below the baseline's: the chip's own is what has run on it, not what it is offered."""
    version = secure_version(images.baseline.data)
    if not version:
        raise NotApplicable("the baseline's secure version is 0, and none is lower")
    return with_secure_version(images, images.update.data, version - 1)


def with_secure_version(images: ImageSet, data: bytes, version: int) -> bytes:
    """An image of the board, well signed, with another secure version."""
    content = plain(data)
    changed = content[:_SECURE_VERSION] + version.to_bytes(4, "little") + content[_SECURE_VERSION + 4 :]
    return _finished(images, sealed(changed))


def raised(images: ImageSet, data: bytes) -> bytes:
    """The same with a secure version that is one higher than the update's."""
    return with_secure_version(images, data, secure_version(images.update.data) + 1)


def grown(images: ImageSet, data: bytes, size: int, filler: bytes) -> bytes:
    """An image with so many bytes, or the most that it can have below, well signed.

    What is added is a segment that is loaded nowhere: its address is 0, as that of those by which esptool
    aligns others (ESP-IDF, `should_load`). Raises `ImageError` for less than it has.
    """
    content = plain(data)
    hashed_too = parse(content).hash_right is not None
    room = size // SECTOR * SECTOR - SECTOR if signature_sector(data) else size
    start = _HEADER + sum(_SEGMENT.size + length for _, length in parse(content).segments)
    end = (room - (_DIGEST if hashed_too else 0)) // _ROW * _ROW  # of the checksum's row
    extra = (end - 1 - start - _SEGMENT.size) // 4 * 4
    if extra < 0:
        raise ImageError(f"the image is longer than {size} bytes", help="ask for a longer one")
    changed = bytearray(content[:start] + _SEGMENT.pack(0, extra) + filler[:extra])
    changed[1] += 1  # the number of segments
    changed += bytes(-(len(changed) + 1) % _ROW + 1) + bytes(_DIGEST if hashed_too else 0)
    finished = sealed(bytes(changed))
    return signed(finished, key_of(images)) if signature_sector(data) else finished


def renamed(images: ImageSet, data: bytes, version: str, build: int) -> bytes:
    """An image of the board, well signed, with another version; it has no build number."""
    content = plain(data)
    changed = content[:_VERSION] + version.encode().ljust(32, b"\0") + content[_VERSION + 32 :]
    return _finished(images, sealed(changed))


def _lower_version(images: ImageSet) -> bytes:
    return renamed(images, images.update.data, below(images.baseline.version), 0)


def _flipped_header(images: ImageSet) -> bytes:
    """Raises `NotApplicable` where neither hash nor signature covers the header: the checksum does not."""
    data = images.update.data
    if parse(data).hash_right is None and not _is_signed(images):
        raise NotApplicable("the update has neither a SHA-256 nor a signature, which would cover its header")
    return flipped(data, _ENTRY)


def _is_signed(images: ImageSet) -> bool:
    return bool(signature_sector(images.update.data))


def _truncated(images: ImageSet) -> bytes:
    return images.update.data[: images.update.size * 2 // 3]


def _random(images: ImageSet) -> bytes:
    return b"\0" + random.Random("random bytes").randbytes(images.update.size - 1)


ESP32_KINDS = tuple(
    HostileKind(name, "esp32", what, results, derive, needs)
    for name, what, results, derive, needs in (
        (
            "flip-header",
            "one bit of the entry address",
            (INTEGRITY, UNSUPPORTED),
            _flipped_header,
            None,
        ),
        (
            "flip-body",
            "one bit in the middle of the image",
            (INTEGRITY,),
            lambda i: flipped(i.update.data, i.update.size // 2),
            None,
        ),
        (
            "truncated",
            "its last third is missing",
            (INTEGRITY, UNSUPPORTED),
            _truncated,
            None,
        ),
        (
            "oversized",
            "padded beyond the slot",
            (NO_FLASH,),
            lambda i: padded(i.update, i.limit + 4096).data,
            None,
        ),
        (
            "wrong-magic",
            "one bit of the magic number",
            (INTEGRITY, UNSUPPORTED),
            lambda i: flipped(i.update.data, 0, 0),
            None,
        ),
        (
            "wrong-chip",
            "for an ESP32-S3, otherwise right and well signed",
            (INTEGRITY, UNSUPPORTED, FAILED),
            lambda i: _edited(i, _CHIP_ID, struct.pack("<H", _OTHER_CHIP)),
            None,
        ),
        ("bad-segment", "a segment longer than the slot", (INTEGRITY, UNSUPPORTED), _bad_segment, None),
        ("bad-checksum", "wrong checksum; hash and signature are right", (INTEGRITY,), _bad_checksum, None),
        ("bad-sha256", "wrong SHA-256, not signed anew", (INTEGRITY, FAILED), _bad_hash, None),
        (
            "bad-sha256-signed",
            "wrong SHA-256, and a right signature over it",
            (INTEGRITY, FAILED),
            _bad_hash_signed,
            "appended-hash",
        ),
        ("flip-signature", "one bit of the signature", (INTEGRITY, FAILED), _signature_flipped, "signature"),
        (
            "other-signature",
            "the signature block of another image, by the right key",
            (INTEGRITY, FAILED),
            _other_block,
            "signature",
        ),
        ("wrong-key", "signed by another key", (INTEGRITY, FAILED), _other_key, "signature"),
        ("unsigned", "no signature block", (INTEGRITY, FAILED), _unsigned, "signature"),
        (
            "lower-version",
            "a lower version than the running one, well signed",
            (INTEGRITY, UNSUPPORTED, FAILED),
            _lower_version,
            "downgrade-prevention",
        ),
        (
            "lower-counter",
            "a lower secure version, well signed",
            (INTEGRITY, UNSUPPORTED, FAILED),
            _lower_secure_version,
            "anti-rollback",
        ),
        ("empty", "no byte at all", (CONNECTION_LOST, INTEGRITY, UNSUPPORTED), lambda i: b"", None),
        ("random", "random bytes", (INTEGRITY, UNSUPPORTED), _random, None),
    )
)
