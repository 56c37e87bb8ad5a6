"""Messages that break the rules of CoAP, and what the server owes those that keep them."""

from __future__ import annotations

from typing import Any

import pytest
from coap_peer import (
    ACCEPT,
    ACK,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    ETAG,
    GET,
    NON,
    OBSERVE,
    RST,
    Answer,
    Device,
    Packet,
    Peer,
    block,
    code,
    text,
    uint,
)

from bench.clock import Clock
from bench.errors import DeviceError
from bench.lwm2m.client import NotReachable
from bench.lwm2m.server import LwM2mServer

BODY = bytes(range(256)) * 20
UNKNOWN_CRITICAL, UNKNOWN_ELECTIVE = (65001, b"?"), (65000, b"?")


# ---- responses


@pytest.mark.parametrize(
    "options",
    [[UNKNOWN_CRITICAL], [(BLOCK2, block(0, False, 6)), (BLOCK2, block(0, False, 6))], [(BLOCK2, b"\0" * 4)]],
    ids=["unknown critical", "doubled", "too long"],
)
@pytest.mark.parametrize("separate", [False, True])
def test_a_response_that_must_not_be_taken_is_not_taken(
    server: LwM2mServer, device: Device, clock: Clock, options: list[Any], separate: bool
) -> None:
    """RFC 7252, 5.4.1: rejected; a separate one with a Reset."""

    def answer(request: Packet) -> Answer:
        content = [(CONTENT_FORMAT, b""), *options]
        if not separate:
            return Answer("2.05", b"77", content)
        response = Packet(CON, code("2.05"), 4711, request.token, content, b"77")
        clock.loop.call_later(0.1, device.send, response)
        return Answer("empty")

    device.on["/3/0/9"] = answer
    begin = clock.now()
    with pytest.raises(DeviceError, match=r"cannot be read.*option") as caught:
        server.client("dev").read("/3/0/9")
    assert not isinstance(caught.value, NotReachable)
    assert clock.now() - begin < 5
    assert device.count(lambda p: p.type == RST) == (1 if separate else 0)
    assert device.count(lambda p: p.is_request) == 1, "it is not repeated"


def test_an_elective_option_that_is_unknown_or_doubled_is_ignored(
    server: LwM2mServer, device: Device
) -> None:
    device.on["/3/0/9"] = lambda request: Answer(
        "2.05", b"77", [(CONTENT_FORMAT, b""), (14, b"\x05"), (14, b"\x06"), UNKNOWN_ELECTIVE]
    )
    assert server.client("dev").read("/3/0/9") == 77


def test_a_notification_that_must_not_be_taken_is_reset(
    server: LwM2mServer, device: Device, clock: Clock
) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    token = device.observers["/5/0/3"]
    device.send(Packet(CON, code("2.05"), 900, token, [(OBSERVE, uint(9)), UNKNOWN_CRITICAL], b"1"))
    assert device.wait(lambda p: p.mid == 900).type == RST
    assert heard == [0]


def test_a_forged_acknowledgement_with_a_bad_option_ends_nothing(
    server: LwM2mServer, device: Device, clock: Clock
) -> None:
    def answer(request: Packet) -> Answer:
        forged = Packet(ACK, code("2.05"), request.mid ^ 1, request.token, [UNKNOWN_CRITICAL], b"1")
        device.send(forged)
        return text(5)

    device.on["/3/0/9"] = answer
    assert server.client("dev").read("/3/0/9") == 5


# ---- rejections


def test_rejections_are_no_louder_than_what_they_reject(peer: Peer, clock: Clock) -> None:
    """Four bytes for four and more: nothing to be amplified."""
    for datagram in (b"\x4f\x01\x00\x07", b"\x40\xe1\x00\x08", b"\x40\x00\x00\x09\xff"):
        peer.raw(datagram)
    clock.sleep(2, "the resets")
    assert [(p.type, p.mid) for p in peer.heard] == [(RST, 7), (RST, 8), (RST, 9)]


# ---- packages


@pytest.fixture
def package(server: LwM2mServer) -> bytes:
    return server.publish("p.bin", BODY).etag


@pytest.mark.parametrize(("accept", "dotted"), [(42, "2.05"), (0, "4.06"), (60, "4.06"), (None, "2.05")])
def test_accept_is_honoured(peer: Peer, package: bytes, accept: int | None, dotted: str) -> None:
    """RFC 7252, 5.10.4."""
    options = [] if accept is None else [(ACCEPT, uint(accept))]
    assert peer.request(GET, "/fw/p.bin", options=options).dotted == dotted


@pytest.mark.parametrize("others", [[], [b"another"]])
def test_a_matching_etag_is_answered_valid(
    peer: Peer, server: LwM2mServer, package: bytes, others: list[bytes]
) -> None:
    """RFC 7252, 5.9.1.3: with the ETag, without a payload."""
    options = [*((ETAG, other) for other in others), (ETAG, package)]
    answer = peer.request(GET, "/fw/p.bin", options=options)
    assert (answer.dotted, answer.payload, answer.option(ETAG)) == ("2.03", b"", package)
    assert server.shelf.packages["p.bin"].sent == 0
    server.publish("p.bin", BODY[::-1])
    assert peer.request(GET, "/fw/p.bin", options=options).dotted == "2.05"


# ---- notifications that overtake each other


def test_an_overtaken_notification_in_blocks_is_given_up_cleanly(
    server: LwM2mServer, device: Device, clock: Clock
) -> None:
    """The blocks that were still to come are not asked for any more, and nothing is left behind."""
    asked: list[tuple[int, bool, int]] = []

    def blocks(request: Packet) -> Answer:
        wanted = request.block(BLOCK2)
        if wanted is None:
            return text("first")
        asked.append(wanted)
        return Answer(None)  # lost

    device.on["/3/0/2"] = blocks
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/3/0/2", heard.append), timeout=30, reason="observe")
    token = device.observers["/3/0/2"]
    for number, (payload, more) in enumerate([(b"a" * 1024, True), (b"newest", False)]):
        options = [(OBSERVE, uint(10 + number)), (CONTENT_FORMAT, b""), (BLOCK2, block(0, more, 6))]
        device.send(Packet(NON, code("2.05"), 800 + number, token, options, payload))
        clock.sleep(1, "the server's next step")
    assert heard == ["first", "newest"]
    repeated = device.count(lambda p: p.is_request)
    clock.sleep(120, "repetitions, if there were any")
    assert device.count(lambda p: p.is_request) == repeated, "the block is asked for no more"
    assert asked == [(1, False, 6)]
    assert server._messages._active_exchanges == {}
    device.on["/3/0/9"] = lambda request: text(9)
    assert server.client("dev").read("/3/0/9") == 9
