"""What a session may do to the exchanges in it: short records, an end in the middle, a send that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from coap_peer import BLOCK2, CON, GET, Answer, PackageSink, Packet, block, text
from dtls_peer import SecureDevice

from bench.clock import Clock
from bench.lwm2m.client import NotReachable
from bench.lwm2m.dtls.session import NotSent, Session
from bench.lwm2m.management.push import Outcome
from bench.lwm2m.server import LwM2mServer

IMAGE = bytes(range(256)) * 20


@pytest.fixture
def device(secure: Callable[..., SecureDevice]) -> SecureDevice:
    made = secure()
    made.handshake()
    made.register()
    return made


def short(server: LwM2mServer, exponent: int) -> None:
    """As if the one session there is had been asked for short records."""
    assert server._secure is not None
    (session,) = server._secure._sessions.values()
    session.largest_block = exponent


def test_packages_are_served_in_blocks_that_fit_the_records(
    device: SecureDevice, guarded: LwM2mServer
) -> None:
    """And begin where the block that was asked for begins (RFC 7959, 2.4)."""
    short(guarded, 4)
    guarded.publish("p.bin", IMAGE)
    answer = device.request(GET, "/fw/p.bin", options=[(BLOCK2, block(2, False, 6))])
    assert answer.block(BLOCK2) == (8, True, 4)
    assert answer.payload == IMAGE[2048:2304]
    first = device.request(GET, "/fw/p.bin")
    assert (first.block(BLOCK2), len(first.payload)) == ((0, True, 4), 256)


def test_packages_are_pushed_in_blocks_that_fit_the_records(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock
) -> None:
    short(guarded, 4)
    sink = PackageSink()
    device.on["/5/0/0"] = sink
    pushed = guarded.client("dev").push("/5/0/0", IMAGE)
    assert clock.run(pushed.run(), timeout=600, reason="push").outcome is Outcome.COMPLETE
    assert {exponent for _, _, exponent in sink.requests} == {4}
    assert bytes(sink.data) == IMAGE


def test_a_write_goes_in_blocks_that_fit_the_records(device: SecureDevice, guarded: LwM2mServer) -> None:
    short(guarded, 4)
    sink = PackageSink()
    device.on["/3/0/15"] = sink
    guarded.client("dev").write("/3/0/15", "x" * 900)
    assert bytes(sink.data) == b"x" * 900
    assert {exponent for _, _, exponent in sink.requests} == {4}


# ---- a send that OpenSSL refuses


def test_a_message_that_is_not_carried_ends_its_request_at_once(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Session, message: bytes) -> None:
        raise NotSent("OpenSSL does not carry 5 bytes: dtls message too big")

    monkeypatch.setattr(Session, "send", refuse)
    begin = clock.now()
    with pytest.raises(NotReachable, match="dtls message too big"):
        guarded.client("dev").read("/3/0/9")
    assert clock.now() - begin < 1
    monkeypatch.undo()
    device.on["/3/0/9"] = lambda request: text(1)
    assert guarded.client("dev").read("/3/0/9") == 1


def test_openssl_s_own_errors_are_told_as_such(device: SecureDevice, guarded: LwM2mServer) -> None:
    assert guarded._secure is not None
    (session,) = guarded._secure._sessions.values()
    with pytest.raises(NotSent, match="does not carry 40000 bytes"):
        session.send(bytes(40_000))


def test_a_repetition_that_is_not_carried_ends_its_request(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a timer nothing can be raised to anybody."""
    device.silent = True

    def refuse(self: Session, message: bytes) -> None:
        raise NotSent("no more")

    clock.loop.call_later(0.5, monkeypatch.setattr, Session, "send", refuse)
    begin = clock.now()
    with pytest.raises(NotReachable, match="no more"):
        guarded.client("dev").read("/3/0/9")
    assert clock.now() - begin < 10


def test_an_answer_that_is_not_carried_disturbs_nobody(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = Session.send

    def refuse_packages(self: Session, message: bytes) -> None:
        if len(message) > 500:
            raise NotSent("too long")
        send(self, message)

    monkeypatch.setattr(Session, "send", refuse_packages)
    guarded.publish("p.bin", IMAGE)
    device.send(Packet(CON, GET, 901, b"tok", [(11, b"fw"), (11, b"p.bin")]))
    clock.sleep(5, "the answer that is not carried")
    device.on["/3/0/9"] = lambda request: text(1)
    assert guarded.client("dev").read("/3/0/9") == 1


# ---- the end of a session


@pytest.mark.parametrize("answer", [None, "empty"])
def test_a_session_closed_during_a_request_ends_it_at_once(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock, answer: str | None
) -> None:
    """300 s of silence otherwise; acknowledged or not."""

    def close(request: Packet) -> Answer:
        clock.loop.call_later(0.2, lambda: (device.connection.shutdown(), device._flush()))
        return Answer(answer)

    device.on["/3/0/9"] = close
    begin = clock.now()
    with pytest.raises(NotReachable, match="session has ended"):
        guarded.client("dev").read("/3/0/9")
    assert clock.now() - begin < 2


def test_a_request_goes_on_in_the_next_session_from_the_same_address(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock
) -> None:
    asked: list[int] = []

    def restart(request: Packet) -> Answer:
        asked.append(request.mid)
        if len(asked) == 1:
            clock.loop.call_later(0.2, lambda: (device._new_connection(), device._go_on()))
            return Answer(None)
        return text(5)

    def heard_once(request: Packet) -> Answer:
        device._done.clear()
        return restart(request)

    device.on["/3/0/9"] = heard_once
    assert guarded.client("dev").read("/3/0/9") == 5
    assert len(asked) == 2


def test_an_observation_outlives_its_session(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock
) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[Any] = []
    clock.run(guarded.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    device.connection.shutdown()
    device._flush()
    clock.sleep(1, "the end of the session")
    device.handshake(fresh=True)
    device.notify("/5/0/3", 1)
    clock.wait_for(lambda: heard == [0, 1], timeout=5, reason="the notification")


def test_a_device_in_queue_mode_is_asked_in_its_next_session(
    device: SecureDevice, guarded: LwM2mServer, clock: Clock
) -> None:
    device.register("&lwm2m=1.0&lt=600&b=UQ")
    device.connection.shutdown()
    device._flush()
    clock.sleep(1, "the end of the session")
    device.on["/3/0/9"] = lambda request: text(6)

    async def wake() -> None:
        await asyncio.sleep(50)
        device._new_connection()
        device._go_on()
        await clock.until(lambda: device.established)
        device.send(Packet(CON, 2, 5000, b"upd", [(11, b"rd"), (11, device.location[4:].encode())]))

    task = asyncio.run_coroutine_threadsafe(wake(), clock.loop)
    assert guarded.client("dev").read("/3/0/9") == 6
    assert clock.now() > 50
    assert task.done()
