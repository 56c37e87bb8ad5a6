"""Blocks of data inside the virtual boards' binaries: what a build is and how it behaves.

A block is its magic, a 32-bit little-endian length, and CBOR.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import cbor2

TRAITS_MAGIC = b"TRAITS\x00\x01"
BOOTLOADER_MAGIC = b"BOOTLDR\x01"
DESCRIPTOR_OFFSET = 0x100
"""Where the block stands in a Cortex-M body, behind the vector table."""

BOARD_TLV = 0x00B0
"""Vendor-defined protected TLV: the board type an image is built for."""


def packed(magic: bytes, content: Mapping[str, object]) -> bytes:
    body = cbor2.dumps(dict(content), canonical=True)
    return magic + struct.pack("<I", len(body)) + body


def unpacked(magic: bytes, data: bytes) -> dict[str, Any] | None:
    """The block at the start of `data`, or None when there is none or it is damaged."""
    if data[:8] != magic or len(data) < 12:
        return None
    (length,) = struct.unpack_from("<I", data, 8)
    try:
        content = cbor2.loads(data[12 : 12 + length])
    except (cbor2.CBORDecodeError, ValueError, EOFError):
        return None
    return content if isinstance(content, dict) else None
