"""CoAP as the device speaks it to the LwM2M server: what every update, and every retry, stands on."""

from itertools import pairwise

import pytest
from aiocoap import CON, GET, NON, POST, PUT
from aiocoap.numbers.codes import Code
from aiocoap.numbers.contentformat import ContentFormat
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption

from bench.firmware_update.states import Delivery, Result, State
from bench.lwm2m.coap.heard import ids_used_again, open_at_once, transmissions
from bench.lwm2m.coap.trace import describe
from bench.lwm2m.management.by_hand import SPACING
from bench.lwm2m.management.malformed import FLAWS

CRITICAL, ELECTIVE = 2039, 2038
"""Option numbers that nobody has assigned; odd ones are critical (RFC 7252 section 5.4.6)."""
NO_METHOD = Code(30)
"""0.30: assigned to no method."""
NO_FORMAT = 65000
"""A content format of the range for experiments (RFC 7252 section 12.3)."""
QUIET = 10
"""Seconds in which what should not come does not come."""
PATH = 3
"""Seconds that one copy of a message may take longer than another."""


@pytest.fixture
def by_hand(dut, server, object5):
    """Messages by hand, to a device that was just heard, so that it is awake."""
    assert object5.state is State.IDLE
    return server.lwm2m.by_hand(dut.endpoint)


def answer_to(by_hand, message):
    """The device's answer; it was heard a moment ago, so silence is its own."""
    answers = by_hand.ask(message)
    assert answers, f"no answer to {describe(message)}, sent {len(SPACING)} times"
    return answers[-1]


def acknowledgement(answers):
    """What acknowledges a message: its response, or nothing where that comes apart (RFC 7252 section 5.2)."""
    return next((one.code, one.payload) for one in answers if one.mtype.name == "ACK")


def copies_apart(messages):
    """By message ID, which the copies of a message have in common."""
    return {one.mid: one for one in messages}


def with_option(message, number):
    message.opt.add_option(OpaqueOption(OptionNumber(number), b"?"))
    return message


@pytest.mark.requirement("RFC7252-4.2-ping", "RFC7252-4.4-message-id")
def test_ping(by_hand):
    """An empty confirmable message is answered with Reset."""
    assert answer_to(by_hand, by_hand.message()).mtype.name == "RST"


@pytest.mark.requirement("RFC7252-4.2-format-error")
@pytest.mark.requirement("RFC7252-3-token-length", flaw=("token-length-9", "token-length-15"))
@pytest.mark.parametrize("flaw", FLAWS)
def test_format_error(by_hand, object5, clock, flaw):
    """It is not carried out: a confirmable one is reset, or refused; any other is reset, or ignored."""
    answer = answer_to(by_hand, by_hand.malformed(flaw, object5.state_path))
    refused = answer.mtype.name == "ACK" and answer.code.dotted.startswith("4.")
    assert answer.mtype.name == "RST" or refused, f"{flaw} was answered {describe(answer)}"

    since, other = clock.now(), by_hand.malformed(flaw, object5.state_path, kind=NON)
    by_hand.send(other)
    answers = by_hand.heard(other, 1, PATH, since)
    assert {a.mtype.name for a in answers} <= {"RST"}, f"{flaw} was answered {describe(answers[0])}"
    assert object5.state is State.IDLE


@pytest.mark.requirement("RFC7252-5.4.1-critical")
def test_unknown_critical_option(by_hand, object5):
    """The request gets 4.02, and is not carried out."""
    answer = answer_to(by_hand, with_option(by_hand.message(GET, object5.state_path), CRITICAL))
    assert answer.code.dotted == "4.02"


@pytest.mark.requirement("RFC7252-5.4.1-elective")
def test_unknown_elective_option(by_hand, object5):
    """As if it were not there."""
    answer = answer_to(by_hand, with_option(by_hand.message(GET, object5.state_path), ELECTIVE))
    assert answer.code.dotted == "2.05"


@pytest.mark.requirement("RFC7252-5.8-method")
def test_unknown_method(by_hand, object5):
    """4.05."""
    answer = answer_to(by_hand, by_hand.message(NO_METHOD, object5.state_path))
    assert answer.code.dotted == "4.05"


@pytest.mark.requirement("RFC7252-5.3.1-echo", "RFC7252-4.4-message-id")
@pytest.mark.parametrize("length", [0, 1, 8])
def test_token_is_repeated(by_hand, object5, length):
    """Whatever it is, and however long."""
    request = by_hand.message(GET, object5.state_path, token=bytes(range(0xF8, 0xF8 + length)))
    response = answer_to(by_hand, request)
    assert response.code.dotted == "2.05"
    assert response.token == request.token


@pytest.mark.requirement("RFC7252-4.3-non", "RFC7252-5.2.3-non")
def test_non_confirmable_request(by_hand, object5, clock, recommended):
    """It is answered, and not acknowledged; the answer should be non-confirmable too."""
    since = clock.now()
    request = by_hand.message(GET, object5.state_path, kind=NON)
    by_hand.send(request)
    answers = by_hand.heard(request, 1, QUIET, since)
    assert {answer.code.dotted for answer in answers} == {"2.05"}
    assert "ACK" not in {answer.mtype.name for answer in answers}
    with recommended("RFC7252-5.2.3-non"):
        assert {answer.mtype.name for answer in answers} == {"NON"}


@pytest.mark.requirement("OMA-1-8-trigger", "RFC7252-4.5-once", "RFC7252-4.5-same-answer")
def test_request_that_comes_twice(dut, server, by_hand, object5, clock, recommended):
    """Registration Update Trigger makes it send an Update; the same message again should make no other."""
    begun = clock.now()
    request = by_hand.message(POST, f"/1/{server.account_of(dut)}/8")
    first = by_hand.ask(request)
    assert [one.code.dotted for one in first[-1:]] == ["2.04"], f"the answer to {describe(request)}"

    def updates():
        return server.registrations(dut, since=begun).count("updated")

    due = clock.now() + dut.type.timeouts.registration
    while not updates() and clock.now() < due:
        clock.sleep(1, f"{dut.endpoint} sends an Update")
    assert updates(), f"no Update after the trigger: {server.registrations(dut, since=begun)}"
    answer_to(by_hand, by_hand.message(GET, object5.state_path))  # and the copy comes after another message
    before, since = updates(), clock.now()
    again = by_hand.ask(request)
    clock.sleep(QUIET, "time for a second Update")
    with recommended("RFC7252-4.5-same-answer"):
        assert acknowledgement(again) == acknowledgement(first)
    with recommended("RFC7252-4.5-once"):
        assert updates() == before, f"{updates() - before} more Updates after {since:.1f} s"


@pytest.mark.requirement("LwM2M-T-6.7-read", "LwM2M-T-6.7-write", "LwM2M-T-6.7-execute")
def test_resource_that_is_not_there(by_hand, object5):
    """Read and Write get 4.04, Execute is refused."""
    path = f"{object5.instance}/999"
    assert answer_to(by_hand, by_hand.message(GET, path)).code.dotted == "4.04"
    written = by_hand.message(PUT, path, b"1")
    written.opt.content_format = ContentFormat.TEXT
    assert answer_to(by_hand, written).code.dotted == "4.04"
    assert answer_to(by_hand, by_hand.message(POST, path)).code.dotted in ("4.04", "4.05")


@pytest.mark.requirement("LwM2M-1.0-5.4.5")
@pytest.mark.parametrize("instance", ["/3/0", "firmware"])
def test_execute_of_an_instance(dut, server, by_hand, object5, instance):
    """Execute is for a resource alone: an error, and nothing happens."""
    path = object5.instance if instance == "firmware" else instance
    registered = server.client(dut).registration.registered_at
    answer = answer_to(by_hand, by_hand.message(POST, path)).code.dotted
    assert answer[0] in "45", f"Execute of the instance {path} was answered {answer}"
    assert object5.pair == (State.IDLE, Result.INITIAL)
    assert server.client(dut).registration.registered_at == registered, f"Execute of {path} restarted it"


@pytest.mark.requirement("LwM2M-T-con")
def test_operations_are_confirmable(dut, server, by_hand, clock):
    """Whatever the device asks of its server is a confirmable message: Register, Update, De-register."""
    since = clock.now()
    server.restart(dut)
    trigger = server.lwm2m.by_hand(dut.endpoint).message(POST, f"/1/{server.account_of(dut)}/8")
    assert answer_to(server.lwm2m.by_hand(dut.endpoint), trigger).code.dotted == "2.04"
    within = dut.type.timeouts.registration
    assert server.await_registration(dut, "updated", after=since, within=within)
    asked = [one.message for one in server.lwm2m.heard_from(dut.endpoint, since) if is_operation(one.message)]
    assert {describe(message) for message in asked if message.mtype is not CON} == set()
    assert len(asked) >= 2, "neither Register nor Update was heard"


def is_operation(message):
    """A request to an interface of the server, and not for a package."""
    return message.code.is_request() and message.opt.uri_path[:1] != ("fw",)


@pytest.mark.requirement("OMA-5-3-read-only", "OMA-5-5-read-only", "OMA-5-0-not-readable")
def test_operation_that_a_resource_does_not_have(by_hand, object5):
    """State and Update Result cannot be written, Package and Update not be read; nothing changes."""
    for number in (3, 5):
        message = by_hand.message(PUT, f"{object5.instance}/{number}", b"2")
        message.opt.content_format = ContentFormat.TEXT
        answer = answer_to(by_hand, message).code.dotted
        assert answer.startswith("4."), f"a Write of {object5.instance}/{number} was answered {answer}"
    for path in (object5.package, object5.update):
        answer = answer_to(by_hand, by_hand.message(GET, path)).code.dotted
        assert answer.startswith("4."), f"a Read of {path} was answered {answer}"
    assert object5.pair == (State.IDLE, Result.INITIAL)


@pytest.mark.requirement("LwM2M-1.0-5.4.3-format", "LwM2M-T-accept", "RFC7252-5.10.4-accept")
def test_format_that_nobody_knows(by_hand, object5):
    """A Write in it is refused and changes nothing; asked for, it gets 4.06."""
    written = by_hand.message(PUT, object5.package_uri, b"coap://192.0.2.1/x")
    written.opt.content_format = NO_FORMAT
    answer = answer_to(by_hand, written).code.dotted
    assert answer.startswith("4."), f"answered {answer}"
    assert object5.state is State.IDLE

    read = by_hand.message(GET, object5.state_path)
    read.opt.accept = NO_FORMAT
    assert answer_to(by_hand, read).code.dotted == "4.06"


@pytest.mark.requirement("RFC7641-3.6-forgotten", "RFC7641-4.1-first", "RFC7641-4.4-order")
@pytest.mark.requirement("LwM2M-T-6.4.5-reset", "LwM2M-T-6.4.5-token")
def test_reset_ends_an_observation(dut, server, by_hand, object5, clock):
    """A notification that nobody waits for is answered with Reset, and is the last one."""
    client = server.client(dut)
    client.write_attributes(object5.state_path, pmin=1, pmax=5)
    begun = clock.now()
    observe = by_hand.message(GET, object5.state_path)
    observe.opt.observe = 0
    taken = answer_to(by_hand, observe)
    assert taken.opt.observe is not None, "it did not take the observation"
    # the server knows nothing of this token: it resets the next message, be it the response itself
    if taken.mtype.name == "ACK":
        assert len(by_hand.heard(observe, 2, 4 * QUIET, begun)) >= 2, "no notification, and pmax is 5 s"
    clock.sleep(QUIET, "the Reset has arrived")
    told = copies_apart(by_hand.answers_to(observe, begun))
    clock.sleep(3 * QUIET, "a reset observation is silent")
    client.write_attributes(object5.state_path, pmin=None, pmax=None)
    heard = copies_apart(by_hand.answers_to(observe, begun))
    assert heard.keys() == told.keys(), "it goes on telling"
    numbers = [one.opt.observe for one in heard.values() if one.opt.observe is not None]
    rising = all(0 < (later - earlier) % 2**24 < 2**23 for earlier, later in pairwise(numbers))
    assert rising, f"its Observe numbers do not increase (RFC 7641, 4.4): {numbers}"


@pytest.mark.requirement("RFC7641-4.1-same-token")
def test_observed_twice_with_one_token(dut, server, by_hand, object5, clock):
    """The second request takes the place of the first: each value is told once."""
    client = server.client(dut)
    client.write_attributes(object5.state_path, pmin=1, pmax=QUIET)
    begun = clock.now()
    first = by_hand.message(GET, object5.state_path)
    again = by_hand.message(GET, object5.state_path, token=first.token)
    first.opt.observe = again.opt.observe = 0
    answers = [answer_to(by_hand, request) for request in (first, again)]
    for answer in answers:
        assert answer.opt.observe is not None, "it did not take the observation"
    apart = {answer.mid for answer in answers if answer.mtype.name in ("CON", "NON")}
    # the server knows nothing of this token: it resets the next notification, which is the last one
    clock.sleep(1.5 * QUIET, "a notification, and time for another one")
    client.write_attributes(object5.state_path, pmin=None, pmax=None)
    told = by_hand.answers_to(again, begun)
    notifications = {one.mid for one in told if one.mtype.name in ("CON", "NON")} - apart
    assert notifications or apart, f"no notification, and pmax is {QUIET} s"
    assert len(notifications) <= 1, f"told {len(notifications)} times: there are two observations"


@pytest.mark.requirement("RFC7641-4.5.1-nstart")
@pytest.mark.delivery("pull")
def test_notifications_one_after_the_other(dut, server, images, object5, clock, delivery):
    """While one is not acknowledged no other is sent, though State and Update Result change together."""
    parameters = dut.type.profile.transmission
    with server.begin(dut, images.update, delivery):
        uri, since = "gopher://192.0.2.1/package.bin", clock.now()
        by_hand = server.lwm2m.by_hand(dut.endpoint)
        written = by_hand.message(PUT, object5.package_uri, uri.encode())
        written.opt.content_format = ContentFormat.TEXT
        with server.lwm2m.unanswering():
            answer_to(by_hand, written)
            clock.sleep(parameters.wait, "notifications are given up")
        sent = transmissions(server.lwm2m.datagrams_from(dut.endpoint, since))
        told = open_at_once([one for one in sent if one.message.code.is_response()])
        assert len(told) <= parameters.nstart, "open at once: " + "; ".join(map(str, told))
    server.make_idle(dut)


@pytest.mark.requirement("RFC7252-4.2-backoff", "RFC7252-4.2-envelope", "RFC7252-4.8.1-timeout")
def test_retransmission(dut, server, clock):
    """A Register that nobody answers is sent again, not sooner and not longer than the parameters say."""
    parameters = dut.type.profile.transmission
    with server.lwm2m.unanswering():
        since = dut.power_cycle()
        clock.wait_for(
            lambda: transmissions(server.lwm2m.datagrams_from(dut.endpoint, since)),
            timeout=dut.type.timeouts.boot + dut.type.timeouts.registration,
            reason=f"{dut.endpoint} sends a Register",
        )
        clock.sleep(parameters.wait + PATH, "the Register is given up")
    back = clock.now()
    register = transmissions(server.lwm2m.datagrams_from(dut.endpoint, since))[0]
    assert register.gaps, f"it was not sent again: {register}"
    for number, gap in enumerate(register.gaps):
        least = parameters.ack_timeout * 2**number
        assert gap >= least - PATH, f"again after {gap:.1f} s, {least:g} s is the least: {register}"
    assert register.span <= parameters.span + PATH, f"MAX_TRANSMIT_SPAN is {parameters.span:g} s: {register}"
    server.await_registered(dut, after=back)


@pytest.mark.requirement("RFC7252-4.4-reuse")
def test_message_ids_of_a_download(dut, server, images, clock, delivery):
    """Each message of the device has an ID that no other had within EXCHANGE_LIFETIME."""
    since = clock.now()
    with server.begin(dut, images.update, delivery) as update:
        update.deliver()
        assert update.await_downloaded()
    lifetime = dut.type.profile.transmission.lifetime
    again = ids_used_again(server.lwm2m.datagrams_from(dut.endpoint, since), lifetime)
    first = f", the first by {again[0][0]}, then {again[0][1]}" if again else ""
    assert len(again) == 0, f"{len(again)} message IDs were used again{first}"
    server.make_idle(dut)


@pytest.mark.requirement("RFC7252-4.7-nstart")
@pytest.mark.delivery("pull")
def test_requests_one_after_the_other(dut, server, images, clock, delivery):
    """While a block is asked for in vain, an Update that was triggered meanwhile waits."""
    parameters, account = dut.type.profile.transmission, server.account_of(dut)
    with server.begin(dut, images.update, Delivery.PULL) as update:
        update.deliver(0.3)
        by_hand, since = server.lwm2m.by_hand(dut.endpoint), clock.now()

        def requests():
            sent = transmissions(server.lwm2m.datagrams_from(dut.endpoint, since))
            return [one for one in sent if one.message.code.is_request()]

        with server.lwm2m.unanswering():
            clock.wait_for(requests, timeout=parameters.wait, reason=f"{dut.endpoint} asks for a block")
            answer_to(by_hand, by_hand.message(POST, f"/1/{account}/8"))
            clock.sleep(parameters.wait, "the block is given up")
        answered = clock.now()
        asked = open_at_once(requests())
        assert len(asked) <= parameters.nstart, "open at once: " + "; ".join(map(str, asked))
        clock.wait_for(
            lambda: server.registrations(dut, since=answered),
            timeout=dut.type.lifetime + dut.type.timeouts.registration,
            reason=f"{dut.endpoint} is heard again, by the Update that waited or by another Register",
        )
    server.make_idle(dut)


@pytest.mark.requirement("RFC7959-2.2-szx")
@pytest.mark.delivery("push")
def test_reserved_block_size(by_hand, object5, delivery):
    """A block size exponent of 7 is refused, and begins no download."""
    message = by_hand.message(PUT, object5.package, b"\0" * 1024)  # what it stands for over TCP, at least
    message.opt.content_format = ContentFormat.OCTETSTREAM
    message.opt.block1 = (0, True, 7)
    assert answer_to(by_hand, message).code.dotted == "4.00"
    assert object5.state is State.IDLE


@pytest.mark.requirement("RFC7959-2.3-acknowledges", "RFC7959-2.5-incomplete")
@pytest.mark.delivery("push")
def test_last_block_without_those_before(dut, server, images, by_hand, object5, delivery):
    """The first block is acknowledged by its number; a last one that leaves a gap is refused with 4.08."""
    first = by_hand.message(PUT, object5.package, images.update.data[:64])
    last = by_hand.message(PUT, object5.package, images.update.data[320:384])
    first.opt.content_format = last.opt.content_format = ContentFormat.OCTETSTREAM
    first.opt.block1, last.opt.block1 = (0, True, 2), (5, False, 2)
    answer = answer_to(by_hand, first)
    assert answer.code.is_successful(), f"the first block was answered {answer.code.dotted}"
    assert answer.opt.block1.block_number == 0
    assert answer_to(by_hand, last).code.dotted == "4.08"
    server.make_idle(dut)


@pytest.mark.requirement("LwM2M-T-6.4.4-content-format")
def test_read_tells_its_format(by_hand, object5):
    """Whichever the device has chosen."""
    response = answer_to(by_hand, by_hand.message(GET, object5.state_path))
    assert response.code.dotted == "2.05"
    assert response.opt.content_format is not None


@pytest.mark.requirement(
    "LwM2M-1.0-5.3.1-parameters",
    "LwM2M-1.0-5.3.1-objects",
    "LwM2M-1.0-5.3.1-link-format",
    "LwM2M-1.0-5.3-lifetime",
    "LwM2M-1.0-6.2-version",
)
def test_what_a_registration_says(dut, server, object5):
    """Name, version, and the objects that are there, but never Security; the lifetime is that of /1."""
    server.restart(dut)
    registration = server.client(dut).registration
    assert registration.endpoint == dut.endpoint
    if dut.type.profile.object != "1.0":  # versions 1.1 and 1.2 of object 5 are of LwM2M 1.1 (OMA's registry)
        assert registration.version != "1.0", "Register names no version of LwM2M, or 1.0"
    assert {1, 3, int(object5.instance.split("/")[1])} <= registration.objects.keys()
    assert 0 not in registration.objects, "the Security object"
    number, wanted = int(object5.instance.split("/")[1]), dut.type.profile.object
    told = registration.object_versions.get(number, "1.0")
    assert number != 5 or told == wanted, f"object 5 is {wanted}, the list of objects says {told}"
    account = f"/1/{server.account_of(dut)}/1"
    assert server.client(dut).read(account) == registration.lifetime
