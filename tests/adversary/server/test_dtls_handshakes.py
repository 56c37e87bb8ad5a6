"""Handshakes in pieces, in numbers, with old versions and wrong names."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coap_peer import Peer, text
from dtls_peer import SecureDevice
from OpenSSL import SSL

from bench.clock import Clock, WallClock
from bench.errors import WaitTimeout
from bench.lwm2m.dtls import endpoint as dtls
from bench.lwm2m.dtls.credentials import Credentials
from bench.lwm2m.dtls.hello import LONGEST, MOST_MESSAGES, Reassembly
from bench.lwm2m.dtls.records import HEADER, records
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


def in_pieces(
    datagram: bytes, size: int, *, one_datagram: bool = False, backwards: bool = False
) -> list[bytes]:
    """A handshake message of one record as fragments of `size` bytes, as RFC 6347, 4.2.3 has them."""
    (record,) = records(datagram)
    kind, length, number, body = record.body[:1], record.body[1:4], record.body[4:6], record.body[12:]
    out = []
    for offset in range(0, len(body), size):
        part = body[offset : offset + size]
        fragment = kind + length + number + offset.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part
        out.append(datagram[:11] + len(fragment).to_bytes(2, "big") + fragment)
    if backwards:
        out.reverse()
    return [b"".join(out)] if one_datagram else out


class InPieces(SecureDevice):
    """Sends its ClientHello in fragments, until its session stands."""

    pieces: dict[str, Any]

    def raw_datagram(self, data: bytes) -> None:
        found = records(data)
        if len(found) == 1 and found[0].kind == 22 and found[0].epoch == 0 and found[0].body[0] == 1:
            for piece in in_pieces(data, **self.pieces):
                Peer.raw(self, piece)
        else:
            Peer.raw(self, data)


@pytest.mark.parametrize(
    "pieces",
    [
        {"size": 1},
        {"size": 40},
        {"size": 40, "backwards": True},
        {"size": 40, "one_datagram": True},
        {"size": 64, "one_datagram": True, "backwards": True},
    ],
    ids=str,
)
def test_a_hello_in_fragments_begins_a_session(
    clock: Clock, guarded: LwM2mServer, pieces: dict[str, Any]
) -> None:
    device = InPieces(clock, guarded.secure_uri, "id-a", KEY)
    device.pieces = pieces
    device.handshake()
    device.register()
    assert guarded.registration("dev") is not None
    device.close()


def test_fragments_that_never_become_a_hello_are_kept_in_bounds(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, clock: Clock
) -> None:
    device = secure()
    device._go_on()
    clock.sleep(1, "its hello")
    first, *_ = in_pieces(device.datagrams[0], 20)
    endpoint = guarded._secure
    assert endpoint is not None
    for number in range(5000):
        endpoint.datagram_received(first, (f"127.1.{number >> 8}.{number & 255}", 5684))
        endpoint.datagram_received(first, ("127.9.9.9", 1024 + number))
    assert len(endpoint._hellos) <= dtls.MAX_HELLOS
    assert sum(host == "127.9.9.9" for host, _ in endpoint._hellos) <= dtls.HELLOS_PER_HOST
    device.handshake(fresh=True)


def test_messages_in_pieces_of_one_client_are_kept_in_bounds() -> None:
    reading = Reassembly(1)
    for number in range(1000):
        fragment = b"\1" + LONGEST.to_bytes(3, "big") + number.to_bytes(2, "big") + bytes(3) + b"\0\0\1x"
        head = bytes([22, 0xFE, 0xFD, *bytes(8)]) + len(fragment).to_bytes(2, "big")
        assert list(reading.take(records(head + fragment))) == []
    assert len(reading._messages) == MOST_MESSAGES
    too_long = b"\1" + (LONGEST + 1).to_bytes(3, "big") + bytes(5) + b"\0\0\1x"
    assert list(reading.take(records(head[: HEADER - 2] + len(too_long).to_bytes(2, "big") + too_long))) == []
    assert len(reading._messages) == MOST_MESSAGES


def test_the_pieces_of_one_hello_do_not_overwrite_each_other() -> None:
    """What came first holds: a forged fragment behind it changes nothing."""
    reading = Reassembly(1)

    def take(offset: int, part: bytes) -> list[bytes]:
        fragment = b"\1\0\0\4\0\0" + offset.to_bytes(3, "big") + len(part).to_bytes(3, "big") + part
        head = bytes([22, 0xFE, 0xFD, *bytes(8)]) + len(fragment).to_bytes(2, "big")
        return [body for _, body, _ in reading.take(records(head + fragment))]

    assert take(0, b"ab") == []
    assert take(0, b"XYZ") == []
    assert take(2, b"cd") == [b"abZd"]


# ---- numbers


class HalfOpen(SecureDevice):
    """Goes no further than returning the cookie."""

    def _flush(self) -> None:
        super()._flush()
        if len(self.datagrams) > 1:
            self.loss = 1.0


def test_half_open_handshakes_of_one_host_displace_their_own_oldest(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, clock: Clock
) -> None:
    endpoint = guarded._secure
    assert endpoint is not None
    others = [HalfOpen(clock, guarded.secure_uri, "id-b", KEY) for _ in range(dtls.HANDSHAKES_PER_HOST + 20)]
    for one in others:
        one._go_on()
    clock.sleep(1, "the cookies")
    assert len(endpoint._handshakes) == dtls.HANDSHAKES_PER_HOST
    device = secure()
    device.handshake()
    device.register()
    clock.sleep(dtls.HANDSHAKE_LIMIT + 1, "the others are given up")
    assert endpoint._handshakes == {}
    for one in others:
        one.close()


def test_another_host_is_not_displaced() -> None:
    held = {("10.0.0.1", 1): 0, **{("10.0.0.2", n): n for n in range(4)}}
    assert dtls._make_room(held, ("10.0.0.2", 9), 4, 100) == [0]
    assert ("10.0.0.1", 1) in held
    assert ("10.0.0.2", 0) not in held
    assert dtls._make_room(held, ("10.0.0.3", 9), 4, 4) == [0]
    assert ("10.0.0.1", 1) not in held


def test_a_device_that_restarts_without_end_leaves_few_sessions_and_no_timers(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, clock: Clock
) -> None:
    endpoint = guarded._secure
    assert endpoint is not None
    for _ in range(3 * dtls.SESSIONS_PER_IDENTITY):
        device = secure()
        device.handshake()
        device.register()
    for _ in range(5):
        device.handshake(fresh=True)
    assert len(endpoint._sessions) == dtls.SESSIONS_PER_IDENTITY
    device.on["/3/0/9"] = lambda request: text(3)
    assert guarded.client("dev").read("/3/0/9") == 3
    timers = [h for h in clock.loop._scheduled if not h.cancelled() and "_end_idle" in repr(h._callback)]  # type: ignore[attr-defined]
    assert len(timers) <= dtls.SESSIONS_PER_IDENTITY


# ---- versions, names


class OldVersion(SecureDevice):
    ciphers = b"PSK-AES128-CBC-SHA:PSK-AES128-CBC-SHA256:@SECLEVEL=0"
    version = 0xFEFF


def test_dtls_1_0_is_refused(clock: Clock, guarded: LwM2mServer) -> None:
    """At OpenSSL's security level 0, which the short tags of CCM8 need, it would be let in."""
    device = OldVersion(clock, guarded.secure_uri, "id-a", KEY)
    with pytest.raises(WaitTimeout):
        device.handshake(timeout=30)
    assert "protocol version" in device.refused or not device.refused
    device.close()


def test_an_unknown_identity_looks_like_a_wrong_key(
    secure: Callable[..., SecureDevice], clock: Clock, timeline: Timeline
) -> None:
    """Datagram by datagram, kinds and lengths alike; only the bench's own record tells them apart."""

    def shown(identity: str, key: bytes) -> list[list[tuple[int, int, int]]]:
        heard: list[list[tuple[int, int, int]]] = []
        device = secure(identity, key)
        received = device.datagram_received

        def note(data: bytes, addr: Any) -> None:
            heard.append([(r.kind, r.epoch, len(r.body)) for r in records(data)])
            received(data, addr)

        device.datagram_received = note  # type: ignore[method-assign]
        device._go_on()
        clock.sleep(70, "what the server says to it")
        assert not device.established
        assert device.refused == ""
        return heard

    assert shown("id-a", b"wrong key of 16b") == shown("id-x", b"any key of 16 by")
    said = {entry.text for entry in timeline.since(kind="dtls")}
    assert "handshake of 'id-a': its last message cannot be read, wrong key?" in said
    assert "handshake of 'id-x': it is not listed" in said


def test_what_strangers_name_themselves_fills_no_timeline(
    secure: Callable[..., SecureDevice], clock: Clock, timeline: Timeline
) -> None:
    for number in range(40):
        device = secure(f"guess-{number}")
        device._go_on()
        clock.sleep(1, "its handshake")
    assert len([e for e in timeline.since(kind="dtls") if "not listed" in e.text]) == 1


def test_a_client_cannot_become_somebody_else_in_its_session(guarded: LwM2mServer) -> None:
    """Renegotiation would let one prove anything anew (RFC 5746's history)."""
    endpoint = guarded._secure
    assert endpoint is not None
    options = endpoint._context._context.set_options(0)
    assert options & SSL.OP_NO_RENEGOTIATION


# ---- openssl's own client


@pytest.fixture
def on_the_wall() -> Iterator[LwM2mServer]:
    clock = WallClock()
    credentials = Credentials()
    credentials.add_psk("id-a", KEY, "dev")
    server = LwM2mServer(clock, Timeline(clock), credentials=credentials)
    server.start()
    yield server
    server.close()
    clock.close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
@pytest.mark.parametrize("fragment", [512, 2048])
def test_openssl_with_short_records(on_the_wall: LwM2mServer, fragment: int) -> None:
    """Its client would end with an alert at a record longer than it has asked for."""
    _, port = on_the_wall.secure_address
    command = ["openssl", "s_client", "-dtls1_2", "-connect", f"127.0.0.1:{port}", "-psk_identity", "id-a"]
    command += ["-psk", KEY.hex(), "-cipher", "PSK-AES128-GCM-SHA256", "-maxfraglen", str(fragment)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        lines = []
        for line in client.stdout:
            lines.append(line)
            if "Verify return code" in line:
                break
        client.kill()
    assert any("Cipher is PSK-AES128-GCM-SHA256" in line for line in lines), lines
    on_the_wall.clock.sleep(0, "what the server's loop does when it has sent its last flight")
    sessions = list(on_the_wall._secure._sessions.values())  # type: ignore[union-attr]
    assert [16 << session.largest_block for session in sessions] == [min(1024, fragment // 2)]
