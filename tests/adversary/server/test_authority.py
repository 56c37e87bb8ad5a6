"""Who may speak for an endpoint: by what was proved in the session, whatever the address."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from coap_peer import CON, POST, Device, Packet, Peer, code, text, uint
from dtls_peer import SecureDevice
from OpenSSL._util import ffi

from bench.clock import Clock
from bench.errors import ConfigError
from bench.lwm2m.coap.endpoint import Peer as Remote
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.credentials import Credentials
from bench.lwm2m.dtls.endpoint import DtlsPeer
from bench.lwm2m.dtls.hello import CLIENT_KEY_EXCHANGE, Reassembly, psk_identity
from bench.lwm2m.dtls.records import records
from bench.lwm2m.identity import Identity, Proof
from bench.lwm2m.interfaces.bootstrap import Account, Plan
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

LINK_FORMAT = (12, uint(40))
SENML_JSON = (12, uint(110))
SEND = b'[{"n":"/3303/0/5700","v":1}]'


def refused(device: Peer, path: str, method: int = POST) -> bool:
    return device.request(method, path, b"</5/0>", [LINK_FORMAT]).dotted == "4.03"


# ---- identities


@pytest.mark.parametrize("endpoint", ["dev", "other", "certified", "id-c", "anything"])
def test_an_identity_that_is_not_listed_registers_nothing(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, endpoint: str
) -> None:
    device = secure("id-c", b"\x00\x01\x02\x03\x04\x05\x06\x07")
    device.handshake()
    assert refused(device, f"/rd?ep={endpoint}&lwm2m=1.1")
    assert refused(device, "/rd?lwm2m=1.1")
    assert guarded.registration(endpoint) is None


@pytest.mark.parametrize(
    ("proof", "name", "endpoint", "may"),
    [
        (Proof.PSK, "id-a", "dev", True),
        (Proof.CERTIFICATE, "id-a", "dev", False),
        (Proof.CERTIFICATE, "by-certificate", "certified", True),
        (Proof.PSK, "by-certificate", "certified", False),
        (Proof.CERTIFICATE, "by-certificate\0", "certified", False),
        (Proof.CERTIFICATE, "by-certificate\0.example", "certified", False),
        (Proof.CERTIFICATE, "", "free", False),
        (None, "", "dev", False),
        (None, "", "certified", False),
        (None, "", "free", True),
    ],
)
def test_psk_identities_and_certificate_names_are_two_namespaces(
    proof: Proof | None, name: str, endpoint: str, may: bool
) -> None:
    credentials = Credentials()
    credentials.add_psk("id-a", b"key", "dev")
    credentials.add_certificate("by-certificate", "certified")
    identity = None if proof is None else Identity(proof, name)
    assert credentials.may_register(identity, endpoint) is may


@pytest.mark.parametrize(
    ("claimed", "is_known"),
    [(b"id-a", True), (b"id-a\0", False), (b"id-a\0 and more", False), (b"", False), (None, False)],
)
def test_a_nul_does_not_end_a_psk_identity(claimed: bytes | None, is_known: bool) -> None:
    """OpenSSL shows its callback no more than what stands before it: what the client has sent counts."""
    credentials = Credentials()
    credentials.add_psk("id-a", b"the key", "dev")
    context = ServerContext(credentials)
    context.claimed = claimed
    room = ffi.new("unsigned char[256]")
    length = context._key(None, ffi.new("char[]", b"id-a"), room, 256)
    assert (bytes(ffi.buffer(room, length)) == b"the key") is is_known
    assert context.known is is_known


def test_the_identity_is_read_to_its_end_from_any_fragments() -> None:
    body = len(b"id-a\0b").to_bytes(2, "big") + b"id-a\0b"
    length = len(body).to_bytes(3, "big")
    found: list[bytes | None] = []
    reading = Reassembly(CLIENT_KEY_EXCHANGE)
    for offset in reversed(range(len(body))):
        fragment = bytes([16]) + length + b"\0\5" + offset.to_bytes(3, "big") + b"\0\0\1"
        record = bytes([22, 0xFE, 0xFD, *bytes(8)]) + b"\0\x0d" + fragment + body[offset : offset + 1]
        found += [psk_identity(whole) for _, whole, _ in reading.take(records(record))]
    assert found == [b"id-a\0b"]


@pytest.mark.parametrize("identity", ["", "a\0", "\0", "x" * 129])
def test_identities_that_cannot_be_told_apart_are_no_identities(identity: str) -> None:
    with pytest.raises(ConfigError, match="PSK identity"):
        Credentials().add_psk(identity, b"key", "dev")


# ---- requests


def test_a_send_in_the_clear_from_the_address_of_a_session_is_nobodys(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, clock: Clock
) -> None:
    device = secure()
    device.handshake()
    device.register("&lwm2m=1.1&lt=600&b=U")
    heard: list[Any] = []
    guarded.listen_reports(lambda endpoint, values: heard.append((endpoint, values)))
    assert device.request(POST, "/dp", SEND, [SENML_JSON]).dotted == "2.04"
    assert [endpoint for endpoint, _ in heard] == ["dev"]
    assert guarded._endpoint is not None
    request = Packet(CON, POST, 77, b"tok", [(11, b"dp"), SENML_JSON], SEND)
    source = ("127.0.0.1", device.port)
    clock.loop.call_soon(guarded._endpoint.datagram_received, request.encode(), source)
    clock.sleep(5, "the forged Send")
    assert len(heard) == 1


def test_another_identity_on_the_address_of_a_session_is_not_that_device(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer
) -> None:
    """A new handshake on the same address takes nothing over but the address."""
    device = secure()
    device.handshake()
    device.register("&lwm2m=1.1&lt=600&b=U")
    heard: list[Any] = []
    guarded.listen_reports(lambda endpoint, values: heard.append(endpoint))
    device.identity, device.key = "id-b", KEY_B
    device.handshake(fresh=True)
    assert device.request(POST, "/dp", SEND, [SENML_JSON]).dotted == "4.04"
    assert refused(device, device.location)
    assert refused(device, device.location, method=4)
    assert heard == []
    assert guarded.registration("dev") is not None


def test_an_update_over_another_session_of_the_same_identity_moves_the_device(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer
) -> None:
    first = secure()
    first.handshake()
    first.register()
    second = secure()
    second.handshake()
    second.on["/3/0/9"] = lambda request: text(8)
    assert second.request(POST, first.location).dotted == "2.04"
    assert guarded.client("dev").read("/3/0/9") == 8


def test_bootstrap_gives_keys_to_nobody_but_who_may_have_them(
    secure: Callable[..., SecureDevice], guarded: LwM2mServer, clock: Clock
) -> None:
    guarded.plan_bootstrap("dev", Plan((Account("coap://127.0.0.1:1", key=b"sesame"),)))
    plain = Device(clock, guarded.uri, "dev")
    assert plain.request(POST, "/bs?ep=dev").dotted == "4.00"
    plain.close()
    stranger = secure("id-b", KEY_B)
    stranger.handshake()
    assert stranger.request(POST, "/bs?ep=dev").dotted == "4.00"
    device = secure()
    device.handshake()
    assert device.request(POST, "/bs?ep=dev").dotted == "2.04"


# ---- what cannot be guessed


def test_tokens_are_long_and_follow_from_nothing(clock: Clock, timeline: Timeline) -> None:
    """Without a seed they come from the operating system; with one, runs are alike."""

    def tokens(seed: int | None) -> list[bytes]:
        server = LwM2mServer(clock, timeline, seed=seed)
        server.start()
        device = Device(clock, server.uri, "dev")
        device.on["/3/0/9"] = lambda request: text(1)
        device.register()
        for _ in range(20):
            server.client("dev").read("/3/0/9")
        device.close()
        server.close()
        return [p.token for p in device.heard if p.is_request]

    random.seed(1)  # whatever the process draws from the global stream is not what is used
    one = tokens(None)
    random.seed(1)
    other = tokens(None)
    assert all(len(token) >= 8 for token in (*one, *other))
    assert len({*one, *other}) == 40
    steps = {int.from_bytes(b, "big") - int.from_bytes(a, "big") for a, b in itertools.pairwise(one)}
    assert len(steps) == 19
    assert tokens(5) == tokens(5)
    assert tokens(5) != tokens(6)


def test_message_ids_of_one_peer_say_nothing_of_another(server: LwM2mServer, connect: Any) -> None:
    first = []
    for number in range(12):
        device = connect(f"dev-{number}")
        device.on["/3/0/9"] = lambda request: text(1)
        server.client(f"dev-{number}").read("/3/0/9")
        first.append(next(p.mid for p in device.heard if p.is_request))
    steps = {(b - a) & 0xFFFF for a, b in itertools.pairwise(first)}
    assert len(steps) == 11


def test_a_registration_cannot_be_guessed(server: LwM2mServer, connect: Any, peer: Peer) -> None:
    """Its location is all that an Update in the clear proves itself by."""
    locations = []
    for number in range(5):
        device = connect(f"dev-{number}")
        device.register()
        device.register()
        locations.append(device.location.removeprefix("/rd/"))
    values = [int(location, 16) for location in locations]
    assert all(len(location) >= 16 for location in locations)
    assert len({b - a for a, b in itertools.pairwise(values)}) == 4
    for guess in ("d1", "1", "0", *(f"{value + 1:016x}" for value in values)):
        assert peer.request(POST, f"/rd/{guess}").dotted == "4.04"
    assert [server.registration(f"dev-{n}").remote.address[1] for n in range(5)]  # type: ignore[union-attr]


# ---- moves of address


@pytest.mark.parametrize("length", [0, 1, 2, 8])
def test_a_guessed_token_moves_no_observation(
    server: LwM2mServer, device: Device, peer: Peer, clock: Clock, length: int
) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    token = device.observers["/5/0/3"]
    for guess in range(200):
        forged = (int.from_bytes(token[:length].ljust(8, b"\0"), "big") + guess) % 2**64
        name = forged.to_bytes(8, "big") if length else b""
        if name != token:
            peer.send(Packet(CON, code("2.05"), guess, name, [(6, uint(9)), (12, b"")], b"9"))
    clock.sleep(5, "the guesses")
    assert heard == [0]
    assert server.client("dev").registration.remote.address[1] == device.port


@pytest.mark.parametrize(("dotted", "options"), [("2.05", []), ("4.04", [(6, uint(9))]), ("5.03", [])])
def test_an_answer_with_the_token_alone_moves_no_observation(
    server: LwM2mServer, device: Device, peer: Peer, clock: Clock, dotted: str, options: list[Any]
) -> None:
    """Only a notification goes on; anything else would end what the device still observes."""
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    peer.send(Packet(CON, code(dotted), 3, device.observers["/5/0/3"], options, b"9"))
    clock.sleep(5, "the forgery")
    assert server.client("dev").registration.remote.address[1] == device.port
    device.notify("/5/0/3", 1)
    clock.wait_for(lambda: heard == [0, 1], timeout=5, reason="the device's own notification")


def test_peers_are_the_same_only_with_all_that_they_have_proved() -> None:
    address, interface = ("192.0.2.1", 5683), object()
    a, b = Identity(Proof.PSK, "a"), Identity(Proof.CERTIFICATE, "a")
    peers = [Remote(interface, address), *(DtlsPeer(interface, address, who) for who in (None, a, b))]
    for index, peer in enumerate(peers):
        assert [peer == other for other in peers] == [index == n for n in range(4)]
        assert [peer.may_move_to(other) for other in peers] == [index == n for n in range(4)]
        assert len({other.blockwise_key for other in peers}) == 4


KEY_B = bytes.fromhex("000102030405060708090a0b0c0d0e0f")[::-1]
