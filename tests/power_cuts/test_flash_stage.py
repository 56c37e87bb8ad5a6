"""What a sweep takes for the state after a power cut is what a cut of the supply really leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_bench
from bench.errors import PlantError
from bench.firmware_update.states import Delivery
from bench.power_cuts.stage import FlashOperation
from bench.station import Station
from bench.virtual.flash_stage import BoardFlashStage
from bench.virtual.plant import VirtualBench

BOARDS = Path(__file__).parents[2] / "boards"
FILES = {
    "nrf9160": "virtual.toml",
    "esp32": "virtual.toml",
    "scratch": "virtual-swaps.toml",
    "offset": "virtual-swaps.toml",
}
QUIET = 30.0


class Rig:
    """One board on an open virtual bench, and its flash; a reached moment switches the supply off."""

    def __init__(self, station: Station, board: str) -> None:
        plant = station._plant
        assert isinstance(plant, VirtualBench)
        self.station, self.dut = station, station.duts[board]
        self.board = plant.boards[board]
        rail = plant.rails[station.bench.settings.boards[board].supply]  # type: ignore[union-attr]
        self.stage = BoardFlashStage(self.board, rail.off)

    def begin(self) -> None:
        self.dut.install(self.dut.images.baseline)
        self.station.updates.commission(self.dut)
        self.station.clock.sleep(QUIET, "the board comes to rest")

    def update(self) -> None:
        self.station.updates.update(self.dut, self.dut.images.update, Delivery.PUSH)
        self.station.clock.sleep(QUIET, "the board comes to rest")


def places(operations: list[FlashOperation]) -> dict[str, int]:
    """An operation of every kind, in every region that is worked on, from the middle of its like."""
    found: dict[str, list[int]] = {}
    for operation in operations:
        found.setdefault(f"{operation.kind} {operation.region}", []).append(operation.number)
    return {name: numbers[len(numbers) // 2] for name, numbers in found.items()}


@pytest.mark.parametrize("board", FILES)
def test_the_state_after_a_cut_is_the_one_that_the_supply_leaves(board: str) -> None:
    with Station(load_bench(BOARDS / FILES[board], (board,))) as station:
        rig = Rig(station, board)
        rig.begin()
        rig.stage.record()
        rig.update()
        operations = list(rig.stage.stop())
        rig.dut.power_off()
        chosen = places(operations)
        assert len(chosen) >= 4
        for number, (name, operation) in enumerate(chosen.items()):
            share, stream = 0.1 + 0.8 * number / len(chosen), f"{board} {name}"
            rig.stage.put(operation, share, stream)
            expected = rig.stage.digest()

            rig.begin()
            rig.board.flash.reseed(stream)
            rig.stage.expect(operation, share)
            rig.update()
            assert rig.stage.reached, name
            assert not rig.board.powered
            assert rig.stage.digest() == expected, name
            rig.dut.power_off()


def test_a_powered_board_is_left_alone() -> None:
    with Station(load_bench(BOARDS / "virtual.toml", ("nrf9160",))) as station:
        rig = Rig(station, "nrf9160")
        rig.begin()
        rig.stage.record()
        with pytest.raises(PlantError, match="nrf9160 is powered"):
            rig.stage.put(0, 0.5, "x")


def test_what_changes_the_flash_behind_the_record_is_noticed() -> None:
    with Station(load_bench(BOARDS / "virtual.toml", ("nrf9160",))) as station:
        rig = Rig(station, "nrf9160")
        rig.begin()
        rig.stage.record()
        rig.board.flash.erase_now(rig.board.regions["slot0"].offset)
        with pytest.raises(PlantError, match="changed otherwise"):
            rig.stage.stop()
