"""What aiocoap 0.4.17 would do wrong, one test each. They must be run when the pinned release moves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest
from coap_peer import (
    ACK,
    BLOCK1,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    ETAG,
    GET,
    OBSERVE,
    POST,
    RST,
    Answer,
    Device,
    PackageSink,
    Packet,
    Peer,
    block,
    code,
    text,
    uint,
)

from bench.clock import Clock
from bench.errors import ServerError
from bench.lwm2m.client import NotReachable, Observation
from bench.lwm2m.management.push import PushResult
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

IMAGE = bytes(range(256)) * 40 + b"end"


def push(server: LwM2mServer, data: bytes = IMAGE) -> PushResult:
    transfer = server.client("dev").push("/5/0/0", data)
    return server.clock.run(transfer.run(), timeout=3000, reason="push")


def observe(server: LwM2mServer, path: str) -> tuple[list[object], Observation]:
    heard: list[object] = []
    client = server.client("dev")
    observation = server.clock.run(client.observe(path, heard.append), timeout=30, reason="observe")
    return heard, observation


def pause(clock: Clock, seconds: float) -> None:
    clock.sleep(seconds, "let messages arrive")


def test_a_smaller_size_in_4_13_restarts_the_transfer_from_zero(device: Device, server: LwM2mServer) -> None:
    """Trap 1: the library goes on at the scaled offset, and the image is corrupt though 2.04."""
    sink = device.on["/5/0/0"] = PackageSink(limit=4, refuse_first_size=True)
    result = push(server)
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert sink.requests[:2] == [(0, True, 6), (0, True, 4)]
    assert result.restarts == 1


@pytest.mark.parametrize("final", ["2.31", "2.01", "2.05"])
def test_only_2_04_for_the_last_block_completes_a_push(
    device: Device, server: LwM2mServer, final: str
) -> None:
    """Trap 2: 2.31 without Block1 is taken for the end."""
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        given = sink(request)
        return Answer(final) if given.code == "2.04" else given

    device.on["/5/0/0"] = answer
    result = push(server)
    assert not result.complete
    assert final in result.reason


@pytest.mark.parametrize("options", [[], [(BLOCK1, block(7, True, 6))]])
def test_2_31_must_name_the_block_it_acknowledges(
    device: Device, server: LwM2mServer, options: list[tuple[int, bytes]]
) -> None:
    """Trap 2, in the middle of a transfer."""
    device.on["/5/0/0"] = lambda request: Answer("2.31", options=options)
    result = push(server)
    assert not result.complete
    assert result.sent == 0


def test_success_before_the_last_block_is_none(device: Device, server: LwM2mServer) -> None:
    device.on["/5/0/0"] = lambda request: Answer("2.04")
    result = push(server)
    assert not result.complete
    assert "before the last block" in result.reason


def test_a_timed_out_request_leaves_observations_alive(device: Device, server: LwM2mServer) -> None:
    """Trap 3: a sleeping device would lose all its observations."""
    device.on["/5/0/3"] = lambda request: text(0)
    heard, _ = observe(server, "/5/0/3")
    device.silent = True
    with pytest.raises(NotReachable):
        server.client("dev").read("/5/0/5")
    device.silent = False
    mid = device.notify("/5/0/3", 1)
    answer = device.wait(lambda p: p.mid == mid and p.type in (ACK, RST))
    assert answer.type == ACK
    assert heard == [0, 1]


def test_a_notification_from_a_new_port_is_acknowledged(device: Device, server: LwM2mServer) -> None:
    """Trap 4: the library answers a reset, which ends the observation at the device."""
    device.on["/5/0/3"] = lambda request: text(0)
    heard, _ = observe(server, "/5/0/3")
    device.move()
    for value in (1, 2):
        mid = device.notify("/5/0/3", value)
        assert device.wait(lambda p, mid=mid: p.mid == mid and p.type in (ACK, RST)).type == ACK
    assert heard == [0, 1, 2]


def test_message_ids_are_counted_per_device(connect: Callable[..., Device], server: LwM2mServer) -> None:
    """Trap 5: one counter for all devices runs out for all of them."""
    first, second = connect("first"), connect("second")
    for device in (first, second):
        device.on["/3/0/9"] = lambda request: text(50)
    for _ in range(3):
        for endpoint in ("first", "second"):
            server.client(endpoint).read("/3/0/9")
    for device in (first, second):
        mids = [p.mid for p in device.heard if p.is_request]
        assert [(b - a) & 0xFFFF for a, b in pairwise(mids)] == [1, 1]


def test_a_fetch_may_reuse_message_ids(peer: Peer, server: LwM2mServer) -> None:
    """Trap 5, the other way round: a long fetch runs through all message IDs in 247 s."""
    server.publish("p.bin", bytes(4096))
    numbers = []
    for number in range(4):
        response = peer.request(GET, "/fw/p.bin", options=[(BLOCK2, block(number, False, 6))], mid=7)
        found = response.block(BLOCK2)
        assert found is not None
        numbers.append(found[0])
    assert numbers == [0, 1, 2, 3]


def test_a_restarted_device_with_its_old_message_id_is_registered(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    """Trap 6: it is sent the answer to its earlier request, and stays unregistered."""
    first = device.register(mid=500, token=b"\x01")
    clock.sleep(10, "the restart")
    before = clock.now() - 1
    second = device.register(mid=500, token=b"\x02")
    assert second.token == b"\x02"
    assert second.location != first.location
    assert server.wait_registered("dev", timeout=1, after=before)


def test_a_retransmitted_registration_is_answered_alike_and_counts_once(
    device: Device, server: LwM2mServer, timeline: Timeline
) -> None:
    """The reverse of trap 6: a true duplicate is one."""
    first = device.register(mid=500, token=b"\x01")
    mark = timeline.mark()
    assert device.register(mid=500, token=b"\x01").location == first.location
    assert timeline.since(mark, kind="registration") == []


def test_cancelling_tells_the_device_with_the_same_token(device: Device, server: LwM2mServer) -> None:
    """Trap 7: the library says nothing, and another token cancels nothing (RFC 7641, 3.6)."""
    device.on["/5/0/3"] = lambda request: text(0)
    heard, observation = observe(server, "/5/0/3")
    token = device.observers["/5/0/3"]
    server.clock.run(observation.cancel(), timeout=30, reason="cancel")
    goodbye = [p for p in device.heard if p.is_request][-1]
    assert goodbye.number(OBSERVE) == 1
    assert goodbye.token == token
    assert device.observers == {}
    assert heard == [0]


def test_a_dropped_observation_is_reset_at_its_next_notification(device: Device, server: LwM2mServer) -> None:
    """Trap 7: who could not be told learns it so."""
    device.on["/5/0/3"] = lambda request: text(0)
    heard, observation = observe(server, "/5/0/3")
    server.clock.loop.call_soon_threadsafe(observation.drop)
    mid = device.notify("/5/0/3", 1)
    assert device.wait(lambda p: p.mid == mid and p.type in (ACK, RST)).type == RST
    assert heard == [0]


def test_a_replaced_package_shows_in_its_etag(peer: Peer, server: LwM2mServer) -> None:
    """Trap 8: the library has no ETag and serves the old body to its end."""
    server.publish("p.bin", b"a" * 2048)
    first = peer.request(GET, "/fw/p.bin", options=[(BLOCK2, block(0, False, 6))])
    server.publish("p.bin", b"b" * 2048)
    second = peer.request(GET, "/fw/p.bin", options=[(BLOCK2, block(1, False, 6))])
    assert second.payload == b"b" * 1024
    assert first.option(ETAG) is not None
    assert second.option(ETAG) is not None
    assert first.option(ETAG) != second.option(ETAG)


def test_a_block_repeated_under_a_new_message_id_is_taken_once(peer: Peer, server: LwM2mServer) -> None:
    """Trap 9: the library answers 5.00. A client may repeat a block whose acknowledgement was lost."""
    links = b'</>;rt="oma.lwm2m";ct=11542,' + b",".join(b"</3303/%d>" % i for i in range(20))
    answers = []
    for number in (0, 1, 1, 2, 3):
        part = links[number * 64 : (number + 1) * 64]
        more = (number + 1) * 64 < len(links) and number < 3
        part = part if more else links[number * 64 :]
        options = [(CONTENT_FORMAT, uint(40)), (BLOCK1, block(number, more, 2))]
        answers.append(peer.request(POST, "/rd?ep=big&lwm2m=1.0", part, options).dotted)
    assert answers == ["2.31", "2.31", "2.31", "2.31", "2.01"]
    registration = server.registration("big")
    assert registration is not None
    assert registration.objects == {3303: set(range(20))}


def test_a_block_out_of_order_is_answered_4_08(peer: Peer, server: LwM2mServer) -> None:
    for number, expected in ((0, "2.31"), (2, "4.08")):
        options = [(CONTENT_FORMAT, uint(40)), (BLOCK1, block(number, True, 2))]
        answer = peer.request(POST, "/rd?ep=gap&lwm2m=1.0", b"<" + b"x" * 63, options)
        assert answer.dotted == expected
    assert server.registration("gap") is None


def test_a_request_that_is_only_acknowledged_ends(device: Device, server: LwM2mServer, clock: Clock) -> None:
    """Trap 10: after an empty acknowledgement the library waits for ever."""
    device.on["/3/0/9"] = lambda request: Answer("empty")
    start = clock.now()
    with pytest.raises(NotReachable):
        server.client("dev").read("/3/0/9")
    assert 60 < clock.now() - start < 600


def test_an_acknowledged_request_does_not_hold_up_the_next(device: Device, server: LwM2mServer) -> None:
    """Trap 11: one request at a time a device, but an acknowledged one is no longer under way."""
    device.on["/3/0/4"] = lambda request: Answer("empty")
    device.on["/3/0/9"] = lambda request: text(50)
    client = server.client("dev")

    async def both() -> tuple[object, float]:
        slow = asyncio.ensure_future(client.execute_async("/3/0/4"))
        await asyncio.sleep(0.5)
        start = server.clock.now()
        value = await client.read_async("/3/0/9")
        took = server.clock.now() - start
        request = next(p for p in device.heard if p.path == "/3/0/4")
        device.send(Packet(CON, code("2.04"), device.mid(), request.token))
        await slow
        return value, took

    value, took = server.clock.run(both(), timeout=60, reason="two requests")
    assert value == 50
    assert took < 1.0


def test_a_restart_does_not_leave_old_requests_in_the_way(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    """Trap 11: a request that the restarted device will never answer is not repeated to it."""
    device.on["/5/0/2"] = lambda request: Answer(None)
    device.on["/5/0/3"] = lambda request: text(0)
    client = server.client("dev")

    async def cut_off() -> float:
        executing = asyncio.ensure_future(client.execute_async("/5/0/2"))
        await asyncio.sleep(1.0)
        device.restart()
        options = [(11, b"rd"), (15, b"ep=dev"), (15, b"lwm2m=1.0")]
        device.send(Packet(CON, POST, device.mid(), b"\x99", options, b"</5/0>"))
        await asyncio.sleep(0.1)
        start = clock.now()
        with pytest.raises(NotReachable):
            await executing
        await server.client("dev").read_async("/5/0/3")
        return clock.now() - start

    assert clock.run(cut_off(), timeout=600, reason="read after the restart") < 1.0
    pause(clock, 120)
    assert device.count(lambda p: p.path == "/5/0/2") == 1


def test_a_port_in_use_is_an_error(server: LwM2mServer, clock: Clock, timeline: Timeline) -> None:
    """Trap 12: with SO_REUSEPORT two servers would share it, each hearing half."""
    port = int(server.uri.rsplit(":", 1)[1])
    second = LwM2mServer(clock, timeline, port=port)
    with pytest.raises(ServerError, match=str(port)):
        second.start()


def test_requests_and_answers_come_from_the_servers_port(device: Device, server: LwM2mServer) -> None:
    """Trap 13: other transports send requests from a port of their own."""
    device.on["/3/0/9"] = lambda request: text(50)
    server.client("dev").read("/3/0/9")
    assert {p.is_request for p in device.heard} == {True, False}
    assert {p.source for p in device.heard} == {device.server}
