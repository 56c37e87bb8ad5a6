"""A board's meter and attenuator: connected by the bench file, brought to a known state, checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import Bench, BoardSettings, load_bench
from bench.current.floor import find_floor
from bench.current.recorder import Recorder, Subject
from bench.errors import ConfigError, InstrumentError, MeasurementError
from bench.instruments.samples import Sampling
from bench.station import Station
from bench.virtual.plant import VirtualBench

BOARDS = Path(__file__).parents[2] / "boards"


def bench_with(board: str, **changes: str | None) -> Bench:
    bench = load_bench(BOARDS / "virtual.toml", (board,))
    held = bench.settings.boards[board]
    assert isinstance(held, BoardSettings)
    boards = {board: held.model_copy(update=changes)}
    return bench.model_copy(update={"settings": bench.settings.model_copy(update={"boards": boards})})


@pytest.fixture
def plants(monkeypatch: pytest.MonkeyPatch) -> list[VirtualBench]:
    seen: list[VirtualBench] = []
    started = VirtualBench.start

    def start(plant: VirtualBench) -> object:
        seen.append(plant)
        return started(plant)

    monkeypatch.setattr(VirtualBench, "start", start)
    return seen


@pytest.mark.parametrize("board", ["nrf9160", "esp32"])
def test_opening_takes_the_attenuation_away(plants: list[VirtualBench], board: str) -> None:
    """Some attenuators power up at their largest value, where no board would ever attach."""
    with Station(bench_with(board)) as station:
        assert plants[0].boards[board].reception.path.attenuation == 0.0
        path = station.duts[board].attenuator
        assert path is not None
        path.attenuation = 30.0
        assert plants[0].boards[board].reception.path.loss == pytest.approx(30.0, abs=0.01)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("attenuator", "psu:1", "boards.nrf9160.attenuator = 'psu:1': 'psu' is no attenuator"),
        ("meter", "rf1:1", "boards.nrf9160.meter = 'rf1:1': 'rf1' is no meter or power supply"),
        ("meter", "analyzer:2", "a supply measures only what it feeds"),
        ("supply", "rf1:1", "boards.nrf9160.supply = 'rf1:1': 'rf1' is no power supply"),
    ],
)
def test_the_wrong_kind_of_instrument_is_named(key: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"virtual\.toml") as told:
        Station(bench_with("nrf9160", **{key: value})).__enter__()
    assert message in str(told.value)


def test_a_path_that_the_attenuator_does_not_have() -> None:
    with pytest.raises(InstrumentError, match="no path '3'; it has 1"):
        Station(bench_with("nrf9160", attenuator="rf1:3")).__enter__()


@pytest.mark.parametrize(
    ("board", "changes", "rate"),
    [("nrf9160", {}, 10_000.0), ("nrf9160", {"meter": "psu:1"}, 5.0), ("esp32", {}, 1_000.0)],
    ids=["ppk2", "read-back", "data log"],
)
def test_a_meter_reads_what_the_plant_draws(
    plants: list[VirtualBench], tmp_path: Path, board: str, changes: dict[str, str], rate: float
) -> None:
    """Charge over a boot, against the plant's own integral; read-back sees only points of it."""
    with Station(bench_with(board, **changes), seed=3) as station:
        dut = station.duts[board]
        assert dut.meter is not None
        measuring = dut.meter.configure(rate=rate, mode=dut.meter.ratings.modes[0])
        subject = Subject(board, 3.7, dut.meter.name, measuring.mode.value)
        recorder = Recorder(dut.meter, subject, station.clock, station.timeline)
        dut.install(dut.images.baseline)
        with recorder.recording(tmp_path / "trace.parquet") as made:
            station.clock.sleep(1.0, "off")
            dut.power_on()
            station.clock.sleep(20.0, "on")
            dut.power_cycle()
            station.clock.sleep(2.0, "on again")
        station.clock.sleep(1.0, "the last sample's time")
        trace = made.trace
        rail = next(r for r in plants[0].rails.values() if r.board_voltage > 0)
        exact = rail.history.charge(trace.start + 0.01, trace.end - 0.01)
        counts = sum(int(block.counts.sum()) for block in trace.blocks())
        measured = counts * trace.info.amps_per_count / trace.info.rate
        assert measured == pytest.approx(exact, rel=0.2 if rate < 10 else 0.01)
        assert trace.info.clock == "bench"
        assert len(made.switched_on) == 2
        if rate > 10:  # a point every 200 ms cannot show an edge
            assert made.fit is not None
            assert abs(made.fit.ppm) < 20
        else:
            assert made.fit is None


def test_what_failed_first_is_told_and_the_trace_is_kept(tmp_path: Path) -> None:
    with Station(bench_with("esp32"), seed=3) as station:
        dut = station.duts["esp32"]
        assert dut.meter is not None
        dut.meter.configure(rate=1000)
        subject = Subject("esp32", 3.3, dut.meter.name, "average")
        recorder = Recorder(dut.meter, subject, station.clock, station.timeline)

        def fail() -> None:
            with recorder.recording(tmp_path / "t.parquet"):
                station.clock.sleep(3.0, "off")
                raise AssertionError("the product")

        with pytest.raises(AssertionError, match="the product"):
            fail()
        assert (tmp_path / "t.parquet").is_file()
        assert not dut.meter.running


def test_a_floor_by_points_is_refused_not_wrong(tmp_path: Path) -> None:
    with Station(bench_with("nrf9160", meter="psu:1"), seed=3) as station:
        dut = station.duts["nrf9160"]
        assert dut.meter is not None
        dut.meter.configure(rate=10, mode=Sampling.POINT)
        recorder = Recorder(
            dut.meter, Subject("nrf9160", 3.7, "psu", "point"), station.clock, station.timeline
        )
        with recorder.recording(tmp_path / "t.parquet") as made:
            station.clock.sleep(10.0, "off")
        with pytest.raises(MeasurementError, match="miss the regulator's pulses"):
            find_floor(made.trace)


def test_a_voltmeter_is_no_supply() -> None:
    with pytest.raises(ConfigError, match=r"boards\.nrf9160\.voltmeter = 'psu': 'psu' is no voltmeter"):
        Station(bench_with("nrf9160", voltmeter="psu")).__enter__()
