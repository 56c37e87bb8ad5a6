"""Power cuts that a released bootloader is known not to survive as it should: named, told, and no surprise.

`known_issues.toml` lists them. One is only taken for the cause when the flash after the cut bears its
mark, and when what came of it is that the new image stays in its slot, whole, where the old one was due.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from bench.firmware.mcuboot import parse_trailer

if TYPE_CHECKING:  # every pytest on this PC loads this, and most use no bench
    from bench.config.board_type import FirmwareSettings

TAIL = 0x640
"""Bytes of a slot's end that are looked at: the fields and the status area of 128 sectors' swap."""
_FIELD = 8
_SECTOR = 0x1000


@dataclass(frozen=True, slots=True)
class KnownIssue:
    """`versions` are those of the bootloader that have it; `needs_counter`: only with a security counter."""

    name: str
    versions: tuple[str, ...]
    mark: str
    text: str
    source: str
    needs_counter: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.text} ({self.source})"


@cache
def known_issues() -> Mapping[str, KnownIssue]:
    """All of them, by name."""
    text = files("bench.power_cuts").joinpath("known_issues.toml").read_text("utf-8")
    return {
        name: KnownIssue(
            name,
            tuple(entry["versions"]),
            entry["mark"],
            entry["text"],
            entry["source"],
            entry.get("counter", False),
        )
        for name, entry in tomllib.loads(text).items()
    }


def _copy_done_torn(primary: bytes, secondary: bytes) -> bool:
    trailer = parse_trailer(primary)
    return trailer.magic_good and trailer.image_ok is None and trailer.copy_done is False


def _revert_looks_permanent(primary: bytes, secondary: bytes) -> bool:
    return parse_trailer(secondary).magic_good and _is_made_for_revert(secondary)


def _revert_magic_torn(primary: bytes, secondary: bytes) -> bool:
    erased = secondary[-16:] == b"\xff" * 16
    return not (erased or parse_trailer(secondary).magic_good) and _is_made_for_revert(secondary)


def _is_made_for_revert(slot: bytes) -> bool:
    """Confirmed, and a swap's size in the place of its type: no application writes that."""
    trailer, size = parse_trailer(slot), slot[-16 - 4 * _FIELD :][:4]
    return bool(trailer.image_ok) and trailer.swap_type is None and size != b"\xff" * 4


def _swap_interrupted(primary: bytes, secondary: bytes) -> bool:
    trailer = parse_trailer(primary)
    return trailer.magic_good and trailer.copy_done is None


def _last_exchange_by_offset(primary: bytes, secondary: bytes) -> bool:
    """The status has two words for each sector, from the first on."""
    (size,) = struct.unpack_from("<I", primary, len(primary) - 16 - 5 * _FIELD)
    if not _swap_interrupted(primary, secondary) or size == 0xFFFFFFFF:
        return False
    begin = len(primary) - 16 - 5 * _FIELD - 128 * 2 * 4
    words = [primary[begin + 4 * n] != 0xFF for n in range(256)]
    done = 256 - words[::-1].index(True) if True in words else 0
    return done // 2 == -(-size // _SECTOR) - 1


MARKS: Mapping[str, Callable[[bytes, bytes], bool]] = {
    "copy-done-torn": _copy_done_torn,
    "revert-looks-permanent": _revert_looks_permanent,
    "revert-magic-torn": _revert_magic_torn,
    "swap-interrupted": _swap_interrupted,
    "last-exchange-by-offset": _last_exchange_by_offset,
}
"""What each looks for in the last `TAIL` bytes of the primary and of the secondary slot."""


def marked(firmware: FirmwareSettings, primary: bytes, secondary: bytes) -> list[str]:
    """The names of the issues of this board's bootloader whose marks the slots' ends bear, in their order."""
    return [
        name
        for name, issue in known_issues().items()
        if firmware.mcuboot in issue.versions
        and (firmware.counter is not None or not issue.needs_counter)
        and MARKS[issue.mark](primary, secondary)
    ]
