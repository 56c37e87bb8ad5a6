"""The trailer of a slot: what is asked for, what was done, and which swap follows from the two slots'.

Source: MCUboot design document, "Image trailer" and "Boot swap types"; recorded by `tests/truth`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, StrEnum
from typing import NamedTuple

from bench.virtual.boot.mcuboot.area import MAGIC_SIZE, Area
from bench.virtual.boot.mcuboot.options import Options, Upgrade
from bench.virtual.process import Steps

TRAILER_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")


class Magic(StrEnum):
    GOOD = "good"
    UNSET = "unset"
    BAD = "bad"


class Flag(IntEnum):
    SET = 1
    BAD = 2
    UNSET = 3


class SwapType(IntEnum):
    NONE = 1
    TEST = 2
    PERMANENT = 3
    REVERT = 4
    FAIL = 5


SWAP_NAMES = {SwapType.TEST: "test", SwapType.PERMANENT: "perm", SwapType.REVERT: "revert"}


class SwapState(NamedTuple):
    """What a trailer says; `swap_type` may be a number that is no `SwapType`."""

    magic: Magic
    swap_type: int
    copy_done: Flag
    image_ok: Flag

    def __str__(self) -> str:
        return (
            f"magic={self.magic}, swap_type={self.swap_type:#x}, "
            f"copy_done={self.copy_done:#x}, image_ok={self.image_ok:#x}"
        )


def _flag(value: bytes) -> Flag:
    return {b"\xff": Flag.UNSET, b"\x01": Flag.SET}.get(value, Flag.BAD)


def magic_of(area: Area) -> Magic:
    found = area.field(MAGIC_SIZE, MAGIC_SIZE)
    if found == TRAILER_MAGIC:
        return Magic.GOOD
    return Magic.UNSET if found == b"\xff" * MAGIC_SIZE else Magic.BAD


def swap_info_of(area: Area) -> int:
    """The swap's type as it stands there; NONE where nothing does."""
    info = area.field(area.trailer.swap_info, 1)[0]
    return int(SwapType.NONE) if info == 0xFF else info & 0xF


def swap_state(area: Area) -> SwapState:
    kind = swap_info_of(area)
    return SwapState(
        magic_of(area),
        int(SwapType.NONE) if kind > SwapType.REVERT else kind,
        _flag(area.field(area.trailer.copy_done, 1)),
        _flag(area.field(area.trailer.image_ok, 1)),
    )


def swap_size_of(area: Area) -> int:
    return int.from_bytes(area.field(area.trailer.swap_size, 4), "little")


def tlv_sizes_of(area: Area) -> tuple[int, int]:
    """Of the two images' unprotected TLV areas: the primary's, the secondary's."""
    primary, secondary = struct.unpack("<HH", area.field(area.trailer.tlv_sizes, 4))
    return primary, secondary


# ---- writing


def write_magic(area: Area) -> Steps:
    yield from area.write_field(MAGIC_SIZE, TRAILER_MAGIC)


def write_image_ok(area: Area) -> Steps:
    yield from area.write_field(area.trailer.image_ok, bytes([Flag.SET]))


def write_copy_done(area: Area) -> Steps:
    yield from area.write_field(area.trailer.copy_done, bytes([Flag.SET]))


def write_swap_info(area: Area, kind: int) -> Steps:
    yield from area.write_field(area.trailer.swap_info, bytes([kind & 0xFF]))


def write_swap_size(area: Area, size: int) -> Steps:
    yield from area.write_field(area.trailer.swap_size, struct.pack("<I", size))


def set_image_ok(area: Area) -> Steps:
    """Unless something stands there."""
    if swap_state(area).image_ok is Flag.UNSET:
        yield from write_image_ok(area)


# ---- which swap is wanted


def wanted_swap(primary: SwapState, secondary: SwapState, options: Options) -> SwapType:
    """By the two trailers alone."""
    if secondary.magic is Magic.GOOD:
        unset = secondary.image_ok is Flag.UNSET
        if unset and options.upgrade is Upgrade.OFFSET and secondary.copy_done is Flag.SET:
            return SwapType.REVERT
        if unset:
            return SwapType.TEST
        if secondary.image_ok is Flag.SET:
            return SwapType.PERMANENT
    on_trial = (
        primary.magic is Magic.GOOD and primary.image_ok is Flag.UNSET and primary.copy_done is Flag.SET
    )
    if on_trial and (options.is_main or secondary.magic is Magic.UNSET):
        return SwapType.REVERT
    return SwapType.NONE
