"""Partition tables as ESP-IDF's gen_esp32part.py writes them, and those of well-known boards."""

from __future__ import annotations

import hashlib
import struct

Row = tuple[str, int, int, int, int]
"""Label, type, subtype, offset, size."""

VIRTUAL: tuple[Row, ...] = (
    ("nvs", 1, 0x02, 0x9000, 0x4000),
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("phy_init", 1, 0x01, 0xF000, 0x1000),
    ("ota_0", 0, 0x10, 0x10000, 0x180000),
    ("ota_1", 0, 0x11, 0x190000, 0x180000),
    ("emul_efuse", 1, 0x05, 0x310000, 0x2000),
)
"""What the virtual board's file describes."""

ARDUINO: tuple[Row, ...] = (
    ("nvs", 1, 0x02, 0x9000, 0x5000),
    ("otadata", 1, 0x00, 0xE000, 0x2000),
    ("app0", 0, 0x10, 0x10000, 0x140000),
    ("app1", 0, 0x11, 0x150000, 0x140000),
    ("spiffs", 1, 0x82, 0x290000, 0x160000),
    ("coredump", 1, 0x03, 0x3F0000, 0x10000),
)
"""arduino-esp32, tools/partitions/default.csv."""


def table(rows: tuple[Row, ...], *, md5: bool = True) -> bytes:
    data = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in rows
    )
    if md5:
        data += b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data).digest()
    return data.ljust(0xC00, b"\xff")


def changed(row_named: str, **fields: object) -> tuple[Row, ...]:
    """The virtual board's table with fields of one row changed: label, kind, subtype, offset, size."""
    names = ("label", "kind", "subtype", "offset", "size")
    return tuple(
        tuple({**dict(zip(names, row, strict=True)), **fields}.values()) if row[0] == row_named else row  # type: ignore[misc]
        for row in VIRTUAL
    )


def without(*labels: str) -> tuple[Row, ...]:
    return tuple(row for row in VIRTUAL if row[0] not in labels)
