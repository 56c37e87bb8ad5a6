"""Who the device is does not change with its firmware, and it stays registered by the rules."""

from itertools import pairwise

import pytest
from aiocoap import CON, GET, POST

from bench.errors import NotApplicable
from bench.lwm2m.coap.queue_mode import AWAKE_WINDOW
from bench.lwm2m.coap.trace import describe

QUIET = 5
"""Seconds in which what should not come does not come."""
AWAY = 120
"""Seconds of Disable Timeout."""
CHANGES, LIFETIME = 120, 240
"""Downloads that fail at once; seconds that no device registers for by itself."""


@pytest.mark.requirement("FOTA-IDENTITY", "LwM2M-1.0-6.3-stable", "OMA-3-0-identity")
def test_identity_survives_an_update(dut, server, images):
    """Manufacturer, model, serial number, endpoint and lifetime are the same before and after."""
    before = server.identity_of(dut)
    assert server.update(dut, images.update).failure == ""
    assert server.identity_of(dut) == before


@pytest.mark.requirement("FOTA-SETTINGS", "OMA-1-1-lifetime", "OMA-5-5-9")
@pytest.mark.capability("keeps-settings")
@pytest.mark.delivery("pull")
def test_setting_is_kept_however_often_others_change(dut, server, object5):
    """What was set once stands over a restart after so many failed downloads that no log has room for all."""
    server.keep_registered_for(dut, LIFETIME)
    before = server.identity_of(dut)
    for number in range(CHANGES):
        object5.write_uri(f"gopher://192.0.2.1/{number}")
        object5.write_uri("")  # else the same failure once more may change nothing
    restarted, timeouts = dut.power_cycle(), dut.type.timeouts
    within = timeouts.boot + timeouts.registration
    back = server.await_registration(dut, "registered", after=restarted, within=within)
    assert back, "it does not register after the restart: what was set is gone"
    assert server.identity_of(dut) == before


@pytest.mark.requirement("LwM2M-1.0-5.3.1", "FOTA-ONE-REGISTRATION")
def test_registers_once(dut, server, clock, recommended):
    """A start makes it register; no clause forbids to do so again, but it should not."""
    off = dut.power_cycle()
    server.await_registered(dut, after=off)
    clock.sleep(30, "time for a second registration")
    # one that was on its way when the power went belongs to the start before
    times = [time for time in server.registration_times(dut, "registered", since=off) if time > off]
    with recommended("FOTA-ONE-REGISTRATION"):
        assert len(times) == 1, f"registered {len(times)} times"


@pytest.mark.requirement("LwM2M-1.0-5.3.2", "LwM2M-T-6.4.3-update")
def test_registration_is_kept(dut, server, clock):
    """Over two lifetimes it is renewed in time, by Update or by another Register: it never expires."""
    begun, lifetime = clock.now(), server.client(dut).registration.lifetime or dut.type.lifetime
    clock.sleep(2 * lifetime, "two lifetimes")
    events = server.registrations(dut, since=begun)
    assert "expired" not in events, "the registration was not renewed in time"
    assert {"updated", "registered"} & set(events), "not renewed in two lifetimes"


@pytest.mark.requirement("LwM2M-T-6.4.3-update", "LwM2M-1.0-5.3-expired", "FOTA-ONE-REGISTRATION")
def test_registration_after_it_was_forgotten(dut, server, clock, recommended):
    """It registers anew, and its Updates go to the new location: it is not forgotten once more."""
    lifetime = server.client(dut).registration.lifetime or dut.type.lifetime
    server.lwm2m.expire(dut.endpoint)
    forgotten = clock.now()
    while (registration := server.lwm2m.registration(dut.endpoint)) is None:
        # it notices at its next Update
        assert clock.now() < forgotten + lifetime + dut.type.timeouts.registration, "it never registered anew"
        clock.sleep(1, f"{dut.endpoint} registers anew")
    clock.sleep(2 * lifetime, "two lifetimes")
    _, *events = server.registrations(dut, since=registration.registered_at)
    assert "expired" not in events, "the registration was not renewed in time"
    with recommended("FOTA-ONE-REGISTRATION"):  # who renews by Register is not forgotten either
        again = events.count("registered")
        assert again == 0, f"registered {again} times more in two lifetimes"


@pytest.mark.requirement("LwM2M-1.0-5.4-not-before")
def test_requests_before_the_registration_is_acknowledged(dut, server, object5, clock):
    """The server asks before it has answered the Register: ignored, and served afterwards."""
    with server.lwm2m.holding_acknowledgements(dut.endpoint):
        server.restart(dut)
        by_hand, since = server.lwm2m.by_hand(dut.endpoint), clock.now()
        read = by_hand.message(GET, object5.state_path)
        by_hand.send(read)
        answers = by_hand.heard(read, 1, QUIET, since)
    served = [describe(answer) for answer in answers if answer.code.is_successful()]
    assert served == [], f"{object5.state_path} was read before the Register was answered"
    assert object5.read(), "after the Register was answered"


@pytest.mark.requirement("LwM2M-T-6.4.3-again")
def test_new_session(dut, server, clock):
    """The server has lost the DTLS session, not the registration: in a new session the device registers."""
    if not dut.is_secured:
        raise NotApplicable(f"{dut.name} talks to the server without DTLS: it begins no sessions")
    clock.sleep(1, "the registration is a thing of the past")
    lost = clock.now()
    server.lwm2m.forget_session(dut.endpoint)
    # it notices at its next Update
    within = dut.type.lifetime + dut.type.timeouts.registration
    server.await_registration(dut, "registered", after=lost, within=within)
    events = [event for event in server.registrations(dut, since=lost) if event != "expired"]
    assert events[:1] == ["registered"], f"in a new session: {', '.join(events) or 'nothing'}"


@pytest.mark.requirement("LwM2M-T-6.5-awake")
@pytest.mark.capability("psm")
def test_awake_again(dut, server, clock):
    """In Queue Mode it says that it is awake by a confirmable Update."""
    with dut.using("psm"):
        began = clock.now()

        def queued():
            registration = server.lwm2m.registration(dut.endpoint)
            return registration is not None and registration.queue_mode

        clock.wait_for(queued, timeout=dut.type.timeouts.registration, reason="it registers for Queue Mode")
        clock.sleep(2 * dut.type.lifetime, "two lifetimes, in which nobody asks for anything")
        location = ("rd", server.client(dut).registration.location)
        heard = server.lwm2m.heard_from(dut.endpoint, began)
    slept = [later for earlier, later in pairwise(heard) if later.time - earlier.time >= AWAKE_WINDOW]
    assert slept, f"it was never silent for {AWAKE_WINDOW:g} s, so it has not slept"
    woken = {describe(one.message) for one in slept if not is_update(one.message, location)}
    assert woken == set(), f"after its sleep, wanted CON POST /{'/'.join(location)}"


def is_update(message, location):
    return message.mtype is CON and message.code is POST and message.opt.uri_path == location


@pytest.mark.requirement("OMA-1-4-disable")
def test_disable(dut, server, clock):
    """Where it has Disable: answered, then it de-registers, and is back after Disable Timeout, no sooner."""
    account = f"/1/{server.account_of(dut)}"
    server.optional(dut, f"{account}/4", "Disable")
    server.optional(dut, f"{account}/5", "Disable Timeout")
    server.client(dut).write(f"{account}/5", AWAY)
    clock.sleep(1, "what the Write led to is over")
    begun, timeouts = clock.now(), dut.type.timeouts
    by_hand = server.lwm2m.by_hand(dut.endpoint)  # its answer may come after it has de-registered
    execute = by_hand.message(POST, f"{account}/4")
    answers = [answer.code for answer in by_hand.ask(execute) if answer.code.is_response()]
    refused = [code.dotted for code in answers if not code.is_successful()]
    assert refused == [], f"Execute {account}/4, Disable"
    assert server.await_registration(dut, "gone", after=begun, within=timeouts.registration)
    gone = server.registration_times(dut, "gone", since=begun)[0]
    back = server.await_registration(dut, "registered", after=gone, within=AWAY + timeouts.registration)
    assert back, f"Disable Timeout is {AWAY} s"
    away = server.registration_times(dut, "registered", since=gone)[0] - gone
    assert away >= AWAY - QUIET, f"it came back after {away:.0f} s; Disable Timeout is {AWAY} s"
