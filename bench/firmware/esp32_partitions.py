"""ESP32 partition tables, read as the second-stage bootloader reads them.

Sources: ESP-IDF programming guide, "Partition Tables"; ESP-IDF, `esp_partition_table_verify` in
components/bootloader_support/src/flash_partitions.c and `bootloader_utility_load_partition_table` in
bootloader_utility.c beside it.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property

from bench.errors import ImageError

TABLE_SIZE = 0xC00
TABLE_OFFSET = 0x8000
"""Where the table lies unless CONFIG_PARTITION_TABLE_OFFSET says otherwise."""

_ROW = 32
_MAGIC = 0x50AA
_MD5_MAGIC = 0xEBEB
_END = b"\xff\xff\xff\xff"
_WORD = 0xFFFFFFFF

APP, DATA = 0, 1
_FACTORY, _TEST, _OTA = 0x00, 0x20, range(0x10, 0x20)
_DATA_OTA = 0x00

_APP_NAMES = {_FACTORY: "factory", _TEST: "test", **{n: f"ota_{n - _OTA.start}" for n in _OTA}}
_DATA_NAMES = {
    0x00: "ota", 0x01: "phy", 0x02: "nvs", 0x03: "coredump", 0x04: "nvs_keys", 0x05: "efuse",
    0x06: "undefined", 0x80: "esphttpd", 0x81: "fat", 0x82: "spiffs", 0x83: "littlefs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Partition:
    """One row: `kind` 0 application, 1 data; `offset` and `size` in bytes."""

    label: str
    kind: int
    subtype: int
    offset: int
    size: int

    @property
    def end(self) -> int:
        return self.offset + self.size

    @property
    def type_name(self) -> str:
        """Type and subtype by ESP-IDF's names, for example "app/ota_0"; numbers where there is none."""
        kinds = {APP: ("app", _APP_NAMES), DATA: ("data", _DATA_NAMES)}
        kind, names = kinds.get(self.kind, (f"{self.kind:#04x}", {}))
        return f"{kind}/{names.get(self.subtype, f'{self.subtype:#04x}')}"


@dataclass(frozen=True)
class PartitionTable:
    """The rows that the bootloader looks at, in their order, and what it makes of them."""

    rows: tuple[Partition, ...]

    @cached_property
    def factory(self) -> Partition | None:
        return self._last(APP, _FACTORY)

    @cached_property
    def test(self) -> Partition | None:
        return self._last(APP, _TEST)

    @cached_property
    def otadata(self) -> Partition | None:
        return self._last(DATA, _DATA_OTA)

    @cached_property
    def ota(self) -> dict[int, Partition]:
        """OTA slots by their numbers, 0 to 15."""
        return {row.subtype - _OTA.start: row for row in self.rows if row.kind == APP and row.subtype in _OTA}

    @cached_property
    def ota_count(self) -> int:
        """As the bootloader counts: by rows, so that a slot that is there twice counts twice."""
        return sum(row.kind == APP and row.subtype in _OTA for row in self.rows)

    def _last(self, kind: int, subtype: int) -> Partition | None:
        found = [row for row in self.rows if (row.kind, row.subtype) == (kind, subtype)]
        return found[-1] if found else None


def parse_partition_table(data: bytes, flash_size: int | None = None) -> PartitionTable:
    """The table at the start of `data`, whose rows must lie in a flash of `flash_size` bytes (None: any).

    An erased table is one without rows. As in the bootloader, a table need not have an MD5 row, and one
    that stands elsewhere than last costs as many rows at the end.

    Raises `ImageError` naming what the bootloader refuses.
    """
    rows: list[Partition | None] = []
    md5_rows = 0
    for start in range(0, min(len(data), TABLE_SIZE) - _ROW + 1, _ROW):
        row = data[start : start + _ROW]
        (magic,) = struct.unpack_from("<H", row)
        if magic == _MAGIC:
            rows.append(_partition(row, len(rows), flash_size))
        elif magic == _MD5_MAGIC:
            md5_rows += 1
            if md5_rows > 1:
                raise ImageError("the partition table has two MD5 rows")
            if row[16:] != hashlib.md5(data[:start]).digest():
                raise ImageError("the partition table's MD5 does not fit its rows")
            rows.append(None)
        elif row[:4] == _END:
            kept = rows[: len(rows) - md5_rows]
            return PartitionTable(tuple(found for found in kept if found is not None))
        else:
            raise ImageError(f"partition row {len(rows)} has magic {magic:#06x}, not {_MAGIC:#06x}")
    raise ImageError("the partition table has no end")


def _partition(row: bytes, number: int, flash_size: int | None) -> Partition:
    kind, subtype, offset, size = struct.unpack_from("<BBII", row, 2)
    label = row[12:28].split(b"\0")[0].decode("utf-8", "replace")
    # the bootloader adds in 32 bits
    if flash_size is not None and (offset > flash_size or (offset + size & _WORD) > flash_size):
        raise ImageError(
            f"partition {label!r} (row {number}) at {offset:#x} of {size:#x} bytes does not fit the "
            f"{flash_size:#x} bytes of the flash"
        )
    return Partition(label, kind, subtype, offset, size)
