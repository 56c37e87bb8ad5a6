"""Hostile images for MCUboot boards."""

from __future__ import annotations

import random
import struct

from bench.errors import ImageError, NotApplicable
from bench.firmware.corrupt import flipped, padded, replaced
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
from bench.firmware.mcuboot import Tlv, parse
from bench.firmware.mcuboot_signing import Changes, load_key, made_anew, stranger

_SIGNATURES = (Tlv.ECDSA, Tlv.RSA2048, Tlv.ED25519, 0x21, 0x23)  # RSA-3072 and older ECDSA entries
_VERSION = 20  # offset in the header
_TRIES = 64


def _resigned(images: ImageSet, changes: Changes) -> bytes:
    return made_anew(images.update.data, load_key(key_of(images)), changes)


def _flip_entry(images: ImageSet, kinds: tuple[int, ...], what: str) -> bytes:
    """One bit of the value of the first such entry behind the body."""
    data = images.update.data
    good = parse(data)
    for kind in kinds:
        if kind in good.tlvs:
            at = data.index(good.tlvs[kind], good.header_size + good.body_size)
            return flipped(data, at + len(good.tlvs[kind]) // 2)
    raise NotApplicable(f"the update has no {what}")


def _flip_protected(images: ImageSet) -> bytes:
    return _flip_entry(images, tuple(parse(images.update.data).protected), "protected entry")


def _lower_counter(images: ImageSet) -> bytes:
    """Below the baseline's: the board's own counter is what has run on it, not what it is offered."""
    counter = _counter(images.baseline.data)
    if not counter:
        raise NotApplicable("the baseline has no security counter above 0, and none is lower")
    return with_counter(images, images.update.data, counter - 1)


def _counter(data: bytes) -> int | None:
    """The image's security counter, where it has one."""
    entry = parse(data).tlvs.get(Tlv.SECURITY_COUNTER)
    return None if entry is None else int.from_bytes(entry, "little")


def with_counter(images: ImageSet, data: bytes, counter: int) -> bytes:
    """An image of the board, well signed, with another security counter."""
    return made_anew(data, load_key(key_of(images)), Changes(security_counter=counter))


def raised(images: ImageSet, data: bytes) -> bytes:
    """The same with a counter above the update's: by its second byte, as a counter has more than one."""
    counter = _counter(images.update.data)
    if counter is None:
        raise NotApplicable("the update has no security counter")
    return with_counter(images, data, (counter // 256 + 1) * 256)


def grown(images: ImageSet, data: bytes, size: int, filler: bytes) -> bytes:
    """An image with so many bytes, well signed. Raises `ImageError` for less than it has."""
    key = load_key(key_of(images))
    extra = size - len(made_anew(data, key))
    for _ in range(_TRIES):
        if extra < 0:
            raise ImageError(f"the image is longer than {size} bytes", help="ask for a longer one")
        made = made_anew(data, key, Changes(appended=filler[:extra]))
        if len(made) == size:
            return made
        extra += size - len(made)  # a signature in DER is a byte or two longer or shorter
        filler = filler[1:] + filler[:1]
    raise ImageError(f"no image of {size} bytes came out", help="this is a fault of the bench: report it")


def renamed(images: ImageSet, data: bytes, version: str, build: int) -> bytes:
    """An image of the board, well signed, with another version."""
    return made_anew(data, load_key(key_of(images)), Changes(version=f"{version}+{build}"))


def _counter_beside_the_signature(images: ImageSet) -> bytes:
    """With a lower counter, and among the entries that nothing covers a higher one."""
    data = _lower_counter(images)
    good = parse(data)
    own = struct.pack("<HHI", Tlv.SECURITY_COUNTER, 4, 0xFFFF)
    magic, length = struct.unpack_from("<HH", data, good.covered)
    head = struct.pack("<HH", magic, length + len(own))
    return data[: good.covered] + head + data[good.covered + 4 : good.total_size] + own


def _other_key(images: ImageSet) -> bytes:
    return made_anew(images.update.data, stranger(load_key(key_of(images))))


def _unsigned(images: ImageSet) -> bytes:
    return made_anew(images.update.data, None)


def _truncated(images: ImageSet) -> bytes:
    return images.update.data[: images.update.size * 2 // 3]


def _picture(images: ImageSet) -> bytes:
    return replaced(images.update).data


def _oversized(images: ImageSet) -> bytes:
    return padded(images.update, images.limit + 4096).data


def _with_trailer(images: ImageSet) -> bytes:
    return _resigned(images, Changes(slot_size=images.slot_size))


def _random(images: ImageSet) -> bytes:
    return random.Random("random bytes").randbytes(images.update.size)


MCUBOOT_KINDS = tuple(
    HostileKind(name, "mcuboot", what, results, derive, needs)
    for name, what, results, derive, needs in (
        (
            "flip-header",
            "one bit of the version in the header",
            (INTEGRITY, UNSUPPORTED),
            lambda i: flipped(i.update.data, _VERSION + 2, 0),
            None,
        ),
        (
            "flip-body",
            "one bit in the middle of the body",
            (INTEGRITY,),
            lambda i: flipped(i.update.data, i.update.size // 2),
            None,
        ),
        ("flip-protected-tlv", "one bit of a protected entry", (INTEGRITY,), _flip_protected, None),
        (
            "flip-signature",
            "one bit of the signature",
            (INTEGRITY, FAILED),
            lambda i: _flip_entry(i, _SIGNATURES, "signature"),
            "signature",
        ),
        (
            "wrong-hash",
            "one bit of the stored hash; the signature is right",
            (INTEGRITY,),
            lambda i: _flip_entry(i, (Tlv.SHA256,), "SHA-256"),
            None,
        ),
        (
            "truncated",
            "its last third is missing",
            (INTEGRITY, UNSUPPORTED),
            _truncated,
            None,
        ),
        ("oversized", "padded beyond the slot", (NO_FLASH,), _oversized, None),
        (
            "wrong-magic",
            "one bit of the magic number",
            (INTEGRITY, UNSUPPORTED),
            lambda i: flipped(i.update.data, 0, 0),
            None,
        ),
        (
            "wrong-board",
            "a good build for another board",
            (INTEGRITY, UNSUPPORTED, FAILED),
            lambda i: i.wrong_board.data,
            "board-check",
        ),
        ("wrong-key", "signed by another key", (INTEGRITY, FAILED), _other_key, "signature"),
        (
            "unsigned",
            "right hash, no signature",
            (INTEGRITY, FAILED),
            _unsigned,
            "signature",
        ),
        (
            "lower-version",
            "a lower version than the running one, well signed",
            (INTEGRITY, UNSUPPORTED, FAILED),
            lambda i: _resigned(i, Changes(version=below(i.baseline.version))),
            "downgrade-prevention",
        ),
        (
            "lower-counter",
            "a lower security counter, well signed",
            (INTEGRITY, UNSUPPORTED, FAILED),
            _lower_counter,
            "anti-rollback",
        ),
        (
            "counter-not-signed",
            "a lower security counter, and a higher one that the signature does not cover",
            (INTEGRITY, UNSUPPORTED, FAILED),
            _counter_beside_the_signature,
            "anti-rollback",
        ),
        (
            "leftover-trailer",
            "a whole slot, its trailer saying that it is already confirmed",
            (NO_FLASH, INTEGRITY, UNSUPPORTED, FAILED),
            _with_trailer,
            "trailer-check",
        ),
        (
            "dependency-unmet",
            "asks for a version that nobody has",
            (INTEGRITY, UNSUPPORTED, FAILED),
            lambda i: _resigned(i, Changes(depends_on="250.0.0")),
            "dependencies",
        ),
        ("empty", "no byte at all", (CONNECTION_LOST, INTEGRITY, UNSUPPORTED), lambda i: b"", None),
        ("random", "random bytes", (INTEGRITY, UNSUPPORTED), _random, None),
        (
            "picture",
            "a PNG file's signature, and noise",
            (INTEGRITY, UNSUPPORTED),
            _picture,
            None,
        ),
    )
)
