"""A whole update on the virtual bench, metered at its rail: the room and the plant together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import pytest
from current_rig import Delivered

from bench.config import BenchSettings, load_bench
from bench.current.clocks import fit_clocks, pair_markers
from bench.current.floor import find_floor
from bench.current.phases import PhaseCost, measure, phases_of_states
from bench.current.trace import Trace, TraceInfo
from bench.current.trace_file import TraceWriter
from bench.firmware_update.record import UpdateRecord
from bench.firmware_update.states import Delivery, Result
from bench.station import Station
from bench.virtual.plant import VirtualBench
from bench.virtual.power.load_history import LoadHistory

BOARDS = Path(__file__).parents[2] / "boards"
RATE = 10_000.0
PPM = 50e-6
ORIGIN = 1000.0
REST = 30.0
"""Seconds of metering after the update."""


@dataclass
class Run:
    record: UpdateRecord
    history: LoadHistory
    trace: Trace
    costs: list[PhaseCost]


def metered(history: LoadHistory, start: float, end: float, path: Path) -> Trace:
    """What a meter records that starts its own clock at `start`, and whose crystal is 50 ppm slow."""
    period = (1 + PPM) / RATE
    with TraceWriter(path, TraceInfo(RATE, ORIGIN, meter="meter of the rail")) as writer:
        for first in range(0, int((end - start) / period), 50_000):
            count = min(50_000, int((end - start) / period) - first)
            samples = history.means(start + first * period, period, count)
            writer.append(Delivered(samples[:, 1], samples[:, 0]))
    return writer.close()


@pytest.fixture(scope="module", params=["nrf9160", "esp32"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    plants: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> BenchSettings:
        plants.append(plant)
        return started(plant)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VirtualBench, "start", start)
        station = Station(load_bench(BOARDS / "virtual.toml", (request.param,)), seed=5).__enter__()
    with contextlib.closing(station):
        plants[0].boards[request.param].reception.path.attenuation = 28.0  # so that it sends at full power
        dut = station.duts[request.param]
        dut.install(dut.images.baseline)
        station.updates.commission(dut)
        record = station.updates.update(dut, dut.images.update, Delivery.PULL)
        assert record.result is Result.SUCCESS
        station.clock.sleep(REST, "metering after the update")
        rail = next(r for r in plants[0].rails.values() if r.board_voltage > 0)
        end = record.finished + REST - 1
        raw = metered(rail.history, record.started, end, tmp_path_factory.mktemp("cost") / "run.parquet")
        fit = fit_clocks(
            pair_markers([ORIGIN + 1.0, ORIGIN + 30.0], [record.started + s * (1 + PPM) for s in (1.0, 30.0)])
        )
        trace = fit.align(raw)
        phases = phases_of_states(((t.time, t.state) for t in record.transitions), end - 0.01)
        yield Run(record, rail.history, trace, measure(trace, phases))


def test_each_phase_costs_what_the_plant_gave(run):
    assert [c.phase.name for c in run.costs] == ["idle", "downloading", "downloaded", "updating", "idle"]
    for cost in run.costs:
        exact = run.history.charge(cost.phase.start, cost.phase.end)
        assert cost.charge == pytest.approx(exact, rel=1e-3, abs=2e-5)  # a marker is good to a sample
        assert cost.complete
    whole = run.history.charge(run.costs[0].phase.start, run.costs[-1].phase.end)
    assert sum(c.charge for c in run.costs) == pytest.approx(whole, rel=1e-4)


def test_energy_is_voltage_times_charge(run):
    volts = run.history.points(run.record.started, 0.0, 1)[0, 0]
    for cost in run.costs:
        assert cost.energy == pytest.approx(volts * cost.charge, rel=1e-3)


def test_sending_peaks_show_while_downloading(run):
    downloading = run.costs[1]
    least = {"nrf9160": 0.28, "esp32": 0.15}[run_kind(run)]  # Wi-Fi sends for less than a sample
    assert downloading.peak > least
    assert downloading.mean < 0.6 * downloading.peak


def run_kind(run: Run) -> str:
    return "esp32" if run.history.points(run.record.started, 0.0, 1)[0, 0] < 3.5 else "nrf9160"


def test_the_board_comes_to_rest_after_the_update(run):
    floor = find_floor(run.trace, run.record.finished, window=2.56)
    assert floor.settled
    assert floor.lost == 0
    last = measure(run.trace, [run.costs[-1].phase])[0]
    assert floor.amps < last.mean
    assert floor.start > run.record.finished


def test_without_alignment_phases_would_be_off(run):
    """50 ppm over the update is more than a sample."""
    duration = run.trace.end - run.trace.start
    assert duration * PPM * RATE > 5
    assert run.trace.info.rate == pytest.approx(RATE / (1 + PPM))
    assert numpy.isclose(run.trace.start, run.record.started, atol=1e-6)
