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
MANUFACTURER, MODEL, SERIAL = "/3/0/0", "/3/0/1", "/3/0/2"


def identity(dut, server):
    """What the server knows the device by, of what it has: all three are optional (OMA object 3)."""
    client = server.client(dut)
    has = {link.target for link in client.discover("/3/0")}
    told = {path: client.read(path) for path in (MANUFACTURER, MODEL, SERIAL) if path in has}
    return told | {"endpoint": client.endpoint, "lifetime": client.registration.lifetime}


@pytest.mark.requirement("FOTA-IDENTITY", "LwM2M-1.0-6.3-stable", "OMA-3-0-identity")
def test_identity_survives_an_update(dut, server, images):
    """Manufacturer, model, serial number, endpoint and lifetime are the same before and after."""
    before = identity(dut, server)
    assert server.update(dut, images.update).failure == ""
    assert identity(dut, server) == before


@pytest.mark.requirement("LwM2M-1.0-5.3.1")
def test_registers_once(dut, server, clock):
    """One registration for one start."""
    server.restart(dut)
    restarted = server.client(dut).registration.registered_at
    clock.sleep(30, "time for a second registration")
    events = server.registrations(dut, since=restarted)
    assert events.count("registered") == 1, f"registered {events.count('registered')} times"


@pytest.mark.requirement("LwM2M-1.0-5.3.2", "LwM2M-T-6.4.3-update")
def test_registration_is_kept(dut, server, clock):
    """Over two lifetimes it is renewed in time: it never expires."""
    begun = clock.now()
    clock.sleep(2 * dut.type.lifetime, "two lifetimes")
    events = server.registrations(dut, since=begun)
    assert "expired" not in events, "the registration was not renewed in time"
    renewed = [event for event in events if event in ("updated", "replaced", "registered")]
    assert len(renewed) >= 2, f"renewed {len(renewed)} times in two lifetimes"


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
    client = server.client(dut)
    has = {link.target for link in client.discover(account)}
    for number, name in ((4, "Disable"), (5, "Disable Timeout")):
        if f"{account}/{number}" not in has:
            raise NotApplicable(f"the device has no {name} ({account}/{number}), which is optional")
    client.write(f"{account}/5", AWAY)
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
