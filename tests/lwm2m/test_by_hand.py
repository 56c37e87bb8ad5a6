"""Messages by hand, to a peer of plain bytes: what leaves, what counts as an answer, and what silence is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiocoap import GET, NON, POST
from coap_peer import ACK, CON, RST, Answer, Device, Packet, text

from bench.clock import Clock
from bench.lwm2m.coap.wire import Malformed, decode
from bench.lwm2m.management.by_hand import SPACING
from bench.lwm2m.management.malformed import FLAWS
from bench.lwm2m.server import LwM2mServer


def pings(device: Device) -> list[Packet]:
    return [packet for packet in device.heard if packet.code == 0 and packet.type == CON]


def test_ping_is_sent_until_it_is_answered(device: Device, server: LwM2mServer, clock: Clock) -> None:
    def hear(packet: Packet) -> None:
        if packet.code == 0 and len(pings(device)) == 3:  # the third copy
            device.send(Packet(RST, 0, packet.mid))

    device.hear = hear  # type: ignore[method-assign]
    begun = clock.now()
    (answer,) = server.by_hand("dev").ask(server.by_hand("dev").message())
    assert answer.mtype.name == "RST"
    assert len({packet.mid for packet in pings(device)}) == 1
    assert clock.now() - begun >= SPACING[0] + SPACING[1]


def test_silence_is_told_as_no_answer(device: Device, server: LwM2mServer, clock: Clock) -> None:
    device.silent = True
    by_hand = server.by_hand("dev")
    begun = clock.now()
    assert by_hand.ask(by_hand.message()) == []
    assert len(pings(device)) == len(SPACING)
    assert clock.now() - begun >= sum(SPACING)


def test_answer_is_known_by_message_id_or_by_token(device: Device, server: LwM2mServer, clock: Clock) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    by_hand = server.by_hand("dev")
    request = by_hand.message(GET, "/5/0/3")
    other = by_hand.message(GET, "/5/0/3")
    (first,) = by_hand.ask(request)
    assert (first.code.dotted, first.payload, first.token) == ("2.05", b"0", request.token)
    since = clock.now() + 0.001
    clock.sleep(0.01, "later")
    device.send(Packet(NON, 0x45, 77, request.token, [], b"1"))  # of the token, in a message of its own
    device.send(Packet(ACK, 0, (request.mid + 1) & 0xFFFF))  # of nobody
    device.send(Packet(NON, 0x45, 78, other.token, [], b"2"))  # of another request
    (second,) = by_hand.heard(request, 1, 5, since)
    assert second.payload == b"1"


def test_same_message_twice_is_the_same_to_the_byte(device: Device, server: LwM2mServer) -> None:
    """So the device's own de-duplication is what is seen."""
    asked = []

    def update(request: Packet) -> Answer:
        asked.append(request)
        return Answer("2.04")

    device.on["/1/0/8"] = update
    by_hand = server.by_hand("dev")
    request = by_hand.message(POST, "/1/0/8")
    assert by_hand.ask(request)[-1].code.dotted == "2.04"
    assert by_hand.ask(request)[-1].code.dotted == "2.04"
    copies = [packet for packet in device.heard if packet.path == "/1/0/8"]
    assert len({packet.encode() for packet in copies}) == 1
    assert len(copies) == 2
    assert len(asked) == 1


def test_alternate_path_and_token(connect: Callable[..., Device], server: LwM2mServer) -> None:
    device = connect("other", register=False)
    device.register(links=b'</lwm2m>;rt="oma.lwm2m",</lwm2m/1/0>,</lwm2m/3/0>,</lwm2m/5/0>')
    device.on["/lwm2m/5/0/3"] = lambda request: text(0)
    by_hand = server.by_hand("other")
    for token in (b"", b"12345678"):
        request = by_hand.message(GET, "/5/0/3", token=token)
        assert by_hand.ask(request)[-1].payload == b"0"
    assert [packet.token for packet in device.heard if packet.path == "/lwm2m/5/0/3"] == [b"", b"12345678"]


def test_non_confirmable_goes_out_once(device: Device, server: LwM2mServer, clock: Clock) -> None:
    device.silent = True
    by_hand = server.by_hand("dev")
    request = by_hand.message(GET, "/5/0/3", kind=NON)
    since = clock.now()
    by_hand.send(request)
    assert by_hand.heard(request, 1, 60, since) == []
    assert [packet.type for packet in device.heard if packet.path == "/5/0/3"] == [int(NON)]


def test_what_nobody_waits_for_disturbs_no_other_request(device: Device, server: LwM2mServer) -> None:
    """The server's own message layer sees the answers, too, and goes on."""
    device.on["/5/0/3"] = lambda request: text(0)
    by_hand = server.by_hand("dev")
    by_hand.ask(by_hand.message(GET, "/5/0/3"))
    assert server.client("dev").read("/5/0/3") == 0


def test_response_apart_from_its_acknowledgement_is_the_answer(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    """However long it takes; the request is not repeated meanwhile."""

    def hear(packet: Packet) -> None:
        if packet.path == "/5/0/3":
            device.send(Packet(ACK, 0, packet.mid))
            response = Packet(CON, 0x45, 4711, packet.token, [], b"0")
            clock.loop.call_later(40, device.send, response)

    by_hand = server.by_hand("dev")
    asked: list[Packet] = []
    device.hear = lambda packet: (asked.append(packet), hear(packet))  # type: ignore[method-assign, assignment, func-returns-value]
    acknowledgement, response = by_hand.ask(by_hand.message(GET, "/5/0/3"))
    assert (acknowledgement.code.dotted, response.code.dotted, response.payload) == ("0.00", "2.05", b"0")
    assert sum(packet.path == "/5/0/3" for packet in asked) == 1


@pytest.mark.parametrize("flaw", FLAWS)
def test_malformed_messages_are_what_they_are_called(
    device: Device, server: LwM2mServer, clock: Clock, flaw: str
) -> None:
    """Bent from a good request with the same ID; neither the server's decoder nor aiocoap's would send it."""
    arrived: list[bytes] = []
    device.datagram_received = lambda data, addr: arrived.append(data)  # type: ignore[method-assign]
    by_hand = server.by_hand("dev")
    message = by_hand.malformed(flaw, "/5/0/3")
    by_hand.send(message)
    clock.wait_for(lambda: arrived, timeout=5, reason="the message")
    assert int.from_bytes(arrived[0][2:4], "big") == message.mid
    if flaw == "code-of-a-reserved-class":
        assert arrived[0][1] >> 5 == 1
    else:
        with pytest.raises(Malformed):
            decode(arrived[0], None)
    device.send(Packet(RST, 0, message.mid))
    (answer,) = by_hand.heard(message, 1, 5, 0.0)
    assert answer.mtype.name == "RST"


def test_what_was_asked_by_a_device_is_found(device: Device, server: LwM2mServer, clock: Clock) -> None:
    registration = server.client("dev").registration
    clock.sleep(1, "after its Register")
    since = clock.now()
    device.send(Packet(CON, 4, 1234, b"T", [(11, b"rd"), (11, registration.location.encode())]))
    clock.sleep(1, "the request")
    assert [m.opt.uri_path for _, m in server.asked_by(registration, since)] == [
        ("rd", registration.location)
    ]
