"""An empty URI or the NULL package resets the object, in every state that the board's profile names."""

import pytest

from bench.firmware_update.object5 import gone_for_a_moment
from bench.firmware_update.states import Delivery, Result, State

UNDER_WAY = 30
"""Seconds; more than what was asked for before a reset takes to come."""

RESETS = {
    "empty-uri": lambda object5: object5.write_uri(""),
    "null-package": lambda object5: object5.write_package(b"\0"),
}


NEEDS = {"empty-uri": "pull", "null-package": "push"}
"""Who takes packages one way alone need not have the other way's resource."""


@pytest.fixture(
    params=[pytest.param(way, marks=pytest.mark.writes(NEEDS[name]), id=name) for name, way in RESETS.items()]
)
def reset(request):
    """One of the two ways, to be called with the object."""
    return request.param


def assert_reset(dut, update, reset, state):
    """Idle with result 0; where the profile says that it cannot be, it may be refused or ignored."""
    answer = reset(update.object5.patient)
    resets = state.name.lower() in dut.type.profile.resets_in
    if resets:
        assert answer.taken
    is_reset = answer.taken and update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
    if resets:
        assert is_reset
        assert update.object5.shows(State.IDLE, Result.INITIAL), "asked after the reset was told"
    assert update.record.violations == []
    return is_reset


@pytest.mark.requirement("OMA-5-3-reset-by-uri", "OMA-5-3-reset-by-package", "FOTA-RECOVERY")
def test_reset_in_idle(dut, server, images, reset):
    """Idle stays Idle, and the result of the last attempt is cleared."""
    assert server.update(dut, images.unsupported).ended(Result.UNSUPPORTED_PACKAGE)
    server.make_idle(dut)
    with server.begin(dut, images.update) as update:
        assert_reset(dut, update, reset, State.IDLE)
    assert server.update(dut, images.update).failure == ""


@pytest.mark.requirement("OMA-5-3-reset-by-uri", "OMA-5-3-reset-by-package")
def test_reset_while_downloading(dut, server, images, delivery, reset, clock):
    """The download stops, Idle, result 0; where the profile says that it cannot be, nothing changes."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver_and_linger(0.3)
        if assert_reset(dut, update, reset, State.DOWNLOADING):
            delivered = update.record.delivered
            assert delivered < images.update.size, f"{delivered} bytes were fetched although it was stopped"
            if delivery is Delivery.PULL:
                assert_fetches_no_more(update, clock)
    assert server.version_of(dut) == images.baseline.version


def assert_fetches_no_more(update, clock):
    """What was on its way has come; then nothing of the package is fetched any more."""
    clock.sleep(UNDER_WAY, "what is under way")
    sent = update.publish().sent
    clock.sleep(UNDER_WAY, "nothing may be fetched")
    more = update.publish().sent - sent
    assert more == 0, f"{more} bytes were fetched long after it was stopped"


@pytest.mark.requirement(
    "OMA-5-3-reset-by-uri",
    "OMA-5-3-reset-by-package",
    "OMA-5-2-only-when-downloaded",
    "FOTA-STAYS",
    "FOTA-RECOVERY",
)
def test_reset_when_downloaded(dut, server, images, delivery, reset):
    """What was downloaded is gone: Update is refused, also after a power cycle the old version runs."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        if not assert_reset(dut, update, reset, State.DOWNLOADED):
            return
    assert server.object5(dut).execute().refused
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""


@pytest.mark.requirement("OMA-5-3-reset-by-uri", "OMA-5-3-reset-by-package", "OMA-5-3-reset-removes")
@pytest.mark.capability("readback")
def test_discarded_package_is_gone(dut, server, images, delivery, reset, clock, recommended):
    """After a reset the slot should no longer hold what was downloaded: no bootloader can find it there."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        if not assert_reset(dut, update, reset, State.DOWNLOADED):
            return
        clock.sleep(dut.type.timeouts.boot, "the slot is cleared")
    with recommended("OMA-5-3-reset-removes"):
        assert not dut.holds_package(images.update), "the package is still in the slot"


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "LwM2M-1.1-E.6-rejected", "FOTA-STAYS")
def test_reset_while_updating(dut, server, images, reset, object5, recommended):
    """It should be refused, and the update succeeds; a device that stops it, and says so, stays as it was."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        answer = None
        if update.await_updating():  # else it was too quick, or never shows it
            with gone_for_a_moment():  # it may restart before it answers
                answer = reset(object5)
                with recommended("LwM2M-1.1-E.6-rejected"):
                    assert answer.refused
        update.await_finish()
        stopped = answer is not None and answer.taken and update.record.shows(State.IDLE, Result.INITIAL)
        if not stopped:  # resource 3 names no state in which it does not reset; the figure has no such step
            assert update.record.violations == []
            assert update.record.ended(Result.SUCCESS)
    if stopped:
        server.restart(dut)
    assert server.version_of(dut) == (images.baseline if stopped else images.update).version
