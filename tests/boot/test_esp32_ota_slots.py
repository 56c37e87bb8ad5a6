"""The virtual ESP32 bootloader: OTA data, rollback, damaged images, power cuts."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from tests_boot_machine import Machine

from bench.firmware import esp32 as container
from bench.virtual.boot import esp32, esp32_otadata
from bench.virtual.images import ESP32_PARTITIONS, build_partition_table
from bench.virtual.machine import Region, RunningImage

REGIONS = {label: Region(offset, size) for label, _, _, offset, size in ESP32_PARTITIONS}
Image = Callable[..., bytes]


@pytest.fixture
def table(tmp_path: Path) -> bytes:
    return build_partition_table(tmp_path / "table.bin").read_bytes()


@pytest.fixture
def machine(table: bytes, small_image: Image) -> Machine:
    machine = Machine(0x400000, REGIONS)
    machine.put(0x8000, table)
    machine.put(REGIONS["ota_0"].offset, small_image("esp32", "1.0.0"))
    return machine


def boot(machine: Machine) -> RunningImage | None:
    result = machine.run(esp32.boot(machine))
    assert result is None or isinstance(result, RunningImage)
    return result


def update(machine: Machine, image: bytes) -> None:
    running = boot(machine)
    assert running is not None
    slots = esp32.EspOtaSlots(machine, running)
    machine.run(slots.erase())
    machine.run(slots.write(0, image))
    machine.run(slots.request_upgrade())


def otadata(machine: Machine) -> bytes:
    return machine.flash.read(REGIONS["otadata"].offset, REGIONS["otadata"].size)


def test_without_ota_data_the_first_slot_boots_and_is_written_down(machine: Machine) -> None:
    running = boot(machine)
    assert running is not None
    assert (running.region, running.version, running.confirmed) == ("ota_0", "1.0.0", True)
    assert any(line.endswith("boot: Loaded app from partition at offset 0x10000") for line in machine.lines)
    assert container.parse_otadata(otadata(machine)) == (
        container.OtaEntry(1, container.OtaState.VALID),
        None,
    )


def test_the_chip_s_revision_is_told_and_counts(machine: Machine, small_image: Image) -> None:
    machine.run(esp32.boot(machine, 300))
    assert any("boot: chip revision: v3.0" in line for line in machine.lines)
    image = bytearray(small_image("esp32", "1.0.0"))
    struct.pack_into("<H", image, 15, 301)
    machine.put(REGIONS["ota_0"].offset, bytes(image))
    assert machine.run(esp32.boot(machine, 300)) is None
    assert any("Required >= v3.1, found v3.0." in line for line in machine.lines)


def with_table(machine: Machine, *rows: tuple[str, int, int, int, int]) -> None:
    """Another table: label, type, subtype, offset, size."""
    table = b"".join(
        struct.pack("<HBBII16sI", 0x50AA, kind, subtype, offset, size, label.encode(), 0)
        for label, kind, subtype, offset, size in rows
    )
    machine.put(0x8000, table)


FACTORY_ROWS = (
    ("otadata", 1, 0x00, 0xD000, 0x2000),
    ("factory", 0, 0x00, 0x10000, 0x100000),
    ("ota_0", 0, 0x10, 0x110000, 0x100000),
    ("ota_1", 0, 0x11, 0x210000, 0x100000),
    ("test", 0, 0x20, 0x310000, 0x80000),
)


def test_the_factory_application_is_first_and_last(machine: Machine, small_image: Image) -> None:
    with_table(machine, *FACTORY_ROWS)
    running = boot(machine)
    assert running is not None
    assert (running.region, running.arrival) == ("factory", "normal")
    assert machine.flash.is_erased(0xD000, 0x2000)
    slots = esp32.EspOtaSlots(machine, running)
    assert slots.region == "ota_0"
    machine.run(slots.erase())
    machine.run(slots.write(0, small_image("esp32", "1.1.0")))
    assert machine.run(slots.request_upgrade()) is None
    trial = boot(machine)
    assert trial is not None
    assert (trial.region, trial.arrival) == ("ota_0", "test")
    back = boot(machine)
    assert back is not None
    assert (back.region, back.arrival) == ("factory", "revert")


def test_the_test_application_is_the_last_resort(machine: Machine, small_image: Image) -> None:
    with_table(machine, *FACTORY_ROWS)
    machine.put(0x10000, b"\xff" * 0x1000)
    machine.put(0x310000, small_image("esp32", "1.0.0"))
    running = boot(machine)
    assert running is not None
    assert running.region == "test"
    assert any("Falling back to test app as only bootable partition" in line for line in machine.lines)


@pytest.mark.parametrize(
    ("otadata", "line"),
    [
        (("otadata", 1, 0, 0xD000, 0x1000), "ota_info partition size 4096 is too small (minimum 8192 bytes)"),
        (("otadata", 1, 0, 0x3FF000, 0x2000), "exceeds flash chip size 0x400000"),
        (("otadata", 1, 0, 0x400000, 0xFFFFF000), "End of partition table"),
    ],
    ids=["too small", "past the chip", "wraps"],
)
def test_ota_data_that_cannot_be_read_ends_the_boot(
    machine: Machine, otadata: tuple[str, int, int, int, int], line: str
) -> None:
    with_table(machine, otadata, *FACTORY_ROWS[1:])
    assert boot(machine) is None
    assert any(line in printed for printed in machine.lines)


def test_whatever_the_flash_holds_the_bootloader_raises_nothing(machine: Machine, table: bytes) -> None:
    """Its own exceptions would be the bench's; a damaged flash is the board's business."""
    rng = random.Random(18)
    image = machine.flash.read(REGIONS["ota_0"].offset, 80_000)
    for _ in range(150):
        damaged = bytearray(table[: 7 * 32])
        for _ in range(rng.randrange(3)):
            damaged[rng.randrange(6) * 32 + rng.choice((2, 3, 5, 6, 7, 9, 10, 11))] = rng.randrange(256)
        del damaged[6 * 32 :]  # without its MD5 row, so that the damage is believed
        machine.put(0x8000, bytes(damaged))
        for sector in (0, 1):
            entry = esp32_otadata.made(
                sector, rng.choice((0, 1, 2, 0xFFFFFFFE, 0xFFFFFFFF)), rng.randrange(6)
            )
            machine.put(REGIONS["otadata"].offset + sector * 0x1000, entry.packed())
        other = bytearray(image)
        for _ in range(rng.randrange(3)):
            other[rng.randrange(64)] = rng.randrange(256)
        machine.put(REGIONS["ota_1"].offset, bytes(other))
        running = boot(machine)
        if running is not None:
            slots = esp32.EspOtaSlots(machine, running)
            slots.package()
            if slots.capacity < 0x200000:
                machine.run(slots.check(len(image)))
            machine.run(slots.request_upgrade())
            machine.run(slots.confirm())


def test_trial_and_confirm(machine: Machine, small_image: Image) -> None:
    update(machine, small_image("esp32", "1.1.0"))
    trial = boot(machine)
    assert trial is not None
    assert (trial.region, trial.version, trial.arrival, trial.confirmed) == ("ota_1", "1.1.0", "test", False)
    states = [e.state for e in container.parse_otadata(otadata(machine)) if e]
    assert states == [container.OtaState.VALID, container.OtaState.PENDING_VERIFY]
    slots = esp32.EspOtaSlots(machine, trial)
    machine.run(slots.confirm())
    assert slots.confirmed
    again = boot(machine)
    assert again is not None
    assert (again.version, again.arrival) == ("1.1.0", "normal")
    assert container.active_ota_slot(otadata(machine), 2) == 1


def test_without_confirmation_the_next_boot_rolls_back(machine: Machine, small_image: Image) -> None:
    update(machine, small_image("esp32", "1.1.0"))
    boot(machine)
    back = boot(machine)
    assert back is not None
    assert (back.version, back.arrival) == ("1.0.0", "revert")
    states = [e.state for e in container.parse_otadata(otadata(machine)) if e]
    assert states == [container.OtaState.VALID, container.OtaState.ABORTED]


def test_a_damaged_image_is_not_booted(machine: Machine, small_image: Image) -> None:
    image = bytearray(small_image("esp32", "1.1.0"))
    image[30_000] ^= 4
    update(machine, bytes(image))
    after = boot(machine)
    assert after is not None
    assert after.version == "1.0.0"
    assert any("esp_image: Checksum failed. Calculated " in line for line in machine.lines)


def test_an_image_for_another_chip_is_the_wrong_board(machine: Machine, small_image: Image) -> None:
    image = bytearray(small_image("esp32", "1.1.0"))
    image[12] = 9  # ESP32-S3
    running = boot(machine)
    assert running is not None
    slots = esp32.EspOtaSlots(machine, running)
    machine.run(slots.erase())
    machine.run(slots.write(0, bytes(image)))
    assert machine.run(slots.check(len(image))) == "wrong board"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("stage", ["request", "first boot", "confirm", "roll back"])
def test_a_power_cut_at_every_write_of_ota_data_boots_a_whole_image(
    table: bytes, small_image: Image, stage: str, share: float
) -> None:
    new = small_image("esp32", "1.1.0")

    def prepared() -> tuple[Machine, Callable[[], object]]:
        machine = Machine(0x400000, REGIONS)
        machine.put(0x8000, table)
        machine.put(REGIONS["ota_0"].offset, small_image("esp32", "1.0.0"))
        machine.put(REGIONS["ota_1"].offset, new)
        running = boot(machine)
        assert running is not None
        if stage == "request":
            return machine, lambda: esp32.EspOtaSlots(machine, running).request_upgrade()
        machine.run(esp32.EspOtaSlots(machine, running).request_upgrade())
        if stage == "first boot":
            return machine, lambda: esp32.boot(machine)
        trial = boot(machine)
        assert trial is not None
        if stage == "confirm":
            return machine, lambda: esp32.EspOtaSlots(machine, trial).confirm()
        return machine, lambda: esp32.boot(machine)

    operation = 0
    while True:
        machine, steps = prepared()
        if not machine.run_cut(steps(), operation, share):  # type: ignore[arg-type]
            break
        after = boot(machine)
        assert after is not None, f"bricked by a cut at operation {operation} of {stage}"
        assert after.version in ("1.0.0", "1.1.0")
        operation += 1
    assert operation == 2
