"""The station on the virtual bench: it leaves nothing powered, and the plant hangs together."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.config import Bench, load_bench
from bench.errors import BenchError, ImageError, LockedError, ProbeError, ServerError
from bench.firmware_update.service import UpdateService
from bench.firmware_update.states import Delivery, Result, State
from bench.station import Station
from bench.station.fitting import Fitter
from bench.virtual.images import build
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.registry import PROBES

BOARDS = Path(__file__).parents[2] / "boards"


def bench_for(board: str, **server: object) -> Bench:
    bench = load_bench(BOARDS / "virtual.toml", (board,))
    settings = bench.settings.model_copy(update={"server": bench.settings.server.model_copy(update=server)})
    return bench.model_copy(update={"settings": settings})


@pytest.fixture(params=["nrf9160", "esp32"])
def station(request: pytest.FixtureRequest) -> Iterator[Station]:
    with Station(bench_for(request.param), seed=5) as station:
        yield station


def service(station: Station) -> UpdateService:
    return station.updates


def test_opening_leaves_every_output_off(station: Station) -> None:
    for supply in station.supplies.values():
        assert not any(supply.channel(n).output for n in supply.channels)


def test_port_in_use_is_named_and_nothing_stays_open() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            Station(bench_for("nrf9160", port=port)).__enter__()
    assert PROBES == {}
    with Station(bench_for("nrf9160")) as again:  # every resource of the failed attempt is free
        assert again.duts


def test_an_absent_probe_stops_the_station_before_power(monkeypatch: pytest.MonkeyPatch) -> None:
    station = Station(bench_for("nrf9160"))
    fit = Fitter.fit

    def unplug(*arguments: object) -> object:
        dut = fit(*arguments)  # type: ignore[arg-type]
        PROBES.clear()
        return dut

    monkeypatch.setattr(Fitter, "fit", unplug)
    with pytest.raises(ProbeError, match="no debug probe with UID VNRF960012345; present: none"):
        station.__enter__()
    assert not [e for e in station.timeline if e.kind == "scpi" and "OUTP 1" in e.text]


def test_locked_chip_is_told_before_anything_is_erased() -> None:
    with Station(bench_for("nrf9160")) as station:
        dut = station.duts["nrf9160"]
        chip = next(iter(PROBES.values()))
        chip.uicr.view[mem.UICR_APPROTECT : mem.UICR_APPROTECT + 4] = bytes(4)
        chip.flash.view[0x2000:0x2004] = b"keep"
        with pytest.raises(LockedError):
            dut.install(dut.images.baseline)
        assert bytes(chip.flash.view[0x2000:0x2004]) == b"keep"


def test_image_of_the_other_board_and_too_large_images_are_refused(station: Station, tmp_path: Path) -> None:
    dut = next(iter(station.duts.values()))
    other = "esp32" if dut.name == "nrf9160" else "nrf9160"
    foreign = Station(bench_for(other)).bench
    with Station(foreign) as elsewhere:
        image = elsewhere.duts[other].images.baseline
    with pytest.raises(ImageError, match="cannot run on"):
        dut.install(image)
    assert not dut.supply.output


def test_an_image_larger_than_the_slot_is_refused_at_load(tmp_path: Path) -> None:
    large = build("nrf9160", "9.0.0", size=0x6F000, out=tmp_path / "large.bin")
    bench = bench_for("nrf9160")
    board = bench.settings.boards["nrf9160"]
    board = board.model_copy(update={"images": board.images.model_copy(update={"update": large})})
    settings = bench.settings.model_copy(update={"boards": {"nrf9160": board}})
    with pytest.raises(ImageError, match=r"has \d+ bytes, the slot 450560"):
        Station(bench.model_copy(update={"settings": settings})).__enter__()


def test_a_full_cycle_and_equal_seeds_give_equal_timelines() -> None:
    rows = []
    for _ in range(2):
        with Station(bench_for("nrf9160"), seed=11) as station:
            dut = station.duts["nrf9160"]
            dut.install(dut.images.baseline)
            server = service(station)
            server.commission(dut)
            record = server.update(dut, dut.images.update, Delivery.PULL)
            assert record.result is Result.SUCCESS
            assert record.states == [
                State.DOWNLOADING,
                State.DOWNLOADED,
                State.UPDATING,
                State.IDLE,
            ]
            rows.append([entry.as_json() for entry in station.timeline])
    assert rows[0] == rows[1]


def test_another_seed_gives_another_run() -> None:
    times = set()
    for seed in (1, 2):
        with Station(bench_for("nrf9160"), seed=seed) as station:
            dut = station.duts["nrf9160"]
            dut.install(dut.images.baseline)
            service(station).commission(dut)
            times.add(station.clock.now())
    assert len(times) == 2


def test_the_supply_kills_the_board_where_it_stands(station: Station) -> None:
    dut = next(iter(station.duts.values()))
    dut.install(dut.images.baseline)
    server = service(station)
    server.commission(dut)
    dut.power_off()
    mark = dut.console.mark()
    station.clock.sleep(30, "dead board")
    assert dut.console.lines(mark) == []
    with pytest.raises(BenchError):
        server.version_of(dut)


def test_the_current_follows_what_the_board_does(station: Station) -> None:
    dut = next(iter(station.duts.values()))
    dut.install(dut.images.baseline)
    assert dut.supply.measure_current() == pytest.approx(0, abs=1e-9)
    service(station).commission(dut)
    station.clock.sleep(5, "idle")
    assert 1e-4 < dut.supply.measure_current() < 0.2
