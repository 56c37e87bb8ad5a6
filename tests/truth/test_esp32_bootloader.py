"""The virtual ESP32 bootloader does what ESP-IDF 5.3.1's does: see data/esp32_bootloader.md."""

from __future__ import annotations

import base64
import hashlib
import random
import re
import struct
from collections.abc import Mapping
from typing import Any

from recordings import Agreement, records

from bench.firmware.esp32_signing import sealed
from bench.virtual.boot import esp32, esp32_image, esp32_partitions
from bench.virtual.boot import slots as checks
from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.machine import Region
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler

CHIP = 4 << 20
FIRST, SLOT = 0x10000, 0x60000
OTADATA = Region(0xD000, 0x2000)
FUSES = Region(0x3F0000, 0x2000)


class Machine:
    """What a bootloader sees of a board; `lines` is what it printed, `operations` what its flash did."""

    name = "machine"

    def __init__(self) -> None:
        scheduler = Scheduler(1)
        self.rng = random.Random(1)
        self.cpu = Cpu(scheduler)
        self.flash = Flash(CHIP, 0x1000, FlashTiming(0.0, 0.0), self.rng)
        self.flash.on_operation = lambda kind, offset, length: self.operations.append((kind, offset))
        self.regions: Mapping[str, Region] = {}
        self.lines: list[str] = []
        self.operations: list[tuple[str, int]] = []

    def now(self) -> float:
        return 0.0

    def print(self, text: str) -> None:
        self.lines.append(text)

    def activity(self, name: str) -> None:
        pass

    def reset(self, reason: str) -> None:
        raise AssertionError(f"reset: {reason}")

    def put(self, offset: int, data: bytes, size: int) -> None:
        self.flash.view[offset : offset + size] = data.ljust(size, b"\xff")

    def run(self, steps: Steps) -> Any:
        """Run to the end, no time passing; the value."""
        try:
            while True:
                next(steps)
        except StopIteration as end:
            return end.value


def printed(lines: list[str]) -> list[str]:
    """Without the milliseconds."""
    return [re.sub(r"^([EWI]) \(\d+\) ", r"\1 ", line) for line in lines]


# ---- OTA data


def table(record: dict[str, Any]) -> bytes:
    rows = [("otadata", 1, 0x00, OTADATA)]
    names = ["factory"] * record["factory"] + [f"ota_{n}" for n in range(record["ota_slots"])]
    for number, name in enumerate(names):
        subtype = 0x00 if name == "factory" else 0x10 + int(name[4:])
        rows.append((name, 0, subtype, Region(FIRST + number * SLOT, SLOT)))
    if record["config"] == "anti-rollback":
        rows.append(("emul_efuse", 1, 0x05, FUSES))
    data = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, place.offset, place.size, name.encode(), 0)
        for name, kind, subtype, place in rows
    )
    return data + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data).digest()


GOOD = bytes(base64.b64decode(records("esp32_images")[1]["image"][0]))


def image(described: dict[str, Any] | None) -> bytes:
    if described is None or described["image"] == "erased":
        return b""
    whole = sealed(GOOD[:36] + described["secure_version"].to_bytes(4, "little") + GOOD[40:])
    return whole if described["image"] == "ok" else whole[:600] + bytes([whole[600] ^ 1]) + whole[601:]


def test_ota_data() -> None:
    agreement, machine = Agreement(), Machine()
    for record in records("esp32_otadata"):
        machine.put(0x8000, table(record), 0xC00)
        for sector, entry in enumerate(record["otadata"]):
            machine.put(OTADATA.offset + sector * 0x1000, bytes.fromhex(entry), 0x1000)
        machine.put(FUSES.offset, ((0xFFFFFFFF << record["fuse"]) & 0xFFFFFFFF).to_bytes(4, "little"), 0x1000)
        images = [record["factory_image"]] * record["factory"] + record["slots"]
        for number, described in enumerate(images):
            machine.put(FIRST + number * SLOT, image(described), 0x1000)
        machine.lines, machine.operations = [], []
        running = machine.run(esp32.boot(machine))
        after = [machine.flash.read(OTADATA.offset + n * 0x1000, 32).hex() for n in (0, 1)]
        burned = (int.from_bytes(machine.flash.read(FUSES.offset, 4), "little") ^ 0xFFFFFFFF).bit_count()
        writes = [offset for _, offset in machine.operations if offset < OTADATA.offset + OTADATA.size]
        log = printed(machine.lines)
        log = log[log.index("I boot: End of partition table") + 1 :]
        # the recording has the case's answer in the place of an image's verification, and ends there
        log = [line for line in log if " boot: " in line and "Disabling RNG" not in line]
        for what, found, recorded in (
            ("boots", running and running.region, record["result"]["boots"]),
            ("OTA data", after, record["result"]["otadata"]),
            ("fuse", burned, record["result"]["fuse"]),
            ("flash writes", len(writes), record["result"]["flash_writes"]),
            ("log", log, record["result"]["log"]),
        ):
            agreement.compare(what, record["id"], found, recorded)
    agreement.whole()


# ---- partition tables


def test_partition_tables() -> None:
    agreement, machine = Agreement(), Machine()
    for record in records("esp32_partition_tables"):
        machine.put(0x8000, bytes.fromhex(record["table_hex"]), 0xC00)
        lines: list[str] = []
        layout = esp32_partitions.read_layout(
            machine.flash, lambda text, level="I", tag="boot", lines=lines: lines.append(f"{level}: {text}")
        )
        result = dict(record["result"])
        log, _ = (
            result.pop("log"),
            agreement.compare("accepted", record["name"], layout is not None, result.pop("accepted")),
        )
        # the recording was split where str.splitlines does, its bytes decoded with replacement
        found = "\n".join(lines).encode("utf-8", "surrogateescape").decode("utf-8", "replace").splitlines()
        agreement.compare("log", record["name"], found, log)
        if layout is not None and result:
            understood = {
                **{name: getattr(layout, name) for name in ("otadata", "factory", "test")},
                **{f"ota_{number}": place for number, place in sorted(layout.ota.items())},
            }
            recorded = {
                **{name: Region(*result[name]) for name in ("otadata", "factory", "test")},
                **{
                    f"ota_{number}": Region(*place)
                    for number, place in sorted(result["ota"].items(), key=lambda item: int(item[0]))
                },
            }
            agreement.compare("partitions", record["name"], understood, recorded)
            agreement.compare("number of slots", record["name"], layout.app_count, result["app_count"])
    agreement.whole()


# ---- images

ERRORS = {checks.OK: 0, checks.WRONG_BOARD: -1}
"""ESP_OK, ESP_FAIL; everything else is ESP_ERR_IMAGE_INVALID."""
IMAGE_INVALID = 8194


def contents(parts: list[Any]) -> bytes:
    return b"".join(
        base64.b64decode(part) if isinstance(part, str) else bytes([part["fill"]]) * part["n"]
        for part in parts
    )


def test_images() -> None:
    first, *cases = records("esp32_images")
    trusted = bytes.fromhex(first["trusted_key_digest_hex"])
    agreement, machine = Agreement(), Machine()
    for record in cases:
        machine.put(FIRST, contents(record["image"]), record["partition_size"])
        lines: list[str] = []
        verifier = esp32_image.Verifier(
            machine.flash,
            100,
            trusted if record["config"] == "signed" else None,
            lambda text, level="I", tag="boot", lines=lines: lines.append(f"{level} {tag}: {text}"),
        )
        check, _ = verifier.verify(Region(FIRST, record["partition_size"]))
        case = f"{record['config']}, {record['name']}"
        agreement.compare("accepted", case, check == checks.OK, record["result"]["accepted"])
        agreement.compare("error", case, ERRORS.get(check, IMAGE_INVALID), record["result"]["error"])
        agreement.compare("log", case, lines, record["result"]["log"])
    agreement.whole()
