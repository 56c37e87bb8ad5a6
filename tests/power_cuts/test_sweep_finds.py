"""A sweep passes healthy boards, tells the same in every run, and finds boards that cuts do harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.config import load_bench
from bench.dut.hardware import HardwareDut
from bench.errors import NotApplicable, PlantError
from bench.firmware_update.states import Delivery
from bench.power_cuts.part import SweepPart
from bench.power_cuts.report import CutResult, as_json, as_table, describe, failed
from bench.power_cuts.sweep import Sweep
from bench.station import Station
from bench.sweep import Order, sweep
from bench.virtual.boot.mcuboot import swap_move
from bench.virtual.firmware.settings import Settings

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"


@contextmanager
def prepared(board: str) -> Iterator[Sweep]:
    with Station(load_bench(FILE, (board,))) as station:
        dut = station.duts[board]
        assert isinstance(dut, HardwareDut)
        made = Sweep(dut, station.updates, station.flash_stage(board), station.clock, 0)
        made.prepare(Delivery.PUSH, dut.images.update)
        yield made


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
