"""MCUboot's other ways to upgrade, on a board; and what no MCUboot is built like."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests_boot_machine import Machine

from bench.errors import ConfigError
from bench.firmware import mcuboot_signing as anew
from bench.virtual import images
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.bootloader import boot as mcuboot_boot
from bench.virtual.boot.mcuboot.options import Signature, Upgrade, Version, options_from
from bench.virtual.machine import Region, RunningImage

SLOT = 0x10000
REGIONS = {
    "mcuboot": Region(0, 0xF000),
    "counters": Region(0xF000, 0x1000),
    "slot0": Region(0x10000, SLOT),
    "slot1": Region(0x20000, SLOT),
}
MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
Image = Callable[..., bytes]


def machine_with(tmp_path: Path, slot0: bytes, **options: object) -> Machine:
    machine = Machine(0x30000, REGIONS)
    loader = images.build_mcuboot_bootloader("nrf9160", tmp_path / "mcuboot.bin", options=options)
    machine.put(0, loader.read_bytes())
    if slot0:
        machine.put(REGIONS["slot0"].offset, slot0)
    return machine


def boot(machine: Machine) -> RunningImage | None:
    result = machine.run(mcuboot_boot(machine))
    assert result is None or isinstance(result, RunningImage)
    return result


def what_runs(machine: Machine) -> tuple[str, str, bool] | None:
    running = boot(machine)
    return None if running is None else (running.region, running.version, running.confirmed)


def update(machine: Machine, image: bytes) -> McubootSlots:
    running = boot(machine)
    assert running is not None
    slots = McubootSlots(machine, running)
    machine.run(slots.erase())
    machine.run(slots.write(0, image))
    assert machine.run(slots.check(len(image))) == "ok"
    assert machine.run(slots.request_upgrade()) is None
    return slots


# ---- overwrite-only


@pytest.fixture(params=["2.1.0", "main"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def overwriting(tmp_path: Path, version: str, slot0: bytes, **more: object) -> Machine:
    return machine_with(tmp_path, slot0, version=version, upgrade="overwrite-only", **more)


def test_an_update_is_copied_over_the_old_image_and_stays(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    machine = overwriting(tmp_path, version, small_image("nrf9160", "1.0.0"))
    new = small_image("nrf9160", "1.1.0")
    update(machine, new)
    assert what_runs(machine) == ("slot0", "1.1.0", False)
    assert machine.flash.read(REGIONS["slot0"].offset, len(new)) == new
    assert machine.flash.is_erased(REGIONS["slot1"].offset, 0x1000)  # its header and its trailer
    assert machine.flash.is_erased(REGIONS["slot1"].offset + SLOT - 0x1000, 0x1000)
    assert what_runs(machine) == ("slot0", "1.1.0", False)  # there is no way back
    lines = "\n".join(machine.lines)
    assert "I: Image 0 upgrade secondary slot -> primary slot\nI: Erasing the primary slot\n" in lines
    assert "swap using" not in lines


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_cut_while_it_overwrites_leaves_a_board_that_begins_again(
    tmp_path: Path, small_image: Image, version: str, share: float
) -> None:
    prepared = overwriting(tmp_path, version, small_image("nrf9160", "1.0.0"))
    update(prepared, small_image("nrf9160", "1.1.0"))
    start = bytes(prepared.flash.view)
    for operation in range(1000):
        machine = Machine(0x30000, REGIONS)
        machine.flash.view[:] = start
        if not machine.run_cut(mcuboot_boot(machine), operation, share):
            assert operation > 25
            return
        running = boot(machine)
        assert running is not None, f"operation {operation}"
        assert running.version == "1.1.0", f"operation {operation}"


def test_overwriting_with_a_lower_version_is_refused(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    old, new = small_image("nrf9160", "1.0.0"), small_image("nrf9160", "1.1.0")
    machine = overwriting(tmp_path, version, old, by_version=True)
    update(machine, new)
    machine.put(REGIONS["slot0"].offset, small_image("nrf9160", "1.2.0"))
    assert what_runs(machine) == ("slot0", "1.2.0", True)
    assert machine.flash.is_erased(REGIONS["slot1"].offset, SLOT)
    assert any(line.lower() == "e: insufficient version in secondary slot" for line in machine.lines)


def test_an_image_that_is_not_linked_for_the_primary_slot_is_refused_by_main(
    tmp_path: Path, small_image: Image
) -> None:
    machine = overwriting(tmp_path, "main", small_image("nrf9160", "1.0.0"))
    image = bytearray(small_image("nrf9160", "1.1.0"))
    struct.pack_into("<I", image, 0x204, 0x20401)  # its reset handler, in the secondary slot
    private = images.SIGNING_KEY.private_bytes(
        images.Encoding.PEM, images.PrivateFormat.PKCS8, images.NoEncryption()
    )
    update(machine, anew.made_anew(bytes(image), anew.load_key(private)))
    assert what_runs(machine) == ("slot0", "1.0.0", True)
    assert machine.flash.is_erased(REGIONS["slot1"].offset, SLOT)
    assert "E: Erasing image from secondary slot" in machine.lines


# ---- direct-xip


def running_in_place(tmp_path: Path, version: str, slot0: bytes, **more: object) -> Machine:
    return machine_with(tmp_path, slot0, version=version, upgrade="direct-xip", **more)


def test_the_highest_version_runs_where_it_lies(tmp_path: Path, small_image: Image, version: str) -> None:
    machine = running_in_place(tmp_path, version, small_image("nrf9160", "1.0.0"))
    assert what_runs(machine) == ("slot0", "1.0.0", True)
    machine.put(REGIONS["slot1"].offset, small_image("nrf9160", "1.1.0"))
    assert what_runs(machine) == ("slot1", "1.1.0", True)
    assert "I: Starting Direct-XIP bootloader" in machine.lines
    assert "I: Secondary slot: version=1.1.0+0" in machine.lines
    assert machine.lines[-1] == "I: Jumping to the image slot"
    machine.flash.view[REGIONS["slot1"].offset + 5000] ^= 1
    assert what_runs(machine) == ("slot0", "1.0.0", True)
    assert machine.flash.is_erased(REGIONS["slot1"].offset, SLOT)


def reverting(tmp_path: Path, small_image: Image, version: str) -> Machine:
    """The old image confirmed in the primary slot."""
    machine = running_in_place(tmp_path, version, small_image("nrf9160", "1.0.0"), revert=True)
    end = REGIONS["slot0"].offset + SLOT
    machine.flash.view[end - 16 : end] = MAGIC
    machine.flash.view[end - 24] = machine.flash.view[end - 32] = 1
    return machine


def test_with_revert_an_unconfirmed_image_is_erased_at_its_second_start(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    machine = reverting(tmp_path, small_image, version)
    update(machine, small_image("nrf9160", "1.1.0"))
    assert what_runs(machine) == ("slot1", "1.1.0", False)
    assert what_runs(machine) == ("slot0", "1.0.0", True)
    assert machine.flash.is_erased(REGIONS["slot1"].offset, SLOT)


def test_with_revert_a_confirmed_image_stays(tmp_path: Path, small_image: Image, version: str) -> None:
    machine = reverting(tmp_path, small_image, version)
    update(machine, small_image("nrf9160", "1.1.0"))
    trial = boot(machine)
    assert trial is not None
    machine.run(McubootSlots(machine, trial).confirm())
    assert what_runs(machine) == ("slot1", "1.1.0", True)
    slots = McubootSlots(machine, trial)
    assert slots.region == "slot0"  # the next update goes there


def test_with_revert_an_image_without_a_trailer_does_not_run(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    machine = running_in_place(tmp_path, version, small_image("nrf9160", "1.0.0"), revert=True)
    assert boot(machine) is None
    assert "I: No slot to load for image 0" in machine.lines
    assert machine.flash.is_erased(REGIONS["slot0"].offset, SLOT)


# ---- bootstrap, and a primary slot that nobody validates


def test_an_empty_primary_slot_is_filled_where_that_is_on(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    image = small_image("nrf9160", "1.1.0")
    for bootstrap, runs in ((False, None), (True, ("slot0", "1.1.0", True))):
        machine = machine_with(tmp_path, b"", version=version, upgrade="move", bootstrap=bootstrap)
        machine.put(REGIONS["slot1"].offset, image)
        assert what_runs(machine) == runs


def test_without_validation_any_image_header_will_do(
    tmp_path: Path, small_image: Image, version: str
) -> None:
    image = bytearray(small_image("nrf9160", "1.0.0"))
    image[5000] ^= 1
    machine = machine_with(tmp_path, bytes(image), version=version, validate_primary=False)
    assert what_runs(machine) == ("slot0", "1.0.0", True)
    machine.put(REGIONS["slot0"].offset, bytes(0x1000))
    assert boot(machine) is None
    assert "E: bad image magic 0x0; Image=0" in machine.lines


# ---- options


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"version": "2.1.0", "upgrade": "offset"}, "swap by offset in version 2.1.0"),
        ({"by_version": True, "by_counter": True}, "by version and by the platform's counter"),
        ({"upgrade": "direct-xip", "by_version": True}, "by version and direct-xip"),
        ({"by_image_counter": True}, "by_image_counter without by_version"),
        ({"upgrade": "move", "revert": True}, "revert in direct-xip and upgrade move"),
        ({"version": "2.1.0", "allow_list": False}, "no allow-list of TLVs in version 2.1.0"),
        ({"upgrade": "direct-xip", "bootstrap": True}, "bootstrap and direct-xip"),
        ({"version": "2.0.0"}, "'2.0.0' is no version of an MCUboot"),
        ({"upgrade": "ram-load"}, "'ram-load' is no upgrade of an MCUboot"),
    ],
)
def test_what_kconfig_does_not_have_is_refused(options: Mapping[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        options_from(options)


def test_options_are_named_as_in_the_descriptor() -> None:
    found = options_from({"version": "2.1.0", "upgrade": "scratch", "signature": "ed25519", "other": 1})
    assert (found.version, found.upgrade, found.signature) == (
        Version.V2_1_0,
        Upgrade.SCRATCH,
        Signature.ED25519,
    )
