"""A reset counts as what the chip calls it; a device that resets itself some other way is found out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.config import load_bench
from bench.dut.dut import ResetWay
from bench.dut.hardware import HardwareDut
from bench.errors import NotApplicable, ProbeError
from bench.station import Station
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.process import Cpu

FILE = Path(__file__).parents[2] / "boards" / "virtual.toml"


@pytest.fixture(scope="module")
def station() -> Iterator[Station]:
    with Station(load_bench(FILE, ("nrf9160", "esp32"))) as station:
        for dut in station.duts.values():
            dut.install(dut.images.baseline)
        for dut in station.duts.values():
            station.updates.commission(dut)
        yield station


@pytest.fixture
def nrf9160(station: Station) -> HardwareDut:
    dut = station.duts["nrf9160"]
    assert isinstance(dut, HardwareDut)
    station.updates.restart(dut)
    return dut


def words(station: Station, kind: str, source: str) -> list[str]:
    return [entry.text for entry in station.timeline.since(source=source, kind=kind)]


@pytest.mark.parametrize(("way", "reason"), [("pin", "RESETPIN"), ("debugger", "SREQ"), ("watchdog", "DOG")])
def test_each_way_is_proved_by_the_chip(
    station: Station, nrf9160: HardwareDut, way: ResetWay, reason: str
) -> None:
    before = station.clock.now()
    nrf9160.prove_reset(way)
    assert nrf9160.flasher.reset_reasons == {reason}
    assert words(station, "swd", "nrf9160.swd").count(f"RESETREAS: {reason}") >= 1
    station.updates.await_registered(nrf9160, after=before)
    assert words(station, "not checked", "nrf9160") == []


def test_a_watchdog_that_was_a_software_reset_is_a_finding(
    station: Station, nrf9160: HardwareDut, monkeypatch: pytest.MonkeyPatch
) -> None:
    reset = VirtualNrf9160.reset
    monkeypatch.setattr(VirtualNrf9160, "reset", lambda self, reason: reset(self, "soft"))
    with pytest.raises(AssertionError, match="reset by watchdog, but RESETREAS tells of SREQ"):
        nrf9160.prove_reset("watchdog")


def test_a_watchdog_that_never_bites_is_a_finding(
    station: Station, nrf9160: HardwareDut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Cpu, "watchdog", lambda self, delay, bite: None)
    start = station.clock.now()
    with pytest.raises(AssertionError, match="no reset within 30 s of the command for one"):
        nrf9160.prove_reset("watchdog")
    assert station.clock.now() - start >= nrf9160.type.timeouts.boot
    nrf9160.prove_reset("pin")  # the session was closed, and the board comes back


def test_a_pin_that_is_not_wired_is_no_finding_about_the_product(
    nrf9160: HardwareDut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Nrf91Chip, "hold_reset", lambda self, reason, held: None)
    with pytest.raises(ProbeError, match="nRESET"):
        nrf9160.prove_reset("pin")


def test_where_the_chip_does_not_tell_the_timeline_says_so(station: Station) -> None:
    esp32 = station.duts["esp32"]
    esp32.prove_reset("pin")
    assert "that it was reset by pin: its chip does not tell" in words(station, "not checked", "esp32")
    with pytest.raises(NotApplicable):
        esp32.prove_reset("debugger")


def test_a_firmware_as_zephyr_leaves_the_core_is_what_boards_are_flashed_under(
    station: Station, nrf9160: HardwareDut
) -> None:
    """The boards of a bench run in the non-secure state, with MPU and stack limits on."""
    with nrf9160.flash_access() as flasher:
        assert int.from_bytes(flasher.read(0xE000ED94, 4), "little") == 5  # MPU_CTRL
        assert int.from_bytes(flasher.read(0xE000EE08, 4), "little") & 1 << 16 == 0  # DSCSR.CDS
        region = nrf9160.region("storage")
        flasher.program(region.offset, b"under a running application")
        assert int.from_bytes(flasher.read(0xE000EE08, 4), "little") & 1 << 16
    nrf9160.install(nrf9160.images.baseline)
