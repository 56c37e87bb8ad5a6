"""What a bench file says of a bootloader that is executed, and what `bench check` finds wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.config import Bench, BoardSettings
from bench.errors import ConfigError, PlantError
from bench.station import Station
from bench.virtual import images

MakeBench = Callable[..., Bench]


def test_a_whole_one(make_bench: MakeBench) -> None:
    board = make_bench().settings.boards["own"]
    assert isinstance(board, BoardSettings)
    assert board.virtual is not None
    assert (board.virtual.bootloader, board.virtual.upgrade) == ("binary", "move")


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('"binary"', '"mcuboot"', "boards.own.virtual.bootloader", "binary"),
        ('plant = "bench.virtual.plant:VirtualBench"', "", "boards.own.virtual", "has no `plant`"),
        (
            ', factory = { "0x0" = "bootloader.bin" }',
            "",
            "boards.own.virtual.bootloader",
            "no factory part for 0x0",
        ),
        (
            'bootloader = "binary"',
            'upgrade = "scratch"',
            "boards.own.virtual.upgrade",
            "says itself how it upgrades",
        ),
        ('"bootloader.bin"', '"own.toml"', 'boards.own.images.factory.0x0', "which is no stack pointer"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(make_bench: MakeBench, old: str, new: str, key: str, reason: str) -> None:
    with pytest.raises(ConfigError) as told:
        make_bench(change=lambda text: text.replace(old, new))
    assert key in str(told.value)
    assert reason in str(told.value)


def commission(bench: Bench) -> None:
    with Station(bench) as station:
        station.duts["own"].install(station.duts["own"].images.baseline)
        station.updates.commission(station.duts["own"])


def test_the_models_bootloader_is_no_machine_code(make_bench: MakeBench, tmp_path: Path) -> None:
    bench = make_bench()
    images.build_mcuboot_bootloader("nrf9160", tmp_path / "bootloader.bin")
    with pytest.raises(PlantError, match="own: the flash holds the model's bootloader"):
        commission(bench)
