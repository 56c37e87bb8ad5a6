"""Cancel (/5/0/10, object version 1.1): result 10 in the states that the profile names, else refused."""

import pytest

from bench.firmware_update.object5 import gone_for_a_moment
from bench.firmware_update.states import Result, State

pytestmark = pytest.mark.object5("1.1", "1.2")


def assert_cancelled(dut, update, object5, state):
    """Idle with result 10; refused, where the profile says that it cannot be: then nothing changes."""
    answer = object5.patient.cancel()
    if state in update.record.rules.hidden and answer.refused:
        return False  # by a documented deviation it is in Idle, where there is nothing to cancel
    if answer.refused:
        update.look()
        if update.record.given_up:  # it served nothing else before: there is nothing left to be cancelled
            return False
    if state.name.lower() in dut.type.profile.cancels_in:
        assert answer.taken
    if answer.taken:
        assert update.await_pair(State.IDLE, Result.CANCELLED, timeout=dut.type.timeouts.boot)
    assert update.record.violations == []
    return answer.taken


@pytest.mark.requirement("OMA-5-10-cancels", "LwM2M-1.1-E.6-rejected")
def test_cancel_in_idle(dut, server, images, object5, recommended):
    """There is nothing to cancel: it should be refused, and changes nothing; taken, the result is 10."""
    with server.begin(dut, images.update) as update:
        answer = object5.patient.cancel()
        if "idle" in dut.type.profile.cancels_in:
            assert answer.taken
        else:
            with recommended("LwM2M-1.1-E.6-rejected"):
                assert answer.refused
        result = Result.CANCELLED if answer.taken else Result.INITIAL
        assert update.await_pair(State.IDLE, result, timeout=dut.type.timeouts.boot)
        # "can be executed if the device has not initiated the Update process"; the figure has no such step
        assert answer.taken or update.record.violations == []


@pytest.mark.requirement("OMA-5-10-cancels", "OMA-5-5-10", "FOTA-RECOVERY")
def test_cancel_while_downloading(dut, server, images, delivery, object5):
    """The download stops, Idle, result 10; the next update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver_and_linger(0.3)
        assert_cancelled(dut, update, object5, State.DOWNLOADING)
    assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""


@pytest.mark.requirement("OMA-5-10-cancels", "OMA-5-5-10", "OMA-5-2-only-when-downloaded", "FOTA-STAYS")
def test_cancel_when_downloaded(dut, server, images, delivery, object5):
    """The package is gone, Idle, result 10; Update is refused; the old version stays over a power cycle."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        if not assert_cancelled(dut, update, object5, State.DOWNLOADED):
            return
    assert object5.execute().refused
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version
    assert object5.state is State.IDLE, "after the power cycle"


@pytest.mark.requirement("OMA-5-10-too-late")
def test_cancel_while_updating(dut, server, images, object5):
    """Too late: refused, and the update succeeds."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        if update.await_updating():  # else it was too quick, or never shows it
            with gone_for_a_moment():  # it may restart before it answers
                assert object5.cancel().refused
        update.await_finish()
        assert update.record.violations == []
        assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("OMA-5-10-too-late")
def test_cancel_after_the_update(dut, server, images, object5):
    """What is installed cannot be cancelled: refused, the result stays 1."""
    assert server.update(dut, images.update).failure == ""
    assert object5.cancel().refused
    assert object5.shows(State.IDLE, Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
