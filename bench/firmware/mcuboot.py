"""MCUboot images and slot trailers, for looking at files and at slots read back.

Source: MCUboot design document, "Image format" and "Image trailer".
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field
from enum import IntEnum

from bench.errors import ImageError

MAGIC = 0x96F3B83D
TLV_INFO = 0x6907
TLV_PROTECTED = 0x6908
TRAILER_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")

_HEADER = struct.Struct("<IIHHIIBBHII")  # magic, load, header size, protected size, size, flags, version, pad
_TLV_HEADER = struct.Struct("<HH")


class Tlv(IntEnum):
    """Types of the entries behind an image."""

    KEYHASH = 0x01
    SHA256 = 0x10
    RSA2048 = 0x20
    ECDSA = 0x22
    ED25519 = 0x24
    DEPENDENCY = 0x40
    SECURITY_COUNTER = 0x50


class SwapType(IntEnum):
    NONE = 1
    TEST = 2
    PERMANENT = 3
    REVERT = 4
    FAIL = 5


@dataclass(frozen=True)
class McubootImage:
    """The parts of an image; offsets and sizes in bytes from its start.

    `tlvs` are all entries behind the body, `protected` those of them that hash and signature cover.
    """

    version: str
    header_size: int
    body_size: int
    protected_size: int
    flags: int
    total_size: int
    tlvs: dict[int, bytes] = field(default_factory=dict)
    protected: dict[int, bytes] = field(default_factory=dict)

    @property
    def covered(self) -> int:
        """Bytes from the start that hash and signature cover."""
        return self.header_size + self.body_size + self.protected_size

    @property
    def sha256(self) -> bytes | None:
        return self.tlvs.get(Tlv.SHA256)


def parse(data: bytes) -> McubootImage:
    """Take an image apart. Raises `ImageError` naming what is wrong; never reads beyond `data`."""
    if len(data) < _HEADER.size:
        raise ImageError(f"{len(data)} bytes are less than an image header of {_HEADER.size}")
    magic, _, header_size, protected, size, flags, major, minor, revision, _, _ = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ImageError(f"magic {magic:#010x} is not {MAGIC:#010x}")
    if header_size < _HEADER.size or header_size + size + protected > len(data):
        raise ImageError(f"header {header_size} + body {size} + TLVs do not fit in {len(data)} bytes")
    covered: dict[int, bytes] = {}
    plain: dict[int, bytes] = {}
    position = header_size + size
    if protected:
        position = _read_tlvs(data, position, TLV_PROTECTED, covered)
    end = _read_tlvs(data, position, TLV_INFO, plain)
    version = f"{major}.{minor}.{revision}"
    return McubootImage(version, header_size, size, protected, flags, end, covered | plain, covered)


def _read_tlvs(data: bytes, start: int, magic: int, into: dict[int, bytes]) -> int:
    if start + 4 > len(data):
        raise ImageError("the TLV area is missing")
    found, total = _TLV_HEADER.unpack_from(data, start)
    end = start + total
    if found != magic or total < 4 or end > len(data):
        raise ImageError(f"TLV area at {start:#x} has magic {found:#06x} and length {total}")
    position = start + 4
    while position < end:
        if position + 4 > end:
            raise ImageError(f"TLV at {position:#x} is cut off")
        kind, length = _TLV_HEADER.unpack_from(data, position)
        position += 4
        if position + length > end:
            raise ImageError(f"TLV {kind:#x} of {length} bytes runs beyond its area")
        into[kind] = data[position : position + length]
        position += length
    return end


def hash_is_right(data: bytes) -> bool:
    """Whether the SHA-256 entry of an image fits its header, body and protected entries."""
    image = parse(data)
    return image.sha256 == hashlib.sha256(data[: image.covered]).digest()


@dataclass(frozen=True, slots=True)
class Trailer:
    """The end of a slot. None means erased ("unset")."""

    magic_good: bool
    image_ok: bool | None
    copy_done: bool | None
    swap_type: int | None


def parse_trailer(slot: bytes, alignment: int = 8) -> Trailer:
    """Read the trailer at the end of a whole slot. `alignment` is the spacing of its flags in bytes."""
    if len(slot) < 16 + 4 * alignment:
        raise ImageError(f"{len(slot)} bytes are too few for a slot with a trailer")
    magic = slot[-16:]
    ok, done, swap = (slot[-16 - alignment * n] for n in (1, 2, 3))

    def flag(byte: int) -> bool | None:
        return None if byte == 0xFF else byte == 1

    return Trailer(magic == TRAILER_MAGIC, flag(ok), flag(done), None if swap == 0xFF else swap & 0xF)
