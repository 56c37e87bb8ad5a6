"""`bench recover`: what it asks, what it touches, and that it leaves the board off."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from locked_bench import AlteredBench, LockedBench

from bench.cli import commands
from bench.config import BenchSettings, load_bench
from bench.dut.swd import SwdFlasher
from bench.errors import BenchError, ConfigError, InstrumentError, LockedError, ProbeError
from bench.instruments.output_guard import OutputGuard
from bench.recover import run_recover
from bench.station import one_board as opening
from bench.station import station
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.power.rail import Rail

BOARDS = Path(__file__).parents[2] / "boards"
SERIAL = "960012345"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A bench file whose images do not exist, and of whose instruments only the supply answers."""
    for board in BOARDS.glob("*.toml"):
        shutil.copy(board, tmp_path)
    text = (BOARDS / "virtual.toml").read_text("utf-8")
    text = text.replace("bench.virtual.plant:VirtualBench", "locked_bench:LockedBench")
    text = text.replace(
        '{ provider = "bench.virtual.images:build_set" }', '{ baseline = "no.bin", update = "no.bin" }'
    )
    path = tmp_path / "locked.toml"
    path.write_text(text, "utf-8")
    return path


def bench(*arguments: object, typed: str = "") -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], input=typed)


def chip() -> Any:
    board = AlteredBench.last.boards["nrf9160"]
    assert isinstance(board, VirtualNrf9160)
    return board.chip


def was_erased() -> bool:
    return bool(chip().flash.is_erased(0, chip().flash.size))


@pytest.mark.parametrize("how", ["typed", "given"])
def test_a_locked_board_is_erased_unlocked_and_left_off(file: Path, how: str) -> None:
    arguments = ["recover", "nrf9160", "--bench", file]
    result = bench(*arguments, typed=f"{SERIAL}\n") if how == "typed" else bench(*arguments, "--yes", SERIAL)
    assert result.exit_code == 0, result.output
    assert was_erased()
    assert not chip().powered
    assert chip().uicr.is_erased(0, 0x1000)
    assert "erased and unlocked" in result.output


def test_what_is_lost_is_told_before_anything_is_done(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "plant_of", lambda *_: pytest.fail("opened"))
    result = bench("recover", "nrf9160", "--bench", file, typed="")
    for word in (SERIAL, "VNRF960012345", "psu:1", "bootloader", "UICR", "whole flash"):
        assert word in result.output
    assert result.exit_code == 1, "no answer is no consent"


@pytest.mark.parametrize("typed", ["yes", "y", "nrf9160", "96001234", f"{SERIAL}0", "VNRF960012345"])
def test_nothing_but_the_serial_is_consent(file: Path, monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    monkeypatch.setattr(opening, "plant_of", lambda *_: pytest.fail("opened"))
    for result in (
        bench("recover", "nrf9160", "--bench", file, typed=f"{typed}\n"),
        bench("recover", "nrf9160", "--bench", file, "--yes", typed),
    ):
        assert isinstance(result.exception, ConfigError)
        assert "nothing was done" in result.exception.message


@pytest.mark.parametrize(("board", "told"), [("esp32", "no debug probe"), ("nrf9161", "no board 'nrf9161'")])
def test_boards_that_cannot_be_recovered(file: Path, board: str, told: str) -> None:
    result = bench("recover", board, "--bench", file, "--yes", "x")
    assert isinstance(result.exception, ConfigError)
    assert told in result.exception.message
    assert result.exception.help


def test_only_the_board_and_its_supply_are_opened(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = opening.open_instrument

    def noted(name: str, *arguments: Any, **options: Any) -> Any:
        opened.append(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(opening, "open_instrument", noted)
    monkeypatch.setattr(station, "LwM2mServer", lambda *_, **__: pytest.fail("a server"))
    run_recover(load_bench(file, ("nrf9160",)), "nrf9160", lambda line: None)
    assert opened == ["psu", "ppk2"], "its supply, and the meter in its lead"
    assert was_erased()


def failing(error: BaseException) -> Callable[..., None]:
    def recover(*_: Any) -> None:
        assert chip().powered
        raise error

    return recover


@pytest.mark.parametrize(
    "error",
    [LockedError("locked", help="x"), ProbeError("gone", help="x"), KeyboardInterrupt(), RuntimeError("bug")],
    ids=lambda error: type(error).__name__,
)
def test_the_board_is_off_at_every_exit(
    file: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(SwdFlasher, "recover", failing(error))
    with pytest.raises(type(error)):
        run_recover(load_bench(file, ("nrf9160",)), "nrf9160", lambda line: None)
    assert not chip().powered


def test_its_limits_are_set_before_its_supply_is_switched_on(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driven: list[tuple[float, float]] = []
    drive = Rail.drive

    def noted(rail: Rail, volts: float, limit: float) -> None:
        if rail is AlteredBench.last.rails["psu:1"]:
            driven.append((volts, limit))
        drive(rail, volts, limit)

    monkeypatch.setattr(Rail, "drive", noted)
    run_recover(load_bench(file, ("nrf9160",)), "nrf9160", lambda line: None)
    assert set(driven) == {(3.7, 0.6)}
    assert len(driven) == 2, "switched on, and once more to see what stays unlocked"


def test_a_probe_that_is_missing_is_told_before_anything_is_powered(file: Path) -> None:
    file.write_text(file.read_text("utf-8").replace("VNRF960012345", "ANOTHER"), "utf-8")
    text = file.read_text("utf-8")
    assert "ANOTHER" in text
    AlteredBench.hide_probes = True
    try:
        with pytest.raises(ProbeError, match="ANOTHER"):
            run_recover(load_bench(file, ("nrf9160",)), "nrf9160", lambda line: None)
    finally:
        AlteredBench.hide_probes = False
    assert not chip().powered
    assert chip().flash.wear == {}


def test_a_supply_that_is_another_is_told(file: Path) -> None:
    text = file.read_text("utf-8").replace("KEYSIGHT TECHNOLOGIES,E36312A", "SOMEBODY,ELSE")
    file.write_text(text, "utf-8")
    with pytest.raises(BenchError) as told:
        run_recover(load_bench(file, ("nrf9160",)), "nrf9160", lambda line: None)
    assert isinstance(told.value, InstrumentError)
    assert not chip().powered


def test_without_a_plant_it_works_on_the_wall_clock_and_under_guard(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same wires, found through a bench file of hardware; a process of its own guards the supply."""
    guarded: list[list[str]] = []
    real = opening.guard_of

    def noted(settings: BenchSettings) -> OutputGuard | None:
        guarded.append(list(settings.instruments))
        return real(settings)

    monkeypatch.setattr(opening, "guard_of", noted)
    bench = load_bench(file, ("nrf9160",))
    plant = LockedBench(bench)
    try:
        settings = plant.start()
        hardware = settings.model_copy(update={"bench": settings.bench.model_copy(update={"plant": None})})
        run_recover(bench.model_copy(update={"settings": hardware}), "nrf9160", lambda line: None)
        assert was_erased()
        assert not chip().powered
        assert guarded == [["psu", "ppk2"]]
    finally:
        plant.close()
