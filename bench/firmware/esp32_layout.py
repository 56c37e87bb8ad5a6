"""Whether an ESP32's partition table and factory parts are those that its board file describes.

Sources: ESP-IDF programming guide, "Partition Tables" and "App Image Format"; the choice of the application
is that of `bench.firmware.esp32_otadata`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.config import BoardType, Region
from bench.errors import ImageError
from bench.firmware.esp32 import IMAGE_MAGIC
from bench.firmware.esp32_partitions import (
    APP,
    DATA,
    TABLE_OFFSET,
    TABLE_SIZE,
    Partition,
    PartitionTable,
    parse_partition_table,
)
from bench.firmware.esp32_verify import CHIP_ID
from bench.firmware.image import read_file

BOOTLOADER, TABLE, OTADATA = "bootloader", "partition-table", "otadata"
"""Names of regions that the bench itself looks for."""

BOOTLOADER_OFFSET = 0x1000
"""Where the ROM of the ESP32 looks for it."""

_TYPES = {
    OTADATA: (DATA, 0x00), "phy_init": (DATA, 0x01), "nvs": (DATA, 0x02), "coredump": (DATA, 0x03),
    "nvs_keys": (DATA, 0x04),
}  # fmt: skip
"""What a partition of such a name is, by ESP-IDF's own tables."""

_HEADER = 24


def table_offset(board_type: BoardType) -> int:
    region = board_type.regions.get(TABLE)
    return TABLE_OFFSET if region is None else region.offset


def boot_end(board_type: BoardType) -> int:
    """The end of what the chip boots by: bootloader and partition table."""
    region = board_type.regions.get(TABLE)
    return TABLE_OFFSET + 0x1000 if region is None else region.offset + region.size


def header_flash_size(bootloader: bytes) -> int | None:
    """Bytes of flash that a bootloader was built for, by its header; None when there is no header.

    The bootloader refuses partitions beyond it.
    """
    if len(bootloader) < _HEADER or bootloader[0] != IMAGE_MAGIC:
        return None
    return 1 << 20 + (bootloader[3] >> 4)


# ---- the table --------------------------------------------------------------------------------------


def differences(table: PartitionTable, board_type: BoardType) -> list[str]:
    """Where a partition table is not what the board file says, one sentence each."""
    by_label = {row.label: row for row in table.rows}
    found: list[str] = []
    for name, region in board_type.regions.items():
        if name in (BOOTLOADER, TABLE):
            found += _overlaps(name, region, table, but=None)
        elif name not in by_label:
            found += _overlaps(name, region, table, but=None) or _missing(name, board_type)
        else:
            found += _row_differs(name, region, by_label[name])
    return found + _slots_differ(by_label, table, board_type)


def _place(offset: int, size: int) -> str:
    return f"{offset:#x} ({size:#x} bytes)"


def _row_differs(name: str, region: Region, row: Partition) -> list[str]:
    found = []
    if (row.offset, row.size) != (region.offset, region.size):
        found.append(
            f"{name!r} is at {_place(row.offset, row.size)}, not at {_place(region.offset, region.size)}"
        )
    if name in _TYPES and (row.kind, row.subtype) != _TYPES[name]:
        wanted = Partition(name, *_TYPES[name], row.offset, row.size).type_name
        found.append(f"{name!r} has the type {row.type_name}, not {wanted}")
    return found


def _overlaps(name: str, region: Region, table: PartitionTable, *, but: str | None) -> list[str]:
    end = region.offset + region.size
    return [
        f"{name!r} at {_place(region.offset, region.size)} lies over the partition {row.label!r} "
        f"at {_place(row.offset, row.size)}"
        for row in table.rows
        if row.label != but and row.offset < end and region.offset < row.end
    ]


def _missing(name: str, board_type: BoardType) -> list[str]:
    """Space beside the partitions may have a name of its own; what the bench works with must be one."""
    firmware = board_type.firmware
    if name != OTADATA and name not in (*firmware.slots, *firmware.wiped, *firmware.unchanged):
        return []
    region = board_type.regions[name]
    return [f"there is no partition {name!r}, expected at {_place(region.offset, region.size)}"]


def _slots_differ(by_label: dict[str, Partition], table: PartitionTable, board_type: BoardType) -> list[str]:
    """The bench must know every application that can run, and which one runs when nothing is chosen."""
    slots = board_type.firmware.slots
    apps = [row for row in (table.factory, *(row for _, row in sorted(table.ota.items()))) if row is not None]
    found = [
        f"the slot {name!r} has the type {by_label[name].type_name}, it is no application"
        for name in slots
        if name in by_label and by_label[name].kind != APP
    ]
    found += [
        f"the application {row.label!r} ({row.type_name}) is not in firmware.slots"
        for row in apps
        if row.label not in slots
    ]
    if apps and apps[0].label != slots[0] and apps[0].label in slots:
        found.append(
            f"with its OTA data erased the board starts {apps[0].label!r} ({apps[0].type_name}), "
            f"but firmware.slots begins with {slots[0]!r}"
        )
    if table.otadata is None and len(apps) > 1:
        found.append("there is no OTA data partition (data/ota)")
    return found


# ---- factory parts ------------------------------------------------------------------------------------


def factory_table(parts: Sequence[tuple[int, Path]], board_type: BoardType) -> PartitionTable | None:
    """The partition table among the factory parts (address and file), or None.

    Raises `ImageError` when the bootloader would refuse it.
    """
    path = dict(parts).get(table_offset(board_type))
    if path is None:
        return None
    try:
        data = read_file(path)[:TABLE_SIZE].ljust(TABLE_SIZE, b"\xff")
        table = parse_partition_table(data, board_type.flash_size)
    except ImageError as fault:
        raise ImageError(
            f"factory part {path}: {fault.message}", help="build the partition table anew (gen_esp32part.py)"
        ) from None
    if not table.rows:
        raise ImageError(
            f"factory part {path} is an empty partition table", help="name the file that was built"
        )
    return table


def check_factory(parts: Sequence[tuple[int, Path]], board_type: BoardType) -> None:
    """Raise `ImageError` naming everything in which the factory parts and the board file differ."""
    found = _bootloader_faults(dict(parts).get(BOOTLOADER_OFFSET), board_type)
    table = factory_table(parts, board_type)
    if table is not None:
        found += differences(table, board_type)
    if found:
        raise ImageError(
            f"the factory parts do not fit the board file of {board_type.name}: {'; '.join(found)}",
            help="name the bootloader and the partition table that belong to this board, or correct "
            "flash_size, [regions] and firmware.slots in the board file",
        )


def check_chip(image: bytes, path: Path | None) -> None:
    """Raise `ImageError` when an application is built for another chip of the family."""
    chip_id = int.from_bytes(image[12:14], "little")
    if chip_id != CHIP_ID:
        raise ImageError(
            f"image {path} is for the chip with id {chip_id}, not {CHIP_ID}",
            help="give the build for the ESP32",
        )


def _bootloader_faults(path: Path | None, board_type: BoardType) -> list[str]:
    if path is None:
        return []
    data = read_file(path)
    size = header_flash_size(data)
    if size is None:
        return [f"{path} is no bootloader: it does not begin with {IMAGE_MAGIC:#04x}"]
    found = []
    chip_id = int.from_bytes(data[12:14], "little")
    if chip_id != CHIP_ID:
        found.append(f"{path} is a bootloader for the chip with id {chip_id}, not {CHIP_ID}")
    if size > board_type.flash_size:
        found.append(
            f"{path} is built for {size >> 20} MiB of flash, the board file says "
            f"{board_type.flash_size:#x} bytes"
        )
    ends = [
        (r.offset + r.size, name)
        for name, r in board_type.regions.items()
        if r.offset < board_type.flash_size
    ]
    beyond = [name for end, name in ends if end > size]
    if beyond:
        found.append(f"{path} is built for {size >> 20} MiB of flash, beyond which lie {', '.join(beyond)}")
    return found
