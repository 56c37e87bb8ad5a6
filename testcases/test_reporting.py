"""How the outcome reaches the server when notifications do not: by reading, by Send, by registering anew."""

import contextlib

import pytest

from bench.errors import NotApplicable
from bench.firmware_update.service import delivery_of
from bench.firmware_update.states import Delivery, Result, State
from bench.packages.misbehaviour import Stall

PMIN = 20
"""Seconds."""
LATE = 10
"""Seconds for a message that is lost once or twice (RFC 7252 section 4.2), and a slow link."""


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


@pytest.mark.requirement("LwM2M-1.0-5.1.2-late")
def test_change_within_pmin(dut, server, images, object5, clock):
    """What changes before pmin is over is told as soon as it is, and with the value that it then has."""
    delivery = delivery_of(dut, Delivery.PULL)
    profile = dut.type.profile
    if "downloading" not in (*profile.resets_in, *(profile.cancels_in if profile.object != "1.0" else ())):
        raise NotApplicable(f"{dut.type.name} cannot be brought from Downloading to Idle")
    client, heard = server.client(dut), []

    async def observe():
        await client.write_attributes_async(object5.state_path, pmin=PMIN)
        return await client.observe(
            object5.state_path, lambda value: heard.append((clock.now(), State(value)))
        )

    with server.begin(dut, images.update, delivery) as update:
        if State.DOWNLOADING in update.record.rules.hidden:
            raise NotApplicable(f"{dut.type.name} does not show Downloading by {delivery}")
        update.stop_observing()
        observation = clock.run(observe(), timeout=300, reason=f"observe {object5.state_path}")
        clock.sleep(PMIN + 1, "pmin is over")
        if delivery is Delivery.PULL:
            update.publish().misbehave(Stall(after=images.update.size // 2))
        update.deliver(0.3)
        clock.sleep(PMIN / 2, "within pmin of Downloading")
        server.make_idle(dut)
        changed = clock.now()
        clock.sleep(PMIN + LATE, "a change within pmin is told")
        client.write_attributes(object5.state_path, pmin=None)
        clock.run(observation.cancel(), timeout=300, reason="cancel")
    assert [state for _, state in heard[:2]] == [State.IDLE, State.DOWNLOADING], f"{object5.state_path}"
    told = [when for when, state in heard if state is State.IDLE and when > heard[1][0]]
    assert told, (
        f"{object5.state_path}: Idle, {PMIN / 2:g} s after Downloading, is never told; pmin is {PMIN} s"
    )
    since = max(heard[1][0] + PMIN, changed)
    assert told[0] <= since + LATE, f"{object5.state_path}: told {told[0] - since:.1f} s after pmin was over"


@pytest.mark.requirement("LwM2M-1.0-5.5.1-remembers")
def test_observation_outlasts_an_update(dut, server, images, clock):
    """The registration is updated, and not made anew: who observed before still hears of each state."""
    delivery = delivery_of(dut, Delivery.PULL)
    with server.begin(dut, images.update, delivery) as update:
        begun = clock.now()
        server.client(dut).execute(f"/1/{server.account_of(dut)}/8")  # Registration Update Trigger
        within = dut.type.timeouts.registration
        updated = server.await_registration(dut, "updated", after=begun, within=within)
        if "registered" in server.registrations(dut, since=begun):
            assert update.await_restart(after=begun), "it has forgotten, and registered: observed anew"
        else:
            assert updated
        update.deliver()
        assert update.await_downloaded()
        assert update.record.told(State.DOWNLOADED), "after an Update"
    assert update.record.violations == []


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


@contextlib.contextmanager
def listening(server, heard):
    """`heard(endpoint, values)` for each Send inside the block."""
    stop = server.lwm2m.listen_reports(heard)
    try:
        yield
    finally:
        stop()


@pytest.mark.requirement("LwM2M-1.1-send")
@pytest.mark.capability("send")
def test_send_instead_of_notifications(dut, server, images, delivery):
    """State and result come by LwM2M Send, together; each state that lasts is seen, up to the restart."""
    reports = []

    def reported(endpoint, values):
        if endpoint == dut.endpoint:
            reports.append(values)

    with server.begin(dut, images.update, delivery) as update, listening(server, reported):
        update.stop_observing()
        with dut.using("send"):
            update.deliver()
            assert update.await_downloaded()
            assert update.execute()
            lasted = [State.UPDATING] if update.await_updating() else []
        update.await_finish()

    both = {update.object5.state_path, update.object5.result_path}
    lacking = [
        sorted(both - values.keys()) for values in reports if both & values.keys() and both - values.keys()
    ]
    assert lacking == [], f"a Send of one moment lacks {lacking[0]}"
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
