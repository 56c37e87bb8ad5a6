"""The virtual device's message layer, byte by byte: a raw UDP peer that keeps no rules of its own."""

from __future__ import annotations

import asyncio
import socket
from itertools import pairwise

import aiocoap
import pytest
from aiocoap import Message
from aiocoap.numbers import types
from firmware_rig import Rig, Server, image

from bench.virtual.firmware.client import Client


class RawPeer:
    """Sends datagrams to the device and collects what comes back."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self.heard: list[Message] = []
        self.history: list[Message] = []
        self.times: list[float] = []
        rig.clock.loop.add_reader(self._socket, self._readable)

    def _readable(self) -> None:
        message = Message.decode(self._socket.recv(2048))
        self.heard.append(message)
        self.history.append(message)
        self.times.append(self._rig.now())

    def raw(self, data: bytes) -> None:
        self._socket.sendto(data, ("127.0.0.1", self._rig.port))

    def send(self, mid: int, code: object, path: str = "", payload: bytes = b"", **options: object) -> None:
        kind = options.pop("kind", types.CON)
        message = Message(code=code, payload=payload)
        message.mtype, message.mid, message.token = kind, mid, options.pop("token", b"T")
        message.opt.uri_path = [part for part in path.split("/") if part]
        for name, value in options.items():
            setattr(message.opt, name, value)
        self.raw(message.encode())

    def wait(self, seconds: float) -> list[Message]:
        """What arrived since the last call, after `seconds` more."""
        self._rig.clock.run(asyncio.sleep(seconds), timeout=None, reason="raw peer")
        heard, self.heard = self.heard, []
        return heard

    def close(self) -> None:
        self._rig.clock.loop.remove_reader(self._socket)
        self._socket.close()


@pytest.fixture
def stranger(rig: Rig):
    """A peer that the device is not registered with."""
    made = RawPeer(rig)
    yield made
    made.close()


@pytest.fixture
def peer(stranger: RawPeer, monkeypatch: pytest.MonkeyPatch) -> RawPeer:
    """A peer that is served like the server."""
    monkeypatch.setattr(Client, "_knows", lambda self, source: True)
    return stranger


def test_a_stranger_is_answered_nothing_and_changes_nothing(
    rig: Rig, server: Server, stranger: RawPeer
) -> None:
    stranger.send(1, aiocoap.GET, "/3/0/3")
    stranger.send(2, aiocoap.PUT, "/5/0/0", b"x" * 1024, block1=(0, True, 6), content_format=42)
    stranger.send(3, aiocoap.POST, "/3/0/4")
    assert stranger.wait(5.0) == []
    assert server.fota() == (0, 0)
    assert rig.boots == 1


def test_nobody_is_served_before_the_registration_is_acknowledged(rig: Rig, server: Server) -> None:
    client = rig.application._client
    assert client._knows(client.account.server)
    rig.type("reboot")
    rig.wait_line("net: attached", since=len(rig.lines))
    rig.clock.wait_for(lambda: rig.application._client is not None, timeout=60, reason="the client")
    assert not rig.application._client._knows(client.account.server)
    rig.clock.wait_for(
        lambda: rig.application._client._knows(client.account.server), timeout=60, reason="the registration"
    )


def test_repeated_execute_is_done_once_and_answered_alike(rig: Rig, server: Server, peer: RawPeer) -> None:
    server.push(image())
    server.wait_fota(2, 0)
    for _ in range(3):
        peer.send(77, aiocoap.POST, "/5/0/2")
    answers = peer.wait(0.5)
    assert [(m.mtype, m.mid, m.code) for m in answers] == [(types.ACK, 77, aiocoap.CHANGED)] * 3
    server.clock.wait_for(lambda: len(server.registrations) == 2, timeout=100, reason="re-registration")
    assert rig.boots == 2


def test_repeat_of_a_request_still_worked_on_is_not_worked_on_twice(rig: Rig, peer: RawPeer) -> None:
    package = image(size=4000)
    for _ in range(3):
        peer.send(5, aiocoap.PUT, "/5/0/0", package[:1024], content_format=42, block1=(0, True, 6))
    answers = peer.wait(30)
    empty = [m for m in answers if m.code == aiocoap.EMPTY]
    full = [m for m in answers if m.code == aiocoap.CONTINUE]
    assert {m.mid for m in empty} == {5}
    assert {(m.mtype, m.token) for m in full} == {(types.CON, b"T")}  # separate, and unacknowledged by us
    assert len({m.mid for m in full}) == 1
    assert rig.writes == [(0, 1024)]


def test_a_block_sent_again_while_it_is_being_stored(rig: Rig, server: Server, peer: RawPeer) -> None:
    package = image(size=3000)
    peer.send(1, aiocoap.PUT, "/5/0/0", package[:1024], content_format=42, block1=(0, True, 6))
    peer.wait(40)
    for mid in (2, 3):
        peer.send(mid, aiocoap.PUT, "/5/0/0", package[1024:2048], content_format=42, block1=(1, True, 6))
    assert aiocoap.CONTINUE in [m.code for m in peer.wait(1)]
    peer.send(4, aiocoap.PUT, "/5/0/0", package[2048:], content_format=42, block1=(2, False, 6))
    assert aiocoap.CHANGED in [m.code for m in peer.wait(1)]
    server.wait_fota(2, 0)
    assert rig.slot(3000) == package


def test_request_that_takes_long_is_acknowledged_in_time(rig: Rig, peer: RawPeer) -> None:
    begun = rig.now()
    peer.send(9, aiocoap.PUT, "/5/0/0", image()[:1024], content_format=42, block1=(0, True, 6))
    peer.wait(30)
    assert peer.times[0] - begun < 2.0  # before the peer's first retransmission


def test_non_confirmable_request_gets_a_non_confirmable_response(peer: RawPeer) -> None:
    peer.send(3, aiocoap.GET, "/3/0/3", kind=types.NON)
    (answer,) = peer.wait(1)
    assert (answer.mtype, answer.token, answer.payload) == (types.NON, b"T", b"1.0.0")


def test_ping_and_malformed_confirmables_are_reset(peer: RawPeer) -> None:
    peer.raw(bytes.fromhex("40001234"))
    (pong,) = peer.wait(1)
    assert (pong.mtype, pong.mid, pong.code) == (types.RST, 0x1234, aiocoap.EMPTY)
    peer.raw(bytes.fromhex("40011235ff"))  # payload marker without payload
    (reset,) = peer.wait(1)
    assert (reset.mtype, reset.mid) == (types.RST, 0x1235)


@pytest.mark.parametrize("data", ["", "40", "80011234", "50011234ff", "4f011234", "60451234", "70001234"])
def test_rubbish_is_ignored_and_does_no_harm(rig: Rig, server: Server, peer: RawPeer, data: str) -> None:
    peer.raw(bytes.fromhex(data))
    assert [m for m in peer.wait(1) if m.mtype != types.RST] == []
    assert server.get("/3/0/3").payload == b"1.0.0"


def test_unknown_critical_option_is_4_02_and_an_elective_one_ignored(peer: RawPeer) -> None:
    critical = bytes.fromhex("4101 0001 54 b133 01 30 01 33 e0 0701".replace(" ", ""))
    peer.raw(critical)
    (refused,) = peer.wait(1)
    assert refused.code == aiocoap.BAD_OPTION
    elective = bytes.fromhex("4101 0002 54 b133 01 30 01 33 e0 0700".replace(" ", ""))
    peer.raw(elective)
    (answered,) = peer.wait(1)
    assert answered.code == aiocoap.CONTENT


def test_unacknowledged_notification_is_retransmitted_with_back_off_and_given_up(
    rig: Rig, server: Server, peer: RawPeer
) -> None:
    peer.send(1, aiocoap.GET, "/5/0/5", observe=0, token=b"OB")
    peer.wait(1)
    peer.times.clear()
    server.request(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0)
    tries = peer.wait(200)
    assert {m.token for m in tries} == {b"OB"}
    assert len({m.mid for m in tries}) == 1
    assert len(tries) == 5  # once, and MAX_RETRANSMIT = 4
    gaps = [b - a for a, b in pairwise(peer.times)]
    assert 1.9 < gaps[0] < 3.2
    assert all(1.8 < b / a < 2.2 for a, b in pairwise(gaps))
    server.request(aiocoap.PUT, "/5/0/1", b"", content_format=0)
    assert peer.wait(30) == []  # a peer that is gone is not told any more


def test_reset_to_a_notification_ends_the_observation(rig: Rig, server: Server, peer: RawPeer) -> None:
    peer.send(1, aiocoap.GET, "/5/0/5", observe=0)
    peer.wait(1)
    server.request(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0)
    (notification,) = peer.wait(1)
    peer.raw(b"\x70\x00" + notification.mid.to_bytes(2, "big"))
    assert peer.wait(60) == []
    server.request(aiocoap.PUT, "/5/0/1", b"", content_format=0)
    assert peer.wait(60) == []


def test_cancelled_observation_falls_silent(server: Server, peer: RawPeer) -> None:
    peer.send(1, aiocoap.GET, "/5/0/5", observe=0)
    (begun,) = peer.wait(1)
    peer.send(2, aiocoap.GET, "/5/0/5", observe=1)
    (cancelled,) = peer.wait(1)
    assert begun.opt.observe is not None
    assert cancelled.opt.observe is None
    server.request(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0)
    assert peer.wait(30) == []


def test_separate_response_ends_the_retransmission_of_its_request(rig: Rig, peer: RawPeer) -> None:
    """Though the acknowledgement that should have come before it is lost."""
    rig.type(f"provision server=coap://127.0.0.1:{peer.port} endpoint=x lifetime=600")
    peer.wait(3)
    register = next(m for m in peer.history if m.code == aiocoap.POST)
    peer.send(900, aiocoap.CREATED, token=register.token, location_path=["rd", "1"])
    heard = peer.wait(60)
    assert [(m.mtype, m.mid) for m in heard if m.code == aiocoap.EMPTY] == [(types.ACK, 900)]
    assert [m for m in heard if m.code == aiocoap.POST and m.mid == register.mid] == []


def registering(rig: Rig, peer: RawPeer) -> Message:
    """The device's first Register, to the peer, which has not answered it yet."""
    rig.type(f"provision server=coap://127.0.0.1:{peer.port} endpoint=x lifetime=600")
    peer.wait(3)
    return next(m for m in peer.history if m.code == aiocoap.POST)


@pytest.mark.parametrize(
    "wrong", [{"token": b"another"}, {"mid": 1}, {"critical": True}], ids=["token", "message ID", "option"]
)
def test_piggybacked_response_of_another_request_changes_nothing(
    rig: Rig, peer: RawPeer, wrong: dict[str, object]
) -> None:
    """RFC 7252, 5.3.2 and 5.4.1: the request is repeated, and its own response is taken."""
    register = registering(rig, peer)
    answer = {"token": register.token, "mid": register.mid, "critical": False} | wrong
    bare = Message(code=aiocoap.CREATED)
    bare.mtype, bare.mid, bare.token = types.ACK, answer["mid"], answer["token"]
    bare.opt.location_path = ["rd", "1"]
    peer.raw(bare.encode() + (b"\xe0\x06\xe2" if answer["critical"] else b""))  # option 8 + 269 + 1762
    again = [m for m in peer.wait(30) if m.code == aiocoap.POST]
    assert again
    assert {m.mid for m in again} == {register.mid}
    peer.send(register.mid, aiocoap.CREATED, kind=types.ACK, token=register.token, location_path=["rd", "1"])
    assert [m for m in peer.wait(60) if m.code == aiocoap.POST] == []


def test_response_from_elsewhere_is_reset(rig: Rig, peer: RawPeer) -> None:
    register = registering(rig, peer)
    stranger = RawPeer(rig)
    try:
        stranger.send(7, aiocoap.CREATED, token=register.token, location_path=["rd", "1"])
        (reset,) = stranger.wait(1)
        assert (reset.mtype, reset.mid) == (types.RST, 7)
    finally:
        stranger.close()
    assert {m.mid for m in peer.wait(30) if m.code == aiocoap.POST} == {register.mid}


def test_notifications_wait_for_one_another(rig: Rig, server: Server, peer: RawPeer) -> None:
    """RFC 7641, 4.5.1; one that was cancelled meanwhile is not sent any more."""
    paths = {b"\x01": "/5/0/3", b"\x02": "/5/0/5", b"\x03": "/5/0/1"}
    for token, path in paths.items():
        peer.send(token[0], aiocoap.GET, path, observe=0, token=token)
    peer.wait(1)
    server.request(aiocoap.PUT, "/5/0/1", b"ftp://x/y", content_format=0)
    heard = peer.wait(10)
    assert len({m.mid for m in heard}) == 1
    first = heard[0].token
    *_, cancelled = (token for token in paths if token != first)
    peer.send(9, aiocoap.GET, paths[cancelled], observe=1, token=cancelled)
    peer.wait(1)
    told = {first}
    while heard:
        peer.raw(b"\x60\x00" + heard[0].mid.to_bytes(2, "big"))
        heard = [m for m in peer.wait(1) if m.code == aiocoap.CONTENT]
        told |= {m.token for m in heard}
    assert told == paths.keys() - {cancelled}


def test_nothing_in_flight_survives_a_power_cut(rig: Rig, peer: RawPeer) -> None:
    peer.send(1, aiocoap.GET, "/3/0/3")
    rig.clock.run(asyncio.sleep(0.04), timeout=None, reason="half way")  # under way on the link
    rig.power_off()
    assert peer.wait(60) == []
