"""The server's DTLS: sessions, identities, and what must not disturb them."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiocoap import GET
from coap_peer import ACK, CON, POST, Device, Packet, code, text, uint
from dtls_peer import SecureDevice

from bench.clock import Clock
from bench.errors import ConfigError, ServerError, WaitTimeout
from bench.lwm2m.client import NotReachable
from bench.lwm2m.dtls.credentials import Credentials
from bench.lwm2m.dtls.hello import CLIENT_HELLO, Reassembly, read_hello
from bench.lwm2m.dtls.records import datagrams, records
from bench.lwm2m.identity import Identity, Proof
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


@pytest.fixture
def server(clock: Clock, timeline: Timeline, faults: list[Any]) -> Iterator[LwM2mServer]:
    credentials = Credentials()
    credentials.add_psk("id-a", KEY, "dev")
    credentials.add_psk("id-b", KEY[::-1], "other")
    made = LwM2mServer(clock, timeline, seed=1, credentials=credentials)
    made.start()
    yield made
    made.close()


@pytest.fixture
def secure(clock: Clock, server: LwM2mServer) -> Iterator[Callable[..., SecureDevice]]:
    made: list[SecureDevice] = []

    def make(identity: str = "id-a", key: bytes = KEY, endpoint: str = "dev", **how: Any) -> SecureDevice:
        made.append(SecureDevice(clock, server.secure_uri, identity, key, endpoint, **how))
        return made[-1]

    yield make
    for device in made:
        device.close()


@pytest.fixture
def device(secure: Callable[..., SecureDevice]) -> SecureDevice:
    made = secure()
    made.handshake()
    made.register()
    return made


def said(timeline: Timeline) -> list[str]:
    return [entry.text for entry in timeline.since(kind="dtls")]


def test_requests_go_over_the_session_of_the_device(device: SecureDevice, server: LwM2mServer) -> None:
    device.on["/3/0/9"] = lambda request: text(77)
    assert server.client("dev").read("/3/0/9") == 77
    assert server.client("dev").registration.remote.identity == Identity(Proof.PSK, "id-a")


def test_messages_by_hand_go_over_the_session_too(device: SecureDevice, server: LwM2mServer) -> None:
    device.on["/3/0/9"] = lambda request: text(77)
    by_hand = server.by_hand("dev")
    assert by_hand.ask(by_hand.message(GET, "/3/0/9"))[-1].payload == b"77"


def test_messages_are_on_the_timeline_and_in_the_capture_in_the_clear(
    device: SecureDevice, server: LwM2mServer, timeline: Timeline
) -> None:
    device.on["/3/0/9"] = lambda request: text(77)
    server.client("dev").read("/3/0/9")
    assert any("GET /3/0/9" in entry.text for entry in timeline.since(kind="coap"))
    assert any(Packet.decode(frame.data).path == "/3/0/9" for frame in server.capture.frames)


@pytest.mark.parametrize(
    ("identity", "key", "endpoint", "expected"),
    [("id-a", KEY, "dev", "2.01"), ("id-a", KEY, "other", "4.03"), ("id-b", KEY[::-1], "dev", "4.03")],
)
def test_an_identity_registers_only_its_own_endpoint(
    secure: Callable[..., SecureDevice], identity: str, key: bytes, endpoint: str, expected: str
) -> None:
    device = secure(identity, key)
    device.handshake()
    answer = device.request(POST, f"/rd?ep={endpoint}&lwm2m=1.1", b"</5/0>", [(12, uint(40))])
    assert answer.dotted == expected


def test_an_endpoint_with_credentials_cannot_register_without(
    clock: Clock, server: LwM2mServer, device: SecureDevice
) -> None:
    """Else anybody on the network could take its place, and be sent its firmware."""
    plain = Device(clock, server.uri)
    answer = plain.request(POST, "/rd?ep=dev&lwm2m=1.1", b"</5/0>", [(12, uint(40))])
    assert answer.dotted == "4.03"
    assert server.client("dev").registration.remote.identity == Identity(Proof.PSK, "id-a")
    for method in (POST, 4):
        assert plain.request(method, device.location).dotted == "4.03"
    plain.close()


def test_another_endpoint_may_stay_without_security(clock: Clock, server: LwM2mServer) -> None:
    plain = Device(clock, server.uri, "open")
    plain.register()
    plain.on["/3/0/9"] = lambda request: text(5)
    assert server.client("open").read("/3/0/9") == 5
    plain.close()


def test_a_notification_in_the_clear_does_not_take_over_an_observation(
    device: SecureDevice, server: LwM2mServer, clock: Clock
) -> None:
    heard: list[Any] = []
    device.on["/5/0/3"] = lambda request: text(0)
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    plain = Device(clock, server.uri, "intruder")
    plain.send(Packet(CON, code("2.05"), 7, device.observers["/5/0/3"], [(6, uint(9))], b"3"))
    clock.sleep(5, "the server's answer")
    assert heard == [0]
    device.notify("/5/0/3", 1)
    clock.wait_for(lambda: heard == [0, 1], timeout=5, reason="the device's own notification")
    plain.close()


@pytest.mark.parametrize("seed", range(6))
def test_handshake_and_registration_at_30_percent_loss(
    secure: Callable[..., SecureDevice], clock: Clock, server: LwM2mServer, seed: int
) -> None:
    """The server repeats its flights by simulated time; the client here repeats its own every 2 s."""
    device = secure(loss=0.3, seed=seed)
    device._go_on()
    for _ in range(60):
        if device.established:
            break
        try:
            clock.wait_for(lambda: device.established, timeout=2, reason="the handshake")
        except WaitTimeout:
            device.repeat_flight()
    assert device.established
    device.loss = 0.0
    device.register()
    assert server.registration("dev") is not None


def test_wrong_key_is_told_and_others_are_undisturbed(
    device: SecureDevice, secure: Callable[..., SecureDevice], server: LwM2mServer, timeline: Timeline
) -> None:
    intruder = secure("id-b", b"not the key")
    with pytest.raises(WaitTimeout):
        intruder.handshake(timeout=90)
    assert [t for t in said(timeline) if "wrong key?" in t] == [
        "handshake of 'id-b': its last message cannot be read, wrong key?"
    ]
    device.on["/3/0/9"] = lambda request: text(1)
    assert server.client("dev").read("/3/0/9") == 1


def test_a_restarted_device_begins_anew_on_its_address(device: SecureDevice, server: LwM2mServer) -> None:
    device.handshake(fresh=True)
    device.register()
    device.on["/3/0/9"] = lambda request: text(3)
    assert server.client("dev").read("/3/0/9") == 3


def test_a_handshake_that_does_not_authenticate_leaves_the_session_alone(
    device: SecureDevice, server: LwM2mServer, timeline: Timeline
) -> None:
    """Spoofed from the device's own address, up to and with a wrong Finished."""
    held = device.connection, device.key, device._callback
    device.key = b"an attacker's guess"
    device._new_connection()
    with pytest.raises(WaitTimeout):
        device.handshake(timeout=70)
    device.connection, device.key, device._callback = held
    device.established = True
    device.on["/3/0/9"] = lambda request: text(4)
    assert server.client("dev").read("/3/0/9") == 4
    assert any("wrong key?" in t for t in said(timeline))


def test_replayed_handshakes_and_records_do_nothing(
    device: SecureDevice, server: LwM2mServer, clock: Clock, timeline: Timeline
) -> None:
    registrations = len(timeline.since(kind="registration"))
    for datagram in list(device.datagrams):
        device.plain(datagram)
    clock.sleep(70, "whatever comes of it")
    assert len(timeline.since(kind="registration")) == registrations
    device.on["/3/0/9"] = lambda request: text(6)
    assert server.client("dev").read("/3/0/9") == 6


def test_after_the_client_has_closed_requests_say_so(device: SecureDevice, server: LwM2mServer) -> None:
    device.connection.shutdown()
    device._flush()
    server.clock.sleep(1, "close_notify arrives")
    with pytest.raises(NotReachable):
        server.client("dev").read("/3/0/9")


def test_garbage_is_one_entry_a_minute(clock: Clock, server: LwM2mServer, timeline: Timeline) -> None:
    plain = Device(clock, server.secure_uri.replace("coaps", "coap"))
    for number in range(500):
        plain.raw(bytes([number % 256]) * 40)
    clock.sleep(5, "the flood")
    plain.close()
    assert len(said(timeline)) <= 3
    assert all("no DTLS" in t or "cannot be read" in t for t in said(timeline))


def test_a_flood_of_hellos_from_many_addresses_costs_no_memory(
    secure: Callable[..., SecureDevice], server: LwM2mServer, clock: Clock
) -> None:
    """Without the cookie's return nothing is kept (RFC 6347, 4.2.1)."""
    template = secure()
    template._go_on()
    hello = template.datagrams[0]
    clock.sleep(1, "the first one")
    endpoint = server._secure
    assert endpoint is not None
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(20_000):
        endpoint.datagram_received(hello, (f"127.1.{number >> 8 & 255}.{number & 255}", 40_000))
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 500_000


def test_a_client_that_starts_over_in_the_middle_of_a_handshake(
    secure: Callable[..., SecureDevice], clock: Clock
) -> None:
    device = secure()
    device.loss = 1.0  # hears nothing of the first attempt
    device._go_on()
    clock.sleep(3, "lost")
    device.loss = 0.0
    device.handshake(fresh=True)
    device.register()


def test_port_in_use_is_named(server: LwM2mServer, clock: Clock, timeline: Timeline) -> None:
    port = int(server.secure_uri.rsplit(":", 1)[1])
    second = LwM2mServer(clock, timeline, credentials=Credentials(), secure_port=port)
    with pytest.raises(ServerError, match=f"secure server cannot listen.*{port}"):
        second.start()
    with pytest.raises(ServerError, match="not running"):
        _ = second.uri


def test_without_credentials_there_is_no_secure_uri(clock: Clock, timeline: Timeline) -> None:
    plain = LwM2mServer(clock, timeline)
    plain.start()
    with pytest.raises(ServerError, match="does not listen for DTLS"):
        _ = plain.secure_uri
    plain.close()


@pytest.mark.parametrize("key", [b"", bytes(257)])
def test_impossible_keys_are_refused_unseen(key: bytes) -> None:
    with pytest.raises(ConfigError, match="'x' has") as caught:
        Credentials().add_psk("x", key)
    assert key.hex() not in str(caught.value) or not key
    assert "sesame" not in repr(Credentials({b"x": b"sesame"}))


def test_records_of_a_datagram() -> None:
    record = bytes([22, 0xFE, 0xFD, 0, 0, *bytes(6), 0, 60]) + bytes([1, 0, 0, 48, 0, 1, 0, 0, 0, 0, 0, 48])
    record += bytes(48)
    found = records(record * 2)
    assert [(r.kind, r.epoch, len(r.body)) for r in found] == [(22, 0, 60)] * 2
    hello = read_hello(*next(Reassembly(CLIENT_HELLO).take(found)))
    assert (hello.sequence, hello.datagram) == (1, record)
    assert b"".join(datagrams(record * 40)) == record * 40
    assert max(len(d) for d in datagrams(record * 40)) <= 1200


@pytest.mark.parametrize("bad", [b"", b"\x16", bytes(13), bytes([22, 0xFE, 0xFD, *bytes(8), 0, 9])])
def test_what_is_no_record(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"DTLS|datagram"):
        records(bad)


def test_acknowledgements_travel_encrypted_too(device: SecureDevice, server: LwM2mServer) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[Any] = []
    server.clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    mid = device.notify("/5/0/3", 2)
    assert device.wait(lambda p: p.mid == mid).type == ACK


def test_a_session_is_forgotten_and_the_registration_is_not(
    device: SecureDevice, server: LwM2mServer, clock: Clock, timeline: Timeline
) -> None:
    """As after a restart of the server: silence in the old session; a new one may be begun."""
    location = server.client("dev").registration.location
    server.forget_session("dev")
    with pytest.raises(WaitTimeout):
        device.request(POST, f"/rd/{location}", timeout=5)
    assert server.client("dev").registration.location == location
    device.handshake(fresh=True)
    assert device.request(POST, f"/rd/{location}").dotted == "2.04"
    who = "session with PSK identity 'id-a'"
    assert said(timeline)[-2:] == [f"{who} forgotten", who]
