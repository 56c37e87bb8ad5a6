"""Cancel (/5/0/10, object version 1.1): result 10 in Downloading and Downloaded, refused elsewhere."""

import pytest

from bench.firmware_update.states import Delivery, Result, State

pytestmark = pytest.mark.object5("1.1", "1.2")


def test_cancel_in_idle(dut, server, object5):
    """There is nothing to cancel: refused, nothing changes."""
    assert object5.cancel() == "4.05"
    assert object5.pair == (State.IDLE, Result.INITIAL)


def test_cancel_while_downloading(dut, server, images, delivery, object5):
    """The download stops, Idle, result 10; the next update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.3)
        assert object5.cancel() == "2.04"
        assert update.await_pair(State.IDLE, Result.CANCELLED, timeout=dut.type.timeouts.boot)
        assert update.record.violations == []
    assert server.version_of(dut) == images.baseline.version
    assert server.update(dut, images.update, delivery).failure == ""


def test_cancel_when_downloaded(dut, server, images, delivery, object5):
    """The package is gone, Idle, result 10; Update is refused; the old version stays over a power cycle."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert object5.cancel() == "2.04"
        assert update.await_pair(State.IDLE, Result.CANCELLED, timeout=dut.type.timeouts.boot)
        assert update.record.violations == []
    assert object5.execute() == "4.05"
    server.restart(dut)
    assert server.version_of(dut) == images.baseline.version


def test_cancel_while_updating(dut, server, images, object5):
    """Too late: refused with 4.05, and the update succeeds."""
    with server.begin(dut, images.update, Delivery.PUSH) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.execute()
        assert update.await_pair(State.UPDATING, timeout=dut.type.timeouts.boot)
        assert object5.cancel() == "4.05"
        update.await_finish()
        assert update.record.violations == []
        assert update.record.outcome == (State.IDLE, Result.SUCCESS)


def test_cancel_after_the_update(dut, server, images, object5):
    """What is installed cannot be cancelled: refused, the result stays 1."""
    assert server.update(dut, images.update, Delivery.PUSH).failure == ""
    assert object5.cancel() == "4.05"
    assert object5.pair == (State.IDLE, Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
