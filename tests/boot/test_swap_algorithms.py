"""The ways in which the virtual MCUboot swaps: both images whole after an upgrade, a revert, and any cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests_boot_machine import Machine

from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.boot_state import BootState
from bench.virtual.boot.mcuboot.bootloader import boot as mcuboot_boot
from bench.virtual.boot.mcuboot.bootloader import options_of
from bench.virtual.boot.mcuboot.request import set_pending
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.images import build_mcuboot_bootloader
from bench.virtual.machine import Region, RunningImage

SLOT = 0x10000
SECTOR = 0x1000
REGIONS = {
    "mcuboot": Region(0, 0x10000),
    "slot0": Region(0x10000, SLOT),
    "slot1": Region(0x20000, SLOT),
    "scratch": Region(0x30000, 2 * SECTOR),
}
UPDATE_SECTOR = {"move": 0, "scratch": 0, "offset": 1}
"""Where an update begins in its slot."""
Image = Callable[..., bytes]


def boot(machine: Machine) -> RunningImage | None:
    result = machine.run(mcuboot_boot(machine))
    assert result is None or isinstance(result, RunningImage)
    return result


def where(machine: Machine, image: bytes, slot: str) -> list[int]:
    """The sectors of a slot at which the whole image begins."""
    region = REGIONS[slot]
    held = machine.flash.read(region.offset, region.size)
    return [n for n in range(region.size // SECTOR) if held[n * SECTOR :].startswith(image)]


class Board:
    """A machine with the old image running and the new one asked for."""

    def __init__(self, swap: str, small_image: Image, folder: Path) -> None:
        self.old, self.new = small_image("nrf9160", "1.0.0"), small_image("nrf9160", "1.1.0")
        self.swap = swap
        machine = self.empty()
        options = {"version": "main", "upgrade": swap}
        loader = build_mcuboot_bootloader("nrf9160", folder / "mcuboot.bin", options=options)
        machine.put(0, loader.read_bytes())
        machine.put(REGIONS["slot0"].offset, self.old)
        running = boot(machine)
        assert running is not None
        self.slots = McubootSlots(machine, running)
        machine.run(self.slots.erase())
        machine.run(self.slots.write(0, self.new))
        assert machine.run(self.slots.check(len(self.new))) == "ok"
        machine.run(self.slots.request_upgrade())
        self.machine = machine

    @staticmethod
    def empty() -> Machine:
        return Machine(0x32000, REGIONS)


@pytest.fixture(params=sorted(UPDATE_SECTOR))
def board(request: pytest.FixtureRequest, small_image: Image, tmp_path: Path) -> Board:
    return Board(request.param, small_image, tmp_path)


def test_upgrade_and_revert_exchange_whole_images(board: Board) -> None:
    machine = board.machine
    first = UPDATE_SECTOR[board.swap]
    assert where(machine, board.new, "slot1") == [first]
    trial = boot(machine)
    assert trial is not None
    assert (trial.version, trial.arrival, trial.confirmed) == ("1.1.0", "test", False)
    assert f"I: Starting swap using {board.swap} algorithm." in machine.lines
    assert where(machine, board.new, "slot0") == [0]
    assert where(machine, board.old, "slot1") == [0]

    back = boot(machine)
    assert back is not None
    assert (back.version, back.arrival, back.confirmed) == ("1.0.0", "revert", True)
    assert where(machine, board.old, "slot0") == [0]
    assert where(machine, board.new, "slot1") == [first]
    assert getattr(boot(machine), "arrival", None) == "normal"


def test_an_update_after_an_update(board: Board) -> None:
    machine = board.machine
    trial = boot(machine)
    assert trial is not None
    slots = McubootSlots(machine, trial)
    machine.run(slots.confirm())
    assert getattr(boot(machine), "arrival", None) == "normal"
    machine.run(slots.erase())
    machine.run(slots.write(0, board.old))
    assert machine.run(slots.request_upgrade()) == "its version is too low"  # MCUboot would take it
    state = BootState(machine, options_of(machine), Keys(b""))
    machine.run(set_pending(state.secondary, state.options))
    again = boot(machine)
    assert again is not None
    assert (again.version, again.arrival) == ("1.0.0", "test")
    assert where(machine, board.new, "slot1") == [0]


def test_an_invalidated_update_is_not_booted(board: Board) -> None:
    board.machine.run(board.slots.invalidate())
    assert getattr(boot(board.machine), "version", None) == "1.0.0"


def test_the_largest_image_leaves_room_for_the_trailer(board: Board) -> None:
    end = UPDATE_SECTOR[board.swap] * SECTOR + board.slots.capacity
    assert end <= SLOT - SECTOR
    assert board.slots.capacity >= SLOT - 2 * SECTOR


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("trial", [False, True], ids=["upgrade", "revert"])
def test_a_cut_at_every_flash_operation_leaves_both_images_whole(
    board: Board, share: float, trial: bool
) -> None:
    if trial:
        boot(board.machine)
    start = bytes(board.machine.flash.view)
    operation = 0
    while True:
        machine = board.empty()
        machine.flash.view[:] = start
        if not machine.run_cut(mcuboot_boot(machine), operation, share):
            break
        after = boot(machine)
        assert after is not None, f"bricked by a cut at operation {operation}"
        if trial:  # an image that did not prove itself has no second chance
            assert after.version == "1.0.0", f"operation {operation}"
        image, other = (board.old, board.new) if after.version == "1.0.0" else (board.new, board.old)
        assert where(machine, image, "slot0") == [0], f"operation {operation}"
        assert len(where(machine, other, "slot1")) == 1, f"operation {operation}"
        operation += 1
    assert operation > 30
