"""The partition table as the ESP32's second-stage bootloader reads it.

It looks at far less than the host's tools do: labels, alignment, overlaps and doubles are nothing to it.

Source: ESP-IDF v5.3.1, `esp_partition_table_verify` and `bootloader_utility_load_partition_table`
(components/bootloader_support); recordings of both in tests/truth.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.virtual.boot.esp32_log import Print
from bench.virtual.flash import Flash
from bench.virtual.machine import Region

TABLE = 0x8000
_LENGTH = 0xC00
_ROW = 32
_ROW_MAGIC, _MD5_MAGIC, _END_MAGIC = 0x50AA, 0xEBEB, 0xFFFF
_END = b"\xff\xff"  # type and subtype of the row that ends the table
_TAG = "flash_parts"

FACTORY, TEST = -1, -2
"""The indexes of the two applications that are no OTA slots; OTA slots count from 0."""

NOWHERE = Region(0, 0)
_APP, _DATA = 0, 1
_DATA_USAGES = {0x00: "OTA data", 0x01: "RF data", 0x02: "WiFi data", 0x04: "NVS keys", 0x05: "efuse"}
_APP_USAGES = {0x00: "factory app", 0x20: "test app"}
_OTADATA, _FUSES = 0x00, 0x05


@dataclass(slots=True)
class Layout:
    """What the bootloader remembers of the table: `NOWHERE` for what it does not have.

    `app_count` counts rows, so a doubled subtype counts twice; `labels` are the applications' names by index.
    """

    otadata: Region = NOWHERE
    fuses: Region = NOWHERE
    """Where a development board keeps what a product has in its eFuses."""
    factory: Region = NOWHERE
    test: Region = NOWHERE
    ota: dict[int, Region] = field(default_factory=dict)
    app_count: int = 0
    labels: dict[int, str] = field(default_factory=dict)

    def place(self, index: int) -> Region:
        """Where the application of that index lies."""
        if index == FACTORY:
            return self.factory
        if index == TEST:
            return self.test
        return self.ota.get(index, NOWHERE) if index < self.app_count else NOWHERE


def read_layout(flash: Flash, log: Print) -> Layout | None:
    """The table of the flash, its rows printed on the way; None when the bootloader refuses it."""
    table = flash.read(TABLE, _LENGTH)
    count = _verified(table, flash.size, log)
    if count is None:
        log("Failed to verify partition table", "E")
        return None
    log("Partition Table:")
    log("## Label            Usage          Type ST Offset   Length")
    layout = Layout()
    for number, row in enumerate(_rows(table)):
        if number == count:
            break
        kind, subtype, offset, size = struct.unpack_from("<BBII", row, 2)
        usage = _placed(layout, kind, subtype, Region(offset, size), _text(row[12:28].split(b"\0")[0]))
        # printed to the first NUL, which need not be in the label
        label = _text(table[number * _ROW + 12 :].split(b"\0")[0].ljust(16))
        log(f"{number:2} {label} {usage:16} {kind:02x} {subtype:02x} {offset:08x} {size:08x}")
    log("End of partition table")
    return layout


def _rows(table: bytes) -> Iterator[bytes]:
    return (table[start : start + _ROW] for start in range(0, len(table), _ROW))


def _text(data: bytes) -> str:
    """Any bytes, so that the UART gets them back unchanged."""
    return data.decode("utf-8", "surrogateescape")


def _verified(table: bytes, chip_size: int, log: Print) -> int | None:
    """The number of rows, which an MD5 row anywhere lessens by one; None when the table is refused."""
    summed = False
    for number, row in enumerate(_rows(table)):
        (magic,) = struct.unpack_from("<H", row)
        if magic == _ROW_MAGIC:
            offset, size = struct.unpack_from("<II", row, 4)
            if offset > chip_size or (offset + size) & 0xFFFFFFFF > chip_size:
                log(
                    f"partition {number} invalid - offset {offset:#x} size {size:#x} "
                    f"exceeds flash chip size {chip_size:#x}",
                    "E",
                    _TAG,
                )
                return None
        elif magic == _MD5_MAGIC:
            if summed:
                log("Only one MD5 checksum is allowed", "E", _TAG)
                return None
            if row[16:] != hashlib.md5(table[: number * _ROW]).digest():
                log("Incorrect MD5 checksum", "E", _TAG)
                return None
            summed = True
        elif magic == _END_MAGIC and row[2:4] == _END:
            return number - summed
        else:
            log(f"partition {number} invalid magic number {magic:#x}", "E", _TAG)
            return None
    log("partition table has no terminating entry, not valid", "E", _TAG)
    return None


def _placed(layout: Layout, kind: int, subtype: int, place: Region, label: str) -> str:
    """Remember the row where it means something; how its usage is printed."""
    if kind == _APP:
        if subtype & 0xF0 == 0x10:
            layout.ota[subtype & 0x0F] = place
            layout.labels[subtype & 0x0F] = label
            layout.app_count += 1
            return "OTA app"
        usage = _APP_USAGES.get(subtype, "Unknown app")
        if usage == "factory app":
            layout.factory, layout.labels[FACTORY] = place, label
        elif usage == "test app":
            layout.test, layout.labels[TEST] = place, label
        return usage
    if kind == _DATA:
        if subtype == _OTADATA:
            layout.otadata = place
        elif subtype == _FUSES:
            layout.fuses = place
        return _DATA_USAGES.get(subtype, "Unknown data")
    return "unknown"
