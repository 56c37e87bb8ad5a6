"""What the virtual boards' application refuses of a package that is whole, before it asks MCUboot for it.

MCUboot with one image knows neither boards nor dependencies, and with a security counter of the platform
it compares no versions: an application that wants these kept out looks itself, as this one does.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from bench.virtual.boot.mcuboot.area import Area, Unreachable
from bench.virtual.boot.mcuboot.image import Header, Malformed, entries, header_at, tlvs_of
from bench.virtual.boot.traits import BOARD_TLV

DEPENDENCY = 0x40
_DEPENDENCY = struct.Struct("<B3xBBHI")


def protected_of(area: Area, start: int) -> Mapping[int, bytes]:
    """The protected entries of the image that begins at `start`, by kind; empty without an image."""
    try:
        header = header_at(area, start)
        if not header.is_image:
            return {}
        found = entries(tlvs_of(area, header, start, is_main=True))
        return {e.kind: area.read(e.offset, e.length) for e in found if e.is_protected}
    except (Malformed, Unreachable):
        return {}


def board_of(protected: Mapping[int, bytes]) -> str:
    """The board type that the image says it is for; "" when it says none."""
    return protected.get(BOARD_TLV, b"").decode("ascii", "replace")


def is_for(protected: Mapping[int, bytes], board: str) -> bool:
    """Whether the image was built for this board."""
    return board_of(protected) == board


def is_older(candidate: Header, running: Header) -> bool:
    """Whether the candidate's version is lower."""
    return candidate.number < running.number


def needs_another(candidate: Header, protected: Mapping[int, bytes]) -> bool:
    """Whether the image depends on one that this board, which has image 0 alone, will not have."""
    entry = protected.get(DEPENDENCY)
    if entry is None:
        return False
    if len(entry) != _DEPENDENCY.size:
        return True
    image, *wanted, _ = _DEPENDENCY.unpack(entry)
    return image != 0 or candidate.number < tuple(wanted)
