"""Partition tables and OTA data are read as ESP-IDF reads them: see tests/truth/data/esp32_bootloader.md."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import ImageError
from bench.firmware.esp32_otadata import (
    FACTORY,
    SECTOR,
    TEST,
    OtaEntry,
    OtaState,
    SecureVersions,
    active_ota_slot,
    next_ota_slot,
    parse_otadata,
)
from bench.firmware.esp32_partitions import TABLE_SIZE, Partition, PartitionTable, parse_partition_table

DATA = Path(__file__).parents[1] / "truth" / "data"


def records(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


# ---- OTA data


class Case:
    """One recorded boot, as the selector is asked about it."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record, self.result = record, record["result"]

    def _image(self, number: int) -> dict[str, Any]:
        slots = self.record["slots"]
        image = slots[number] if 0 <= number < len(slots) else None
        return (self.record["factory_image"] if number == FACTORY else image) or {"image": "erased"}

    def _version(self, number: int) -> int | None:
        image = self._image(number)
        return None if image["image"] == "erased" else image["secure_version"]

    def asked(self, fuse: int) -> dict[str, Any]:
        guarded = self.record["config"] == "anti-rollback"
        return {
            "factory": self.record["factory"],
            "bootable": lambda number: self._image(number)["image"] == "ok",
            "versions": SecureVersions(fuse, self._version) if guarded else None,
        }


def sectors(entries: list[str]) -> bytes:
    return b"".join(bytes.fromhex(entry).ljust(SECTOR, b"\xff") for entry in entries)


def name(number: int | None) -> str | None:
    return {None: None, FACTORY: "factory", TEST: "test"}.get(number, f"ota_{number}")


def test_next_boot_is_the_bootloader_s() -> None:
    wrong = []
    for record in records("esp32_otadata"):
        case = Case(record)
        asked = case.asked(record["fuse"])
        found = next_ota_slot(sectors(record["otadata"]), record["ota_slots"], **asked)
        if name(found) != case.result["boots"]:
            wrong.append((record["id"], name(found), case.result["boots"]))
    assert wrong == []


def test_what_runs_is_seen_in_what_the_bootloader_left() -> None:
    wrong = []
    for record in records("esp32_otadata"):
        case = Case(record)
        asked = case.asked(case.result["fuse"])
        found = active_ota_slot(sectors(case.result["otadata"]), record["ota_slots"], **asked)
        if name(found) != case.result["boots"]:
            wrong.append((record["id"], name(found), case.result["boots"]))
    assert wrong == []


def test_records_hold_what_the_selector_must_tell_apart() -> None:
    """Else the tests above prove less than they seem to."""
    found = records("esp32_otadata")
    assert len(found) > 1000
    assert {record["config"] for record in found} == {"rollback", "anti-rollback"}
    booted = {record["result"]["boots"] for record in found}
    assert {None, "factory", "ota_0", "ota_1", "ota_3"} <= booted
    damaged = [r for r in found if any(slot["image"] == "bad" for slot in r["slots"])]
    assert len(damaged) > 100


def test_images_are_looked_at_only_as_far_as_the_bootloader_does() -> None:
    """Each look is a read of a whole image over the wire."""
    asked: list[int] = []

    def bootable(number: int) -> bool:
        asked.append(number)
        return number == 0

    entry = "02000000ffffffffffffffffffffffffffffffffffffffff020000007437f655"
    assert active_ota_slot(sectors([entry, "ff" * 32]), 4, factory=True, bootable=bootable) == 0
    assert asked == [1, 0]


def test_otadata_entries() -> None:
    good = "02000000ffffffffffffffffffffffffffffffffffffffff020000007437f655"
    wrong_crc = good[:-2] + "00"
    assert parse_otadata(sectors([good, wrong_crc])) == (OtaEntry(2, OtaState.VALID), None)
    assert parse_otadata(sectors(["ff" * 32, good])) == (None, OtaEntry(2, OtaState.VALID))
    assert OtaEntry(0, OtaState.VALID).slot(3) == 0xFFFFFFFF % 3  # the bootloader counts in 32 bits
    with pytest.raises(ImageError, match="two OTA data sectors"):
        parse_otadata(b"\xff" * SECTOR)


# ---- partition tables


def understood(table: PartitionTable) -> dict[str, Any]:
    def place(row: Partition | None) -> list[int]:
        return [0, 0] if row is None else [row.offset, row.size]

    return {
        "otadata": place(table.otadata),
        "factory": place(table.factory),
        "test": place(table.test),
        "app_count": table.ota_count,
        "ota": {str(number): place(row) for number, row in table.ota.items()},
    }


@pytest.mark.parametrize("record", records("esp32_partition_tables"), ids=lambda r: r["name"])
def test_partition_table_is_the_bootloader_s(record: dict[str, Any]) -> None:
    data = bytes.fromhex(record["table_hex"]).ljust(TABLE_SIZE, b"\xff")
    result = dict(record["result"])
    del result["log"]
    if not result.pop("accepted"):
        with pytest.raises(ImageError):
            parse_partition_table(data, 4 << 20)
        return
    assert understood(parse_partition_table(data, 4 << 20)) == result


def test_a_table_s_fault_is_named() -> None:
    found = {
        record["name"]: bytes.fromhex(record["table_hex"]) for record in records("esp32_partition_tables")
    }

    def fault(name: str) -> str:
        with pytest.raises(ImageError) as raised:
            parse_partition_table(found[name].ljust(TABLE_SIZE, b"\xff"), 4 << 20)
        return raised.value.message

    assert fault("MD5 wrong") == "the partition table's MD5 does not fit its rows"
    assert fault("MD5 row twice") == "the partition table has two MD5 rows"
    assert fault("magic wrong in row 2") == "partition row 2 has magic 0x51aa, not 0x50aa"
    assert "'ota_1' (row 4) at 0x190000 of 0x400000 bytes does not fit" in fault("over the chip's end")
