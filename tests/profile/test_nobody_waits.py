"""A device that has refused, put off or ended keeps nobody waiting for a whole time-out: in bench seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.config import load_bench
from bench.dut.dut import Dut
from bench.firmware_update.states import Delivery, Result, State
from bench.station import Station

BENCH = Path(__file__).parents[2] / "boards" / "virtual.toml"
QUICK = 120.0
"""Bench seconds that such an update may take; the time-outs of these boards are 600 and 1200 s."""


@contextmanager
def board(name: str, defect: str | None = None) -> Iterator[tuple[Station, Dut]]:
    with Station(load_bench(BENCH, (name,)), defect=defect) as station:
        dut = station.duts[name]
        dut.install(dut.images.baseline)
        station.updates.commission(dut)
        yield station, dut


def documented(dut: Dut, **keys: object) -> None:
    """The board file says more than the one that was read."""
    profile = type(dut.type.profile).model_validate({**dut.type.profile.model_dump(), **keys})
    dut.type = dut.type.model_copy(update={"profile": profile})


@pytest.mark.parametrize("delivery", Delivery, ids=str)
def test_a_download_that_fails_in_downloading(delivery: Delivery) -> None:
    """`failed-download-keeps-state`: its result ends the update, and the next one begins all the same."""
    with board("nrf9160", "failed-download-keeps-state") as (station, dut):
        documented(dut, deviations={"failed-download-keeps-state": "release notes"})
        record = station.updates.update(dut, dut.images.corrupted, delivery)
        assert record.shows(State.DOWNLOADING, Result.INTEGRITY_FAILED)
        assert record.ended(Result.INTEGRITY_FAILED)
        assert (record.violations, record.stuck) == ([], "")
        assert record.duration < QUICK
        station.updates.make_idle(dut)
        assert station.updates.update(dut, dut.images.update, delivery).failure == ""


@pytest.mark.parametrize(("defect", "delivery"), [("push-only", Delivery.PULL), ("pull-only", Delivery.PUSH)])
def test_a_delivery_that_is_refused(defect: str, delivery: Delivery) -> None:
    with (
        board("nrf9160", defect) as (station, dut),
        station.updates.begin(dut, dut.images.update, delivery) as update,
    ):
        begun = station.clock.now()
        update.deliver()
        assert "4.05" in update.record.refused
        assert not update.await_downloaded()
        assert station.clock.now() - begun < QUICK


def test_a_deferral() -> None:
    with board("esp32") as (station, dut), dut.using("defer"):
        record = station.updates.update(dut, dut.images.update)
        assert record.shows(State.DOWNLOADED, Result.DEFERRED)
        assert record.duration < QUICK


def test_a_device_is_asked_within_a_short_time_out() -> None:
    """Without notifications, and with a time-out below the usual pause between two questions."""
    with board("nrf9160") as (station, dut), station.updates.begin(dut, dut.images.update) as update:
        update.stop_observing()
        dut_side = station.updates.object5(dut)
        update.deliver(0.1)
        assert dut_side.write_uri("").taken
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=4.0)


@pytest.mark.parametrize(("name", "resets"), [("esp32", ()), ("nrf9160", ("downloaded",))])
def test_make_idle_goes_the_way_that_the_profile_names(name: str, resets: tuple[str, ...]) -> None:
    """Cancel, where an empty URI or package resets nothing."""
    with board(name) as (station, dut):
        documented(dut, resets_in=resets)
        with station.updates.begin(dut, dut.images.update) as update:
            update.deliver()
            assert update.await_downloaded()
            station.updates.make_idle(dut)
            assert update.await_pair(State.IDLE, timeout=dut.type.timeouts.boot)
            assert update.record.result is (Result.INITIAL if resets else Result.CANCELLED)
