"""How the outcome reaches the server when notifications do not: by reading, by Send, by registering anew."""

import pytest

from bench.firmware_update.states import Delivery, Result, State


@pytest.mark.requirement("LwM2M-1.0-E.6.1", "LwM2M-1.0-5.5.2", "LwM2M-1.0-5.5.2-change")
@pytest.mark.delivery("pull")
def test_every_state_is_told(dut, server, images, delivery, recommended):
    """Who observes hears of a state that lasts without asking, and should hear of those that pass."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
        assert update.record.told(State.DOWNLOADED)
        assert update.execute()
        # who is gone at once is not obliged (RFC 7641 section 1.3)
        lasted = [State.UPDATING] if update.await_updating() else []
        with recommended("LwM2M-1.0-5.5.2"):
            assert update.record.told(State.DOWNLOADING, State.DOWNLOADED, *lasted)
        update.await_finish()
    assert update.record.failure == ""


@pytest.mark.requirement("LwM2M-1.0-5.4.1", "LwM2M-1.0-5.5.3")
def test_without_notifications(dut, server, images, delivery):
    """Nobody observes: every state is found by reading, the outcome is the same."""
    with server.begin(dut, images.update, delivery) as update:
        update.stop_observing()
        record = update.finish()

    before_restart = [t for t in record.transitions if t.state in (State.DOWNLOADING, State.DOWNLOADED)]
    assert {transition.origin for transition in before_restart} == {"read"}
    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version


@pytest.mark.requirement("LwM2M-1.0-5.4.1", "LwM2M-1.0-5.3.1")
def test_notifications_lost_over_the_restart(dut, server, images):
    """The observation is gone before Updating: what became of the update is read after the registration."""
    with server.begin(dut, images.update) as update:
        update.deliver()
        assert update.await_downloaded()
        update.stop_observing()
        assert update.execute()
        update.await_finish()

    assert update.record.violations == []
    assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("LwM2M-1.1-send")
@pytest.mark.capability("send")
def test_send_instead_of_notifications(dut, server, images, delivery):
    """State and result come by LwM2M Send, together; each state that lasts is seen, up to the restart."""
    with server.begin(dut, images.update, delivery) as update:
        update.stop_observing()
        with dut.using("send"):
            update.deliver()
            assert update.await_downloaded()
            assert update.execute()
            lasted = [State.UPDATING] if update.await_updating() else []
        update.await_finish()

    sent = [transition.state for transition in update.record.transitions if transition.origin == "send"]
    hidden = update.record.rules.hidden
    assert sent == [s for s in (State.DOWNLOADING, State.DOWNLOADED, *lasted) if s not in hidden]
    assert update.record.violations == []
    assert update.record.ended(Result.SUCCESS)


@pytest.mark.requirement("LwM2M-1.0-5.3-expired")
def test_registration_expires_during_the_download(dut, server, images, delivery, clock):
    """The server forgets the device half-way: it registers anew, and the update succeeds."""
    with server.begin(dut, images.update, delivery) as update:
        update.deliver(0.5)
        forgotten = clock.now()
        server.lwm2m.expire(dut.endpoint)
        assert update.await_restart(after=forgotten)
        record = update.finish() if delivery is Delivery.PULL else None
    if record is None:
        record = server.update(dut, images.update, delivery)

    assert record.violations == []
    assert record.ended(Result.SUCCESS)
    assert server.version_of(dut) == images.update.version
