"""Whatever is sent to the server: a clean answer or silence, bounded memory, others undisturbed."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coap_peer import (
    ACCEPT,
    ACK,
    BLOCK1,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    DELETE,
    GET,
    NON,
    POST,
    PUT,
    RST,
    SIZE1,
    URI_PATH,
    URI_QUERY,
    Device,
    Packet,
    Peer,
    block,
    code,
    path_options,
    text,
    uint,
)
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.clock import Clock
from bench.lwm2m.coap import wire
from bench.lwm2m.coap.assembly import MAX_BODIES, MAX_BODY
from bench.lwm2m.coap.duplicates import MESSAGES, PEERS, PER_PEER, RecentMessages
from bench.lwm2m.interfaces.registration import MAX_REGISTRATIONS
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

LINK_FORMAT = (CONTENT_FORMAT, uint(40))
PROXY_URI, PROXY_SCHEME, IF_MATCH, OSCORE, URI_HOST, NO_RESPONSE = 35, 39, 1, 9, 3, 258


@pytest.fixture
def other(connect: Callable[..., Device], server: LwM2mServer) -> Iterator[Device]:
    """A client that must notice nothing: registered before, observed, and answering after."""
    device = connect("other", register=False)
    device.register("&lwm2m=1.0&lt=86400")
    device.on["/3/0/9"] = lambda request: text(50)
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[object] = []
    server.clock.run(server.client("other").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    location = device.location
    yield device
    assert server.client("other").read("/3/0/9") == 50
    assert server.client("other").registration.location in location
    device.notify("/5/0/3", 1)
    server.clock.sleep(1, "the notification")
    assert heard == [0, 1]


def answers(peer: Peer, clock: Clock, packet: Packet | bytes) -> list[str]:
    """What the server says to one datagram within 5 s."""
    since = len(peer.heard)
    peer.raw(packet if isinstance(packet, bytes) else packet.encode())
    clock.sleep(5, "an answer, if there is one")
    return [p.dotted if p.code else "empty" for p in peer.heard[since:]]


# ---- requests that are none of the interface's


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (GET, "/", "4.04"),
        (GET, "/.well-known/core", "4.04"),
        (GET, "/rd", "4.05"),
        (GET, "/rd/{location}", "4.05"),
        (GET, "/rd/nobody", "4.05"),
        (PUT, "/rd", "4.05"),
        (PUT, "/rd/{location}", "4.05"),
        (DELETE, "/rd", "4.05"),
        (DELETE, "/rd/nobody", "4.04"),
        (POST, "/rd/nobody", "4.04"),
        (POST, "/rd/{location}/more", "4.04"),
        (POST, "/" + "/".join("x" * 100), "4.04"),
        (POST, "/rd/" + "/".join("x" * 100), "4.04"),
        (GET, "/fw", "4.04"),
        (GET, "/fw/nothing.bin", "4.04"),
        (PUT, "/fw/nothing.bin", "4.05"),
        (GET, "/dp", "4.05"),
        (POST, "/dp", "4.04"),
        (POST, "/3/0/4", "4.04"),
        (5, "/rd", "4.05"),
        (6, "/rd", "4.05"),
        (7, "/rd", "4.05"),
        (8, "/rd", "4.05"),
        (31, "/rd", "4.05"),
        (31, "/nothing", "4.04"),
    ],
)
def test_foreign_requests(other: Device, peer: Peer, method: int, path: str, expected: str) -> None:
    location = other.location.removeprefix("/rd/")
    assert peer.request(method, path.format(location=location)).dotted == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([(PROXY_URI, b"coap://example.org/x")], "5.05"),
        ([(PROXY_SCHEME, b"http")], "5.05"),
        ([(IF_MATCH, b"x")], "4.02"),
        ([(5, b"")], "4.02"),  # If-None-Match
        ([(OSCORE, b"\x09\x01")], "4.02"),
        ([(65001, b"?")], "4.02"),
        ([(URI_HOST, b"a"), (URI_HOST, b"b")], "4.02"),
        ([(URI_HOST, b"")], "4.02"),
        ([(URI_QUERY, b"\xff\xfe")], "4.02"),
        ([(URI_QUERY, b"x" * 600)], "4.02"),
        ([(ACCEPT, b"\x01\x02\x03")], "4.02"),
        ([(BLOCK1, b"\x00\x00\x00\x00")], "4.02"),
        ([(BLOCK1, block(0, True, 7))], "4.00"),
        ([(BLOCK1, block(0, True, 6))], "4.00"),  # more to come, but not a whole block
        ([(BLOCK1, block(9, True, 0))], "4.00"),
        ([(BLOCK1, block(0xFFFFF, False, 0))], "4.08"),
        ([(CONTENT_FORMAT, b"\x01\x02\x03")], "2.01"),  # elective: as if it were not there
        ([(65000, b"?")], "2.01"),
        ([(SIZE1, uint(1 << 20))], "4.13"),
        ([(BLOCK2, block(3, False, 2))], "4.08"),
    ],
)
def test_options(
    other: Device, server: LwM2mServer, peer: Peer, options: list[tuple[int, bytes]], expected: str
) -> None:
    answer = peer.request(POST, "/rd?ep=dev", b"</5/0>", options)
    assert answer.dotted == expected
    assert (server.registration("dev") is not None) is (expected == "2.01")


def test_no_response_is_honoured(other: Device, server: LwM2mServer, peer: Peer, clock: Clock) -> None:
    options = [*path_options("/rd?ep=dev"), (NO_RESPONSE, b"\x02")]
    assert answers(peer, clock, Packet(CON, POST, 1, b"t", options, b"</5/0>")) == ["empty"]
    assert answers(peer, clock, Packet(NON, POST, 2, b"u", options, b"</5/0>")) == []
    assert server.registration("dev") is not None


# ---- datagrams that are no requests


@pytest.mark.parametrize(
    ("datagram", "why"),
    [
        (b"\x40", "1 bytes"),
        (b"\x40\x01\x00", "3 bytes"),
        (b"\x00\x01\x00\x01", "version 0"),
        (b"\x80\x01\x00\x01", "version 2"),
        (b"\xc0\x01\x00\x01", "version 3"),
        (b"\x49\x01\x00\x01" + b"t" * 9, "token length 9"),
        (b"\x4f\x01\x00\x01" + b"t" * 15, "token length 15"),
        (b"\x48\x01\x00\x01ttt", "token is cut off"),
        (b"\x40\x00\x00\x01\xff", "empty message with content"),
        (b"\x41\x00\x00\x01t", "empty message with content"),
        (b"\x40\x01\x00\x01\xff", "payload marker without payload"),
        (b"\x40\x01\x00\x01\xf0", "head is wrong"),
        (b"\x40\x01\x00\x01\x0f", "head is wrong"),
        (b"\x40\x01\x00\x01\xd0", "head is wrong"),
        (b"\x40\x01\x00\x01\xe0\x00", "head is wrong"),
        (b"\x40\x01\x00\x01\xb5rd", "option is cut off"),
        (b"\x40\x01\x00\x01\xe0\xff\xff\xe0\xff\xff", "option number"),
    ],
)
def test_no_coap_is_reset_where_it_is_confirmable(
    other: Device, peer: Peer, clock: Clock, timeline: Timeline, datagram: bytes, why: str
) -> None:
    """RFC 7252, 4.2: a message format error; another version and half a header are met with silence (3)."""
    mark = timeline.mark()
    confirmable = len(datagram) >= 4 and datagram[0] >> 6 == 1
    assert answers(peer, clock, datagram) == (["empty"] if confirmable else [])
    assert all(p.type == RST and p.mid == 1 for p in peer.heard)
    entry, *resets = timeline.since(mark)
    assert why in entry.text
    assert len(resets) == confirmable


def test_no_coap_that_is_not_confirmable_is_met_with_silence(other: Device, peer: Peer, clock: Clock) -> None:
    for kind in (NON, ACK, RST):
        assert answers(peer, clock, bytes([0x4F | kind << 4]) + b"\x01\x00\x01" + b"t" * 15) == []


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (Packet(CON, 0, 1), ["empty"]),  # a ping
        (Packet(NON, 0, 1), []),
        (Packet(ACK, 0, 1), []),
        (Packet(RST, 0, 1), []),
        (Packet(ACK, POST, 1, b"t", path_options("/rd?ep=dev")), []),
        (Packet(RST, POST, 1, b"t", path_options("/rd?ep=dev")), []),
        (Packet(CON, code("2.05"), 1, b"t", [], b"unasked"), ["empty"]),
        (Packet(NON, code("2.05"), 1, b"t", [], b"unasked"), []),
        (Packet(ACK, code("2.05"), 1, b"t", [], b"unasked"), []),
        (Packet(CON, code("1.00"), 1, b"t"), ["empty"]),
        (Packet(CON, code("6.01"), 1, b"t"), ["empty"]),
        (Packet(CON, code("7.31"), 1, b"t"), ["empty"]),
        (Packet(NON, code("7.31"), 1, b"t"), []),
    ],
)
def test_messages_out_of_place(
    other: Device, peer: Peer, server: LwM2mServer, clock: Clock, packet: Packet, expected: list[str]
) -> None:
    assert answers(peer, clock, packet) == expected
    assert server.registration("dev") is None


def test_floods_of_empty_messages(other: Device, peer: Peer, server: LwM2mServer, clock: Clock) -> None:
    for mid in range(3000):
        for kind in (CON, NON, ACK, RST):
            peer.send(Packet(kind, 0, mid))
    clock.sleep(5, "the flood")
    assert all(p.type == RST for p in peer.heard)


def test_resets_of_another_address_end_nothing(
    other: Device, peer: Peer, server: LwM2mServer, clock: Clock
) -> None:
    """Even with the right message ID: an exchange belongs to one peer."""
    other.on["/3/0/2"] = lambda request: text("x")
    other.silent = True

    def attack() -> None:
        mid = [p for p in other.heard if p.is_request][-1].mid
        for kind in (RST, ACK):
            peer.send(Packet(kind, 0, mid))

    clock.loop.call_later(1.0, attack)
    clock.loop.call_later(2.0, lambda: setattr(other, "silent", False))
    assert server.client("other").read("/3/0/2") == "x"


# ---- bodies


def send_body(peer: Peer, path: str, body: bytes, exponent: int = 6) -> list[str]:
    """Every block until the server refuses; the codes it answered."""
    size, codes = 16 << exponent, []
    for number in range(-(-len(body) // size)):
        more = (number + 1) * size < len(body)
        options = [LINK_FORMAT, (BLOCK1, block(number, more, exponent))]
        answer = peer.request(POST, path, body[number * size : (number + 1) * size], options)
        codes.append(answer.dotted)
        if answer.dotted != "2.31":
            if answer.dotted == "4.13":
                assert answer.number(SIZE1) == MAX_BODY
            break
    return codes


@pytest.mark.parametrize("path", ["/rd?ep=dev", "/dp"])
def test_a_body_of_a_mebibyte_is_refused_early(
    other: Device, peer: Peer, server: LwM2mServer, path: str
) -> None:
    codes = send_body(peer, path, b"</3303/1>," * 104858)
    assert codes[-1] == "4.13"
    assert len(codes) == MAX_BODY // 1024 + 1
    assert server.registration("dev") is None


def test_ten_thousand_links_are_refused(other: Device, peer: Peer, server: LwM2mServer) -> None:
    links = b",".join(b"</3303/%d>" % number for number in range(10_000))
    assert send_body(peer, "/rd?ep=dev", links)[-1] == "4.13"
    assert server.registration("dev") is None


def test_as_many_links_as_fit_are_taken(other: Device, peer: Peer, server: LwM2mServer) -> None:
    links = b",".join(b"</3303/%d>" % number for number in range(2_500))
    assert send_body(peer, "/rd?ep=dev", links, exponent=4)[-1] == "2.01"
    registration = server.registration("dev")
    assert registration is not None
    assert len(registration.objects[3303]) == 2_500


def test_bodies_that_are_never_finished_give_way(
    other: Device, peer: Peer, server: LwM2mServer, clock: Clock
) -> None:
    for number in range(10 * MAX_BODIES):
        options = [LINK_FORMAT, (BLOCK1, block(0, True, 6))]
        answer = peer.request(POST, f"/rd?ep=dev-{number}", b"x" * 1024, options)
        assert answer.dotted == "2.31"
    spools = [r._block1 for r in server.context.serversite._resources.values()]
    assert max(len(spool) for spool in spools) == MAX_BODIES
    late = peer.request(POST, "/rd?ep=dev-0", b"x", [LINK_FORMAT, (BLOCK1, block(1, False, 6))])
    assert late.dotted == "4.08"


# ---- floods


def inject(server: LwM2mServer, clock: Clock, datagrams: Iterator[tuple[bytes, tuple[str, int]]]) -> None:
    """Datagrams as from any number of addresses, 500 at a time."""

    async def feed() -> None:
        assert server._endpoint is not None
        for count, (data, address) in enumerate(datagrams):
            server._endpoint.datagram_received(data, address)
            if count % 500 == 499:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    clock.run(feed(), timeout=600, reason="the flood")


def address(number: int) -> tuple[str, int]:
    return f"127.{1 + number // 60000}.0.1", 5000 + number % 60000


def test_ten_thousand_addresses_leave_no_trace(
    other: Device, server: LwM2mServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests of all kinds, each from an address of its own; the record of it apart, nothing grows."""
    monkeypatch.setattr(server.timeline, "record", lambda *args, **how: None)
    monkeypatch.setattr(server.capture, "add", lambda *args: None)

    def kinds(number: int) -> bytes:
        first = [*path_options(f"/rd?ep=e{number}"), LINK_FORMAT, (BLOCK1, block(0, True, 6))]
        return (
            Packet(CON, GET, number, b"t", path_options("/")),
            Packet(NON, POST, number, b"t", path_options("/rd")),
            Packet(CON, POST, number, b"t", first, b"x" * 1024),
            Packet(CON, code("2.05"), number, b"t"),
            Packet(RST, 0, number),
            Packet(CON, 0, number),
        )[number % 6].encode()

    def flood(begin: int, end: int) -> None:
        inject(server, clock, ((kinds(n), address(n)) for n in range(begin, end)))

    tracemalloc.start()
    try:
        flood(0, 7000)  # fills what is bounded
        clock.sleep(300, "what is remembered for a while")
        gc.collect()  # what nobody holds is no growth, whenever it is collected
        before = tracemalloc.get_traced_memory()[0]
        flood(7000, 17_000)
        clock.sleep(300, "what is remembered for a while")
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 500_000
    messages, tokens = server._messages, server._tokens
    assert len(messages._requests) <= PEERS * PER_PEER
    assert len(messages._counters) <= PEERS
    assert len(tokens.incoming_requests) == 0
    assert len(messages._piggyback_opportunities) == 0


def test_ten_thousand_endpoints_stay_within_the_directory(
    other: Device, server: LwM2mServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server.timeline, "record", lambda *args, **how: None)
    monkeypatch.setattr(server.capture, "add", lambda *args: None)

    def registration(number: int) -> bytes:
        options = [*path_options(f"/rd?ep=squatter-{number}&lt=86400"), LINK_FORMAT]
        return Packet(CON, POST, number & 0xFFFF, b"t", options, b"</5/0>").encode()

    inject(server, clock, ((registration(n), address(n)) for n in range(10_000)))
    assert server._directory is not None
    assert len(server._directory.by_endpoint) == MAX_REGISTRATIONS
    assert len(server._directory.by_location) == MAX_REGISTRATIONS
    assert len(server._trace.names) == MAX_REGISTRATIONS


def test_one_peer_with_every_message_id_is_remembered_in_bounds(
    other: Device, peer: Peer, server: LwM2mServer, clock: Clock
) -> None:
    other_known = len(server._messages._requests)
    for mid in range(5000):
        peer.send(Packet(NON, POST, mid, b"t", path_options("/rd")))
    clock.sleep(5, "the flood")
    assert len(server._messages._requests) <= other_known + PER_PEER


def test_recent_messages_are_forgotten_in_time_and_in_number() -> None:
    now = {"time": 0.0}
    recent = RecentMessages(lambda: now["time"])
    recent.add("a", 1, b"t")
    assert recent.find("a", 1) is not None
    assert recent.find("a", 2) is None
    now["time"] = 248.0
    assert recent.find("a", 1) is None
    for mid in range(1000):
        recent.add("a", mid, b"t")
    assert len(recent) == PER_PEER
    assert recent.find("a", 999) is not None
    for peer in range(PEERS + 500):
        recent.add(peer, 1, b"t")
    assert len(recent) == PEERS
    assert recent.find("a", 999) is None
    for number in range(10 * MESSAGES):
        recent.add(number // PER_PEER, number, b"t")
    assert len(recent) == MESSAGES == sum(len(held) for held in recent._peers.values())


def test_a_repeated_get_is_answered_anew_and_a_repeated_post_alike(
    other: Device, peer: Peer, server: LwM2mServer
) -> None:
    """A lost answer to a block of a package costs no memory for it; a registration counts once."""
    server.publish("p.bin", b"one")
    assert peer.request(GET, "/fw/p.bin", mid=9, token=b"g").payload == b"one"
    server.publish("p.bin", b"two")
    assert peer.request(GET, "/fw/p.bin", mid=9, token=b"g").payload == b"two"
    first = peer.request(POST, "/rd?ep=dev", b"</5/0>", [LINK_FORMAT], mid=10, token=b"r")
    again = peer.request(POST, "/rd?ep=dev", b"</5/0>", [LINK_FORMAT], mid=10, token=b"r")
    assert first.location == again.location


# ---- fuzz


VALID = [
    Packet(
        CON, POST, 1, b"tok", [*path_options("/rd?ep=fuzz&lwm2m=1.1&lt=60&b=U&Q"), LINK_FORMAT], b"</5/0>"
    ),
    Packet(
        CON,
        POST,
        2,
        b"tok",
        [*path_options("/rd?ep=fuzz"), LINK_FORMAT, (BLOCK1, block(0, True, 0))],
        b"x" * 16,
    ),
    Packet(CON, POST, 3, b"tok", path_options("/rd/0123456789abcdef?lt=70")),
    Packet(CON, GET, 4, b"tok", [*path_options("/fw/p.bin"), (BLOCK2, block(2, False, 4))]),
    Packet(CON, POST, 5, b"tok", [*path_options("/dp"), (CONTENT_FORMAT, uint(112))], b"\x81\xa1\x00\x61x"),
    Packet(NON, code("2.05"), 6, b"tok", [(6, b"\x07"), (CONTENT_FORMAT, b"")], b"1"),
    Packet(ACK, code("2.31"), 7, b"tok", [(BLOCK1, block(3, True, 6))]),
    Packet(CON, DELETE, 8, b"tok", path_options("/rd/0123456789abcdef")),
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid message with a few bytes changed, put in, or cut out."""
    data = bytearray(draw(st.sampled_from(VALID)).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["change", "insert", "cut", "double"]))
        if how == "change" and data:
            data[at] = draw(st.integers(0, 255))
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=6))
        elif how == "cut":
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:at] = data[at : at + 12]
    return bytes(data)


@given(
    data=st.one_of(
        st.binary(max_size=80), st.builds(lambda t: b"\x40" + t, st.binary(max_size=60)), mutated()
    )
)
@settings(max_examples=2000, deadline=None)
@example(data=b"")
def test_the_decoder_knows_one_way_to_fail(data: bytes) -> None:
    try:
        message = wire.decode(data, None)
    except wire.Malformed:
        return
    assert len(message.token) <= 8
    assert message.code is not None


@given(batch=st.lists(st.one_of(st.binary(max_size=60), mutated()), min_size=20, max_size=60))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_the_server_survives_anything(
    batch: list[bytes], server: LwM2mServer, clock: Clock, faults: list[dict[str, Any]]
) -> None:
    """No answer is 5.00, no exception reaches the loop, and the next registration is taken."""
    peer = Peer(clock, server.uri)
    try:
        for data in batch:
            peer.raw(data)
        clock.sleep(1, "the answers")
        assert "5.00" not in {p.dotted for p in peer.heard}
        assert faults == []
    finally:
        peer.close()
    fresh = Device(clock, server.uri, "fresh")
    try:
        fresh.register()
        fresh.on["/3/0/9"] = lambda request: text(50)
        assert server.client("fresh").read("/3/0/9") == 50
        fresh.request(DELETE, fresh.location)
    finally:
        fresh.close()


def test_paths_of_every_byte(other: Device, peer: Peer) -> None:
    for byte in range(256):
        options = [(URI_PATH, bytes([byte]) * 3)]
        assert peer.request(POST, "/", options=options).dotted == ("4.02" if byte > 127 else "4.04")
