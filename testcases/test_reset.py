"""An empty URI or the NULL package resets the object, in every state that the board's profile names."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

RESETS = {
    "empty-uri": lambda object5: object5.write_uri(""),
    "null-package": lambda object5: object5.write_package(b"\0"),
}


@pytest.fixture(params=RESETS.values(), ids=RESETS.keys())
def reset(request, object5):
    """One of the two ways, ready to be called."""
    return lambda: request.param(object5)


def test_reset_in_idle(dut, server, images, reset):
    """Idle stays Idle, and the result of the last attempt is cleared."""
    assert server.update(dut, images.unsupported, Delivery.PUSH).result is Result.UNSUPPORTED_PACKAGE
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        assert reset() == "2.04"
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
        assert update.record.violations == []
    assert server.state_of(dut) == (State.IDLE, Result.INITIAL)
    assert server.update(dut, images.update, Delivery.PUSH).failure == ""


def test_reset_while_downloading(dut, server, images, delivery, reset):
    """The download stops, Idle, result 0; where the profile says that it cannot be, nothing changes."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.3)
        answer = reset()
        if "downloading" in dut.type.profile.resets_in:
            assert answer == "2.04"
            assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
            fetched = update.record.delivered
            assert fetched < images.update.size
        else:
            assert answer[0] == "4", f"the Write was answered {answer}"
            assert update.record.state is State.DOWNLOADING
        assert update.record.violations == []
    assert server.version_of(dut) == images.baseline.version


def test_reset_when_downloaded(dut, server, images, delivery, reset):
    """What was downloaded is gone: Update is refused, also after a power cycle the old version runs."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert reset() == "2.04"
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
        assert update.record.violations == []
    assert server.object5(dut).execute() == "4.05"
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""


@pytest.mark.capability("readback")
def test_discarded_package_is_gone(dut, server, images, delivery, reset, clock):
    """After a reset the slot no longer holds what was downloaded: no bootloader can find it there."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert reset() == "2.04"
        assert update.await_pair(State.IDLE, Result.INITIAL, timeout=dut.type.timeouts.boot)
        clock.sleep(dut.type.timeouts.boot, "the slot is cleared")
    assert not dut.holds_package(images.update), "the package is still in the slot"


def test_reset_while_updating(dut, server, images, reset):
    """An installation under way is not stopped: the Write is refused or too late, and the update succeeds."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        assert update.await_pair(State.UPDATING, timeout=dut.type.timeouts.boot)
        assert reset_answer(reset) != "2.04"
        update.await_finish()
        assert update.record.violations == []
        assert update.record.outcome == (State.IDLE, Result.SUCCESS)
    assert server.version_of(dut) == images.update.version


def reset_answer(reset):
    """The device may restart before it answers."""
    from bench.lwm2m.client import NotReachable

    try:
        return reset()
    except NotReachable:
        return "no answer"
