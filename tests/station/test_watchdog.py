"""A hung application is reset by its watchdog, on either chip, and only while it is the one that hangs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import load_bench
from bench.errors import NotApplicable, ProbeError
from bench.firmware_update.states import Delivery
from bench.station import Station
from bench.virtual.firmware.start import WATCHDOG
from bench.virtual.process import Cpu
from bench.virtual.scheduler import Scheduler

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"


def test_a_watchdog_bites_a_halted_processor() -> None:
    scheduler, bitten = Scheduler(0), []
    cpu = Cpu(scheduler)
    cpu.halt()
    cpu.watchdog(4.0, lambda: bitten.append(scheduler.now))
    scheduler.run_to(10.0)
    assert bitten == [4.0]


def test_a_watchdog_dies_with_the_reset() -> None:
    scheduler, bitten = Scheduler(0), []
    cpu = Cpu(scheduler)
    cpu.halt()
    cpu.watchdog(4.0, lambda: bitten.append(scheduler.now))
    cpu.kill()
    assert not cpu.halted
    scheduler.run_to(10.0)
    assert bitten == []


@pytest.mark.parametrize("board", ["nrf9160", "esp32"])
def test_a_power_cut_ends_a_hang(board: str) -> None:
    with Station(load_bench(FILE, (board,))) as station:
        dut, server = station.duts[board], station.updates
        dut.install(dut.images.baseline)
        server.commission(dut)
        dut.reset("watchdog")
        station.clock.sleep(WATCHDOG / 2, "it hangs")
        server.restart(dut)
        before = station.clock.now()
        station.clock.sleep(2 * WATCHDOG, "the old watchdog is gone")
        registration = station.server.registration(dut.endpoint)
        assert registration is not None
        assert registration.registered_at <= before
        assert server.update(dut, dut.images.update, Delivery.PUSH).failure == ""


def test_a_serial_wire_has_no_debugger() -> None:
    with Station(load_bench(FILE, ("esp32",))) as station:
        dut = station.duts["esp32"]
        with pytest.raises(NotApplicable, match="there is no debugger"):
            dut.reset("debugger")
        with pytest.raises(ProbeError, match="has no debugger"):
            dut.flasher.reset_by_debugger()  # type: ignore[attr-defined]
