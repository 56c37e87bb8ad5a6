"""A sweep passes healthy boards, tells the same in every run, and finds boards that cuts do harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from bench.config import Bench, BoardType, load_bench
from bench.dut.hardware import HardwareDut
from bench.errors import NotApplicable, PlantError
from bench.firmware_update.states import Delivery, Result
from bench.power_cuts.part import SweepPart
from bench.power_cuts.report import CutResult, as_json, as_table, describe, failed, told
from bench.power_cuts.sweep import Sweep
from bench.station import Station
from bench.sweep import Order, sweep
from bench.virtual import images
from bench.virtual.boot.mcuboot import swap_move
from bench.virtual.firmware.settings import Settings

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"


@contextmanager
def opened(bench: Bench, board: str) -> Iterator[tuple[Sweep, HardwareDut]]:
    with Station(bench) as station:
        dut = station.duts[board]
        assert isinstance(dut, HardwareDut)
        yield Sweep(dut, station.updates, station.flash_stage(board), station.clock, 0), dut


@contextmanager
def prepared(board: str) -> Iterator[Sweep]:
    with opened(load_bench(FILE, (board,)), board) as (made, dut):
        made.prepare(Delivery.PUSH, dut.images.update)
        yield made


@contextmanager
def on_the_way_back(bench: Bench) -> Iterator[Sweep]:
    """A new image that fails its self-test gives way to the old one."""
    with opened(bench, "nrf9160") as (made, dut):
        made.prepare(Delivery.PUSH, dut.images.self_test_fails, Result.UPDATE_FAILED)
        yield made


def with_mcuboot(version: Literal["2.1.0"] | None) -> Bench:
    """The virtual bench with a board file that names this MCUboot, or none."""
    bench = load_bench(FILE, ("nrf9160",))
    name = bench.settings.boards["nrf9160"].type
    board_type = bench.types[name]
    assert isinstance(board_type, BoardType)
    firmware = board_type.firmware.model_copy(update={"mcuboot": version})
    changed = board_type.model_copy(update={"firmware": firmware})
    return bench.model_copy(update={"types": {**bench.types, name: changed}})


def copy_done(made: Sweep) -> int:
    """The first cut that tears the write of copy_done."""
    (number, *_) = [o.number for o in made.operations if o.region == "slot0" and o.offset == 0x70000 - 32]
    return next(cut.number for cut in made.cuts if cut.operation == number and cut.again)


def outcomes(made: Sweep, step: int, phase: str = "") -> list[CutResult]:
    cuts = [cut for cut in made.cuts if phase in ("", cut.phase)]
    return [made.run(cut) for cut in cuts[::step]]


@pytest.mark.parametrize("board", ["nrf9160", "esp32"])
def test_a_healthy_board_survives_and_twice_the_same(board: str) -> None:
    def once() -> list[CutResult]:
        with prepared(board) as made:
            assert {cut.phase for cut in made.cuts} == {"download", "swap", "first boot", "confirm"}
            return outcomes(made, 29)

    first, second = once(), once()
    assert failed(first) == []
    assert {result.booted for result in first} == {"old", "new"} or board == "esp32"
    assert as_json(board, 0, first) == as_json(board, 0, second)


def test_a_bootloader_that_forgets_how_far_it_was_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with prepared("nrf9160") as made:
        monkeypatch.setattr(swap_move, "last_written", lambda area: 0)
        problems = failed(outcomes(made, 97, "swap"))
    assert any("did not boot and register" in result.problem for result in problems)
    assert {result.booted for result in problems} == {"nothing"}


def test_what_the_bootloader_is_known_to_get_wrong_is_named() -> None:
    with on_the_way_back(load_bench(FILE, ("nrf9160",))) as made:
        results = [made.run(made.cuts[copy_done(made)])]
    assert [result.known for result in results] == ["MCUBOOT-TORN-COPY-DONE"]
    assert failed(results) == []
    (line,) = told(results)
    assert line.startswith(f"known issue, 1 cuts (--cut {results[0].cut.number}): MCUBOOT-TORN-COPY-DONE: ")


def test_of_a_bootloader_that_the_board_file_does_not_name_nothing_is_known() -> None:
    with on_the_way_back(with_mcuboot(None)) as made:
        results = [made.run(made.cuts[copy_done(made)])]
    assert [result.known for result in results] == [None]
    assert failed(results) == results


def test_a_counter_that_an_interrupted_swap_raises_too_early_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """mcu-tools/mcuboot#2282, in 2.1.0 with the platform's counter."""
    options = {"version": "2.1.0", "upgrade": "move", "by_counter": True}
    monkeypatch.setattr(images, "MCUBOOTS", {"": options})
    with on_the_way_back(with_mcuboot("2.1.0")) as made:
        swapping = [cut for cut in made.cuts if cut.phase == "swap" and not cut.again]
        result = made.run(swapping[len(swapping) // 4])
    assert (result.known, failed([result])) == ("MCUBOOT-2282", [])


def test_settings_that_do_not_survive_a_torn_write_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record half written is believed, and everything is lost with the half that it is in."""

    def load(self: Settings) -> None:
        self.values = {}
        self._generation, self._end = 0, self._half

    with prepared("nrf9160") as made:
        monkeypatch.setattr(Settings, "load", load)
        problems = failed(outcomes(made, 97, "download"))
    assert problems
    assert all("did not boot and register" in result.problem for result in problems)
    assert f"--cut {problems[0].cut.number} repeats it" in describe(problems[0])


def test_a_part_without_operations_is_no_finding() -> None:
    empty = Order(load_bench(FILE, ("esp32",)), "esp32", Delivery.PUSH, part=SweepPart(1000, 1000))
    with pytest.raises(NotApplicable, match="part 1000/1000 of this sweep holds none"):
        sweep(empty)


def test_one_cut_alone_has_the_outcome_that_it_has_among_all() -> None:
    with prepared("nrf9160") as made:
        number = next(cut.number for cut in made.cuts if cut.phase == "swap" and cut.share > 0.4)
        among = [made.run(cut) for cut in made.cuts[number - 4 : number + 1]][-1]
    (alone,) = sweep(Order(load_bench(FILE), "nrf9160", Delivery.PUSH, only=number))
    assert (alone.cut, alone.booted, alone.second, alone.problem) == (
        among.cut,
        among.booted,
        among.second,
        among.problem,
    )


def test_a_number_that_is_no_cut_is_named() -> None:
    with pytest.raises(PlantError, match="there is no cut 999999"):
        sweep(Order(load_bench(FILE), "esp32", Delivery.PUSH, only=999999))


def test_table_and_json_count_the_same() -> None:
    with prepared("esp32") as made:
        results = outcomes(made, 101)
    written = json.loads(as_json("esp32", 0, results))
    assert written["sweep"] == {"board": "esp32", "seed": 0, "cuts": len(results), "failed": 0}
    assert [row["number"] for row in written["results"]] == [result.cut.number for result in results]
    assert as_table(results).splitlines()[-1].split()[:3] == [
        "all",
        str(len({r.cut.operation for r in results})),
        str(len(results)),
    ]
