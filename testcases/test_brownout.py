"""A supply that sags, is at its end, or cannot give enough: never a broken board, never a false verdict."""

import pytest

from bench.firmware_update.states import Result, State

pytestmark = pytest.mark.capability("supply")

RAMP = 10.0
"""Seconds in which the voltage falls, and in which it comes back."""
DARK = 2.0
"""Seconds without supply."""
STARVED, STARVING = 0.1, 20.0
"""Share of what a weak supply gives, on which no board can go on, and seconds of it."""


def sag_and_return(dut, clock):
    """Down to a voltage at which the board is certainly off, and back. Returns when it was off."""
    dut.ramp_supply(dut.type.supply.dead, RAMP)
    clock.sleep(DARK, "no supply")
    off = clock.now()
    dut.ramp_supply(dut.type.supply.voltage, RAMP)
    return off


def assert_recovers(dut, server, images, delivery, update, off):
    """The old version comes back. Returns the rest of the download, or None where it begins anew."""
    assert update.await_restart(after=off)
    assert server.version_of(dut) == images.baseline.version
    record = update.go_on()
    went_on = server.goes_on(dut, "reboot", delivery) or record.result is Result.SUCCESS
    assert went_on or record.shows(State.IDLE)
    return record if went_on else None


def assert_updates(dut, server, images, delivery, record):
    """What was begun ends well; else the old version is whole, and another update does."""
    if record is None:
        dut.assert_running(images.baseline)
        server.restart(dut)
        record = server.update(dut, images.update, delivery)
    assert record.failure == ""
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE")
def test_brownout_during_download(dut, server, images, delivery, clock):
    """The voltage sags while the image comes in: the old version runs, and an update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        off = sag_and_return(dut, clock)
        record = assert_recovers(dut, server, images, delivery, update, off)
    assert_updates(dut, server, images, delivery, record)


@pytest.mark.requirement("FOTA-POWER", "FOTA-BATTERY", "FOTA-WHOLE")
def test_starved_during_download(dut, server, images, delivery, clock):
    """The supply's current gives out while the image comes in: brown-outs, one upon another, and no more."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        with dut.fed_with(current_limit=STARVED * dut.type.supply.weak):
            clock.sleep(STARVING, "too little current")
            off = clock.now()
        record = assert_recovers(dut, server, images, delivery, update, off)
    assert_updates(dut, server, images, delivery, record)


@pytest.mark.requirement("FOTA-POWER", "FOTA-WHOLE", "FOTA-STAYS", "BOOT-INTERRUPTED")
@pytest.mark.parametrize("begins", [0.0, 3.0, 8.0], ids=lambda s: f"after-{s:g}-s")
def test_brownout_during_installation(dut, server, images, begins, clock):
    """The voltage sags while the new image is installed: old or new, whole, and an update succeeds."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        clock.sleep(begins, "installing")
        off = sag_and_return(dut, clock)
        assert update.await_restart(after=off)

    runs = {i.version: i for i in (images.baseline, images.update)}[server.version_of(dut)]
    dut.assert_running(runs)
    server.restart(dut)
    assert server.version_of(dut) == runs.version, "what ran did not stay"
    again = server.update(dut, images.update)
    assert again.failure == ""
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-BATTERY")
def test_battery_end_voltage(dut, server, images, delivery):
    """At the least voltage it is specified for the board updates itself like at any other."""
    with dut.fed_with(voltage=dut.type.supply.low):
        record = server.update(dut, images.update, delivery)
        assert record.failure == ""
        assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)


@pytest.mark.requirement("FOTA-BATTERY", "FOTA-RECOVERY")
def test_current_limited_supply(dut, server, images, delivery, clock):
    """A supply too weak for the board's bursts is no fault of the package: no result may say so."""
    with dut.fed_with(current_limit=dut.type.supply.weak):
        record = server.update(dut, images.update, delivery)
    assert record.violations == []
    assert record.ended(Result.SUCCESS, Result.CONNECTION_LOST, Result.INITIAL)
    if record.outcome != (State.IDLE, Result.SUCCESS):
        server.restart(dut)
        assert server.version_of(dut) == images.baseline.version
        assert server.update(dut, images.update, delivery).failure == ""
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)
