"""The chip is reset in every state of an update: by its pin, by a debugger, by its watchdog.

Power stays on, unlike in the power cuts.
"""

import pytest

from bench.firmware_update.states import Result, State

SWAP_SHARE = 0.5
"""Of the time from Update to the registration of the new version, without a reset."""


def ways(*names):
    return [pytest.param(way, marks=pytest.mark.capability(f"reset-{way}")) for way in names]


WAYS = ways("pin", "debugger", "watchdog")
FROM_OUTSIDE = ways("pin", "debugger")
"""No bootloader takes a command that would make it hang until its watchdog bites."""


@pytest.fixture(params=WAYS)
def reset(request, dut, clock):
    """Resets the board one way, and its chip says so where it can; returns the moment just before."""

    def reset():
        now = clock.now()
        dut.prove_reset(request.param)
        return now

    return reset


@pytest.mark.requirement("FOTA-RESTART")
def test_reset_in_idle(dut, server, images, reset):
    """It comes back as it was, and takes an update."""
    server.await_registered(dut, after=reset())

    assert server.version_of(dut) == images.baseline.version
    assert server.object5(dut).shows(State.IDLE, Result.INITIAL)
    assert_takes_update(dut, server, images)


@pytest.mark.requirement("FOTA-RESTART", "FOTA-RESUME")
def test_reset_while_downloading(dut, server, images, delivery, reset):
    """The old version runs; the download has failed or goes on, and an update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        assert update.await_restart(after=reset())
        assert server.version_of(dut) == images.baseline.version
        record = update.go_on()

    assert record.violations == []
    if server.goes_on(dut, "reboot", delivery):
        assert record.failure == ""
    else:
        assert record.shows(State.IDLE)
    assert_takes_update(dut, server, images)


@pytest.mark.requirement("FOTA-RESTART", "OMA-5-2-installs")
@pytest.mark.delivery("push")
def test_reset_when_downloaded(dut, server, images, delivery, reset):
    """The old version runs; the package is kept, and installed when asked for, or it is gone."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.await_restart(after=reset())
        assert server.version_of(dut) == images.baseline.version
        if update.record.state is State.DOWNLOADED:
            assert update.execute()
            update.await_finish()
            assert update.record.failure == ""
        assert update.record.violations == []
    assert_takes_update(dut, server, images)


@pytest.mark.requirement("FOTA-RESTART", "FOTA-WHOLE")
@pytest.mark.delivery("push")
def test_reset_when_updating(dut, server, images, delivery, reset):
    """Right after Update: old or new runs, whole; the result says which, and an update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        server.await_registered(dut, after=reset())
        update.await_finish()  # a new version may still be on trial

    assert_old_or_new(dut, server, images)
    assert_takes_update(dut, server, images)


@pytest.mark.requirement("FOTA-RESTART", "FOTA-WHOLE", "BOOT-INTERRUPTED")
@pytest.mark.delivery("push")
@pytest.mark.parametrize("reset", FROM_OUTSIDE, indirect=True)
def test_reset_while_installing(dut, server, images, delivery, supply_cuts, clock, reset):
    """In the middle of the swap, which goes on: old or new runs, whole, and an update succeeds."""
    swap = next(window for window in supply_cuts.reference() if window.phase == "swap")
    supply_cuts.start_over()
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        clock.sleep(SWAP_SHARE * (swap.end - swap.start), "until the swap is half done")
        server.await_registered(dut, after=reset())
        update.await_finish()  # a new version may still be on trial

    assert_old_or_new(dut, server, images)
    assert_takes_update(dut, server, images)


def assert_old_or_new(dut, server, images):
    """Whole; the board is then restarted, as some lose their application while they are read."""
    by_version = {image.version: image for image in (images.baseline, images.update)}
    version = server.version_of(dut)
    assert version in by_version, "neither the old nor the new version runs"
    dut.assert_running(by_version[version])
    server.restart(dut)
    assert server.version_of(dut) == version


def assert_takes_update(dut, server, images):
    """A whole update, by the book; the image is then read back."""
    server.make_idle(dut)
    assert server.update(dut, images.update).failure == ""
    assert server.version_of(dut) == images.update.version
    dut.assert_running(images.update)
