"""The virtual ESP32 bootloader: OTA data, rollback, damaged images, power cuts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests_boot_machine import Machine

from bench.firmware import esp32 as container
from bench.virtual.boot import esp32
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


def test_without_ota_data_the_first_slot_boots(machine: Machine) -> None:
    running = boot(machine)
    assert running is not None
    assert (running.region, running.version, running.confirmed) == ("ota_0", "1.0.0", True)
    assert any(line.endswith("boot: Loaded app from partition at offset 0x10000") for line in machine.lines)


def test_trial_and_confirm(machine: Machine, small_image: Image) -> None:
    update(machine, small_image("esp32", "1.1.0"))
    trial = boot(machine)
    assert trial is not None
    assert (trial.region, trial.version, trial.arrival, trial.confirmed) == ("ota_1", "1.1.0", "test", False)
    states = [e.state for e in container.parse_otadata(otadata(machine)) if e]
    assert states == [container.OtaState.PENDING_VERIFY]
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
    assert states == [container.OtaState.ABORTED]
    assert any("Rollback to previously worked partition." in line for line in machine.lines)


def test_a_damaged_image_is_not_booted(machine: Machine, small_image: Image) -> None:
    image = bytearray(small_image("esp32", "1.1.0"))
    image[30_000] ^= 4
    update(machine, bytes(image))
    after = boot(machine)
    assert after is not None
    assert after.version == "1.0.0"
    assert any("Image hash failed - image is corrupt" in line for line in machine.lines)


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
