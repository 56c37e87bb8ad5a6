"""A supply that cuts a board off during an update: told as what it is, never as a failure of the product."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.config import load_bench
from bench.errors import InstrumentError
from bench.evidence.run_verdict import ExitStatus
from bench.firmware_update.states import Delivery, Result
from bench.station import Station
from bench.virtual.plant import VirtualBench

ROOT = Path(__file__).parents[2]


class Short:
    """A drop of solder between supply and ground."""

    def set_supply(self, volts: float) -> None:
        pass

    def load(self, volts: float) -> float:
        return volts / 1.0


@pytest.fixture(params=["nrf9160", "esp32"])
def board(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> list[VirtualBench]:
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    monkeypatch.setattr(VirtualBench, "start", start)
    return seen


@pytest.fixture
def station(plant: list[VirtualBench], board: str) -> Iterator[Station]:
    with Station(load_bench(ROOT / "boards" / "virtual.toml", (board,)), seed=5) as station:
        dut = station.duts[board]
        dut.install(dut.images.baseline)
        station.updates.commission(dut)
        yield station


def short_after(plant: VirtualBench, board: str, seconds: float) -> Short:
    short = Short()
    rail = plant.rails[plant.bench.settings.boards[board].supply]
    plant.scheduler.after(seconds, lambda: rail.attach(short))
    return short


@pytest.mark.parametrize("delivery", list(Delivery))
def test_ocp_trip_during_an_update(
    station: Station, plant: list[VirtualBench], board: str, delivery: Delivery
) -> None:
    dut = station.duts[board]
    dut.supply.ocp = True
    short = short_after(plant[0], board, 4.0)
    limit = f"{dut.type.supply.current_limit:g} A"
    with pytest.raises(
        InstrumentError, match=rf"(psu|analyzer):1 tripped: over-current protection \(OCP\), limit {limit}"
    ):
        station.updates.update(dut, dut.images.update, delivery)

    rail = plant[0].rails[plant[0].bench.settings.boards[board].supply]
    with plant[0].scheduler.lock:
        rail.detach(short)
    dut.install(dut.images.baseline)  # the next test finds the trip cleared, and the board alive
    station.updates.commission(dut)
    assert station.updates.update(dut, dut.images.update, delivery).result is Result.SUCCESS
    assert any(
        e.kind == "power" and "over-current protection had tripped" in e.text for e in station.timeline
    )


def test_ovp_trip_during_an_update(station: Station, board: str) -> None:
    dut = station.duts[board]

    def overdo() -> None:
        with station.updates.begin(dut, dut.images.update, Delivery.PULL) as update:
            update.deliver(0.5)
            dut.supply.ovp = 3.3
            dut.supply.voltage = 3.6
            update.finish()

    with pytest.raises(InstrumentError, match=r":1 tripped: over-voltage protection \(OVP\), level 3\.3 V"):
        overdo()


def test_trip_while_a_board_registers(station: Station, plant: list[VirtualBench], board: str) -> None:
    dut = station.duts[board]
    dut.supply.ocp = True
    short_after(plant[0], board, 2.0)
    with pytest.raises(InstrumentError, match="tripped: over-current"):
        station.updates.restart(dut)


def test_output_that_somebody_switched_off(station: Station, board: str) -> None:
    dut = station.duts[board]
    dut.check_supply()
    dut.supply.output = False  # as a hand at the front panel
    with pytest.raises(InstrumentError, match=r":1 is off, though the bench switched it on"):
        dut.check_supply()
    dut.power_off()
    dut.check_supply()


def test_board_file_says_whether_ocp_guards_the_board(board: str) -> None:
    bench = load_bench(ROOT / "boards" / "virtual.toml", (board,))
    ((name, held),) = bench.types.items()
    guarded = held.model_copy(update={"supply": held.supply.model_copy(update={"ocp": True})})
    for types, expected in (({name: held}, False), ({name: guarded}, True)):
        with Station(bench.model_copy(update={"types": types})) as station:
            assert station.duts[board].supply.ocp is expected


PLUGIN = """
from bench.firmware_update.service import UpdateService
from bench.virtual.plant import VirtualBench
from test_supply_trip import short_after

plants = []
start, commission = VirtualBench.start, UpdateService.commission

def begin(plant):
    plants.append(plant)
    return start(plant)

def short_soon(server, dut):
    client = commission(server, dut)
    short_after(plants[-1], "nrf9160", 0.1)
    return client

VirtualBench.start, UpdateService.commission = begin, short_soon
"""


@pytest.mark.parametrize("testcase", ["test_push_succeeds", "test_corrupted_image", "test_update_in_idle"])
def test_testcase_is_broken_not_failed(tmp_path: Path, testcase: str) -> None:
    """One that wants success, one that would be content with a dead board, one that updates nothing."""
    boards = tmp_path / "boards"
    boards.mkdir()
    for name in ("virtual-nrf9160", "virtual-esp32", "virtual"):
        text = (ROOT / "boards" / f"{name}.toml").read_text("utf-8")
        (boards / f"{name}.toml").write_text(text.replace("[supply]\n", "[supply]\nocp = true\n"), "utf-8")
    (tmp_path / "solder.py").write_text(PLUGIN, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "solder"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), "--board", "nrf9160"]
    command += ["--bench", str(boards / "virtual.toml"), "--pictures=none"]
    command += [str(ROOT / "testcases"), "-k", testcase]
    path = os.pathsep.join([str(ROOT), str(tmp_path), str(Path(__file__).parent)])
    run = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == ExitStatus.BENCH, run.stdout[-3000:] + run.stderr[-2000:]
    assert "BENCH ERROR during call: psu:1 tripped: over-current protection (OCP), limit 0.6 A" in run.stdout
    assert "AssertionError" not in run.stdout
