"""The virtual MCUboot on a board: what it boots, what it refuses, and what its application does with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests_boot_machine import Machine

from bench.firmware import mcuboot as container
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.boot_state import BootState
from bench.virtual.boot.mcuboot.bootloader import boot as mcuboot_boot
from bench.virtual.boot.mcuboot.bootloader import options_of
from bench.virtual.boot.mcuboot.request import set_pending
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.boot.traits import BOARD_TLV
from bench.virtual.images import build_mcuboot_bootloader
from bench.virtual.machine import Region, RunningImage

SLOT = 0x10000
REGIONS = {
    "mcuboot": Region(0, 0x10000),
    "slot0": Region(0x10000, SLOT),
    "slot1": Region(0x20000, SLOT),
}
Image = Callable[..., bytes]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(0x30000, REGIONS)
    machine.put(0, build_mcuboot_bootloader("nrf9160", tmp_path / "mcuboot.bin").read_bytes())
    return machine


def boot(machine: Machine) -> RunningImage | None:
    result = machine.run(mcuboot_boot(machine))
    assert result is None or isinstance(result, RunningImage)
    return result


def write(machine: Machine, running: RunningImage, image: bytes) -> McubootSlots:
    slots = McubootSlots(machine, running)
    machine.run(slots.erase())
    machine.run(slots.write(0, image))
    return slots


def ask(machine: Machine) -> None:
    """For what is in the secondary slot, as an application without a second thought does."""
    state = BootState(machine, options_of(machine), Keys(b""))
    machine.run(set_pending(state.secondary, state.options))


def offer(machine: Machine, running: RunningImage, image: bytes) -> None:
    write(machine, running, image)
    ask(machine)


def slot(machine: Machine, name: str, length: int) -> bytes:
    return machine.flash.read(REGIONS[name].offset, length)


def with_old(machine: Machine, small_image: Image) -> tuple[bytes, RunningImage]:
    old = small_image("nrf9160", "1.0.0")
    machine.put(REGIONS["slot0"].offset, old)
    running = boot(machine)
    assert running is not None
    return old, running


def test_a_good_image_boots_and_its_version_is_its_headers(machine: Machine, small_image: Image) -> None:
    _, running = with_old(machine, small_image)
    assert (running.version, running.arrival, running.confirmed) == ("1.0.0", "normal", True)
    assert machine.lines[-1] == "I: Jumping to the first image slot"


def test_an_empty_slot_boots_nothing(machine: Machine) -> None:
    assert boot(machine) is None
    assert "E: Unable to find bootable image" in machine.lines


def test_swap_trial_confirm_and_stay(machine: Machine, small_image: Image) -> None:
    old, running = with_old(machine, small_image)
    new = small_image("nrf9160", "1.1.0")
    offer(machine, running, new)
    trial = boot(machine)
    assert trial is not None
    assert (trial.version, trial.arrival, trial.confirmed) == ("1.1.0", "test", False)
    assert slot(machine, "slot0", len(new)) == new
    assert slot(machine, "slot1", len(old)) == old
    trailer = container.parse_trailer(slot(machine, "slot0", SLOT))
    assert (trailer.magic_good, trailer.copy_done, trailer.image_ok) == (True, True, None)
    machine.run(McubootSlots(machine, trial).confirm())
    again = boot(machine)
    assert again is not None
    assert (again.version, again.arrival, again.confirmed) == ("1.1.0", "normal", True)


def test_an_unconfirmed_image_reverts_and_stays_reverted(machine: Machine, small_image: Image) -> None:
    old, running = with_old(machine, small_image)
    offer(machine, running, small_image("nrf9160", "1.1.0"))
    boot(machine)
    back = boot(machine)
    assert back is not None
    assert (back.version, back.arrival, back.confirmed) == ("1.0.0", "revert", True)
    assert slot(machine, "slot0", len(old)) == old
    assert getattr(boot(machine), "arrival", None) == "normal"


def flipped(image: bytes) -> bytes:
    return image[:5000] + bytes([image[5000] ^ 1]) + image[5001:]


def unsigned_board(image: bytes) -> bytes:
    """Another board's name in the protected area: hash and signature no longer cover it."""
    at = image.index(b"nrf9160", container.parse(image).header_size + container.parse(image).body_size)
    return image[:at] + b"nrf9161" + image[at + 7 :]


@pytest.mark.parametrize("damage", [flipped, unsigned_board, lambda i: i[:-1], lambda i: bytes(64)])
def test_a_bad_image_is_erased_and_the_old_one_boots(
    machine: Machine, small_image: Image, damage: Callable[[bytes], bytes]
) -> None:
    old, running = with_old(machine, small_image)
    offer(machine, running, damage(small_image("nrf9160", "1.1.0")))
    after = boot(machine)
    assert after is not None
    assert after.version == "1.0.0"
    assert machine.flash.is_erased(REGIONS["slot1"].offset, SLOT)
    assert slot(machine, "slot0", len(old)) == old


def test_another_key_is_refused(machine: Machine, small_image: Image, tmp_path: Path) -> None:
    from bench.virtual.images import build

    _, running = with_old(machine, small_image)
    foreign = build(
        "nrf9160", "1.1.0", size=20_000, out=tmp_path / "f", key=ec.generate_private_key(ec.SECP256R1())
    )
    assert container.hash_is_right(foreign.read_bytes())
    offer(machine, running, foreign.read_bytes())
    assert getattr(boot(machine), "version", None) == "1.0.0"


def test_another_boards_image_is_refused_by_the_application_alone(
    machine: Machine, small_image: Image, tmp_path: Path
) -> None:
    """MCUboot knows no boards: what is asked for is swapped in."""
    from bench.virtual import images

    _, running = with_old(machine, small_image)
    other = images._build_mcuboot(
        "nrf5340", "1.1.0", {}, 20_000, images.SIGNING_KEY, tmp_path / "other.bin"
    ).read_bytes()
    assert container.parse(other).tlvs[BOARD_TLV] == b"nrf5340"
    slots = write(machine, running, other)
    assert machine.run(slots.check(len(other))) == "ok"
    assert machine.run(slots.request_upgrade()) == "it is for another board"
    assert getattr(boot(machine), "version", None) == "1.0.0"
    ask(machine)
    assert getattr(boot(machine), "version", None) == "1.1.0"
