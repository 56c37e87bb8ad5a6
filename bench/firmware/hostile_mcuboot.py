"""Hostile images for MCUboot boards."""

from __future__ import annotations

import random

from bench.errors import NotApplicable
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
    """The same with a counter that is one higher than the update's."""
    counter = _counter(images.update.data)
    if counter is None:
        raise NotApplicable("the update has no security counter")
    return with_counter(images, data, counter + 1)


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
