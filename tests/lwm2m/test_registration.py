"""The registration interface, for clients of LwM2M 1.0 to 1.2."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from coap_peer import (
    ACCEPT,
    CON,
    CONTENT_FORMAT,
    DELETE,
    POST,
    Answer,
    Device,
    Packet,
    Peer,
    code,
    path_options,
    text,
    uint,
)

from bench.clock import Clock
from bench.errors import DeviceError, WaitTimeout
from bench.lwm2m.identity import Identity, Proof
from bench.lwm2m.interfaces.registration import EXPIRY_MARGIN, MAX_REFUSALS, MAX_REGISTRATIONS, Registration
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

Connect = Callable[..., Device]
LINK_FORMAT = (CONTENT_FORMAT, uint(40))


def register(peer: Peer, query: str, links: bytes = b"</1/0>,</3/0>,</5/0>") -> Packet:
    return peer.request(POST, f"/rd?{query}", links, [LINK_FORMAT])


def held(server: LwM2mServer, endpoint: str = "dev") -> Registration:
    registration = server.registration(endpoint)
    assert registration is not None
    return registration


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ep=dev", ("1.0", 86400, "U", False)),
        ("ep=dev&lwm2m=1.0&lt=60&b=UQ", ("1.0", 60, "UQ", True)),
        ("ep=dev&lwm2m=1.0&lt=60&b=UQS&sms=+491234", ("1.0", 60, "UQS", True)),
        ("ep=dev&lwm2m=1.1&lt=60&b=UT&Q", ("1.1", 60, "UT", True)),
        ("ep=dev&lwm2m=1.2&lt=60&b=MN&pid=7&x=y&bnd=%eth0&z", ("1.2", 60, "MN", False)),
        ("ep=dev&lwm2m=1.1&lt=0", ("1.1", 0, "U", False)),
        ("b=U&lt=2147483647&lwm2m=1.1&ep=dev", ("1.1", 2**31 - 1, "U", False)),
    ],
)
def test_parameters(peer: Peer, server: LwM2mServer, query: str, expected: tuple[object, ...]) -> None:
    assert register(peer, query).dotted == "2.01"
    found = held(server)
    assert (found.version, found.lifetime, found.binding, found.queue_mode) == expected
    assert found.parameters.sms == ("+491234" if "sms" in query else None)
    assert found.parameters.profile == ("7" if "pid" in query else None)


@pytest.mark.parametrize(
    "endpoint",
    ["urn:imei:352656100123451", "a", "ä" * 127, "日本語のデバイス", "x" * 255, "dev with blanks; and, more"],
)
def test_endpoint_names(peer: Peer, server: LwM2mServer, endpoint: str) -> None:
    assert register(peer, f"ep={endpoint}&lt=60").dotted == "2.01"
    assert held(server, endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("lt=60", "4.00"),
        ("ep=&lt=60", "4.00"),
        ("ep", "4.00"),
        ("ep=" + "x" * 256, "4.00"),
        ("ep=" + "ä" * 128, "4.00"),
        ("ep=de\nv", "4.00"),
        ("ep=de\0v", "4.00"),
        ("ep=dev&lwm2m=1.3", "4.12"),
        ("ep=dev&lwm2m=2.0", "4.12"),
        ("ep=dev&lwm2m=one", "4.12"),
        ("ep=dev&lt=-1", "4.00"),
        ("ep=dev&lt=0", "4.00"),
        ("ep=dev&lt=9223372036854775808", "4.00"),
        ("ep=dev&lt=" + "9" * 400, "4.00"),
        ("ep=dev&lt=soon", "4.00"),
        ("ep=dev&lt=1e3", "4.00"),
        ("ep=dev&lt=٣", "4.00"),
        ("ep=dev&lt=", "4.00"),
        ("ep=dev&b=" + "U" * 20, "4.00"),
        ("ep=dev&b=U Q", "4.00"),
    ],
)
def test_what_is_refused(peer: Peer, server: LwM2mServer, query: str, code: str) -> None:
    assert register(peer, query).dotted == code
    assert server.registration("dev") is None


def test_a_refused_registration_leaves_the_old_one(device: Device, server: LwM2mServer) -> None:
    before = held(server)
    for query, links in (("ep=dev&lt=-1", b"</5/0>"), ("ep=dev", b"no links"), ("ep=dev&lwm2m=9", b"</5/0>")):
        assert register(device, query, links).dotted.startswith("4.")
    assert held(server) is before


@pytest.mark.parametrize("content_format", [0, 41, 50, 110, 11542, 65535])
def test_links_in_another_format_are_refused(peer: Peer, server: LwM2mServer, content_format: int) -> None:
    options = [(CONTENT_FORMAT, uint(content_format))]
    assert peer.request(POST, "/rd?ep=dev", b"</5/0>", options).dotted == "4.15"
    assert server.registration("dev") is None


def test_a_secure_session_may_stand_for_the_endpoint_name(clock: Clock, server: LwM2mServer) -> None:
    """Since 1.1; the name is the identity of the session (here set by hand, for want of one)."""
    peer = Peer(clock, server.uri)
    assert server._endpoint is not None
    made = server._endpoint.peer

    def authenticated(address: tuple[str, int]) -> object:
        remote = made(address)
        remote.identity = Identity(Proof.PSK, "urn:dev:os:1")
        return remote

    server._endpoint.peer = authenticated  # type: ignore[assignment, method-assign]
    try:
        assert register(peer, "lwm2m=1.0&lt=60").dotted == "4.00"
        assert register(peer, "lwm2m=1.1&lt=60").dotted == "2.01"
        assert held(server, "urn:dev:os:1").version == "1.1"
    finally:
        peer.close()


# ---- life of a registration


def test_several_clients_at_once(connect: Connect, server: LwM2mServer) -> None:
    devices = {name: connect(name) for name in ("one", "two", "three", "four")}
    for number, device in enumerate(devices.values()):
        device.on["/3/0/9"] = lambda request, number=number: text(number)
    assert [server.client(name).read("/3/0/9") for name in devices] == [0, 1, 2, 3]
    assert len({device.location for device in devices.values()}) == 4
    devices["two"].request(DELETE, devices["two"].location)
    assert server.registration("two") is None
    assert server.client("three").read("/3/0/9") == 2


def test_expiry_leaves_an_update_time_to_arrive(device: Device, server: LwM2mServer, clock: Clock) -> None:
    clock.sleep(600 + EXPIRY_MARGIN - 1, "the lifetime, and most of the margin")
    assert device.request(POST, device.location).dotted == "2.04"
    clock.sleep(600 + EXPIRY_MARGIN - 1, "once more")
    assert server.registration("dev") is not None
    clock.sleep(2, "the rest of the margin")
    assert server.registration("dev") is None
    assert device.request(POST, device.location).dotted == "4.04"


def test_a_lifetime_of_zero_has_no_end(peer: Peer, server: LwM2mServer, clock: Clock) -> None:
    assert register(peer, "ep=dev&lwm2m=1.1&lt=0").dotted == "2.01"
    clock.sleep(60 * 86400, "two months")
    assert held(server).lifetime == 0


def test_an_update_changes_what_it_names(device: Device, server: LwM2mServer, clock: Clock) -> None:
    before = held(server)
    clock.sleep(10, "some of its lifetime")
    answer = device.request(POST, device.location + "?lt=1200&b=UQ", b"</5/0>,</7/1>", [LINK_FORMAT])
    assert answer.dotted == "2.04"
    after = held(server)
    assert after is before
    assert (after.lifetime, after.binding, after.queue_mode) == (1200, "UQ", True)
    assert after.objects == {5: {0}, 7: {1}}
    assert device.request(POST, device.location).dotted == "2.04"
    assert (after.lifetime, after.binding, after.queue_mode) == (1200, "UQ", True)
    assert after.objects == {5: {0}, 7: {1}}
    assert after.updated_at > after.registered_at


@pytest.mark.parametrize(
    ("query", "links", "content_format", "code"),
    [
        ("?lt=-5&b=UQ", b"</5/0>", 40, "4.00"),
        ("?lt=5", b"<<>>", 40, "4.00"),
        ("?lt=5", b"</5/0>", 110, "4.15"),
        ("?b=???", b"</5/0>", 40, "4.00"),
    ],
)
def test_a_refused_update_changes_nothing(
    device: Device, server: LwM2mServer, query: str, links: bytes, content_format: int, code: str
) -> None:
    before = dict(vars(held(server)))
    options = [(CONTENT_FORMAT, uint(content_format))]
    assert device.request(POST, device.location + query, links, options).dotted == code
    assert vars(held(server)) == before


def test_an_update_from_another_port_moves_the_client(
    device: Device, server: LwM2mServer, timeline: Timeline
) -> None:
    device.on["/3/0/9"] = lambda request: text(50)
    assert server.client("dev").read("/3/0/9") == 50
    device.move()
    assert device.request(POST, device.location).dotted == "2.04"
    assert server.client("dev").read("/3/0/9") == 50
    assert [e.source for e in timeline.since(kind="coap")][-1] == "dev"


def test_a_request_under_way_follows_the_client_to_its_new_port(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    device.on["/3/0/9"] = lambda request: text(50)
    device.silent = True

    def moved() -> None:
        device.silent = False
        device.send(Packet(0, POST, 900, b"u", path_options(device.location)))

    clock.loop.call_later(3.5, moved)
    transport, _ = clock.run(
        clock.loop.create_datagram_endpoint(lambda: device, local_addr=("127.0.0.1", 0)),
        timeout=5,
        reason="the device's next port",
    )
    old, device._transport = device._transport, transport
    try:
        assert server.client("dev").read("/3/0/9") == 50
        assert clock.now() < 4.5
    finally:
        assert old is not None
        old.close()


def test_a_notification_from_another_port_moves_the_client(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    device.on["/5/0/3"] = lambda request: text(0)
    heard: list[object] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    device.move()
    device.notify("/5/0/3", 1)
    clock.sleep(1, "the notification")
    assert heard == [0, 1]
    assert server.client("dev").read("/5/0/3") == 0
    assert held(server).remote.address[1] == device.port


def test_a_rebooted_device_has_a_new_location(device: Device, server: LwM2mServer, clock: Clock) -> None:
    first = device.location
    before = clock.now()
    clock.sleep(5, "the reboot")
    device.restart()
    device.move()
    device.register()
    assert device.location != first
    assert server.wait_registered("dev", timeout=1, after=before).registration.location in device.location
    assert device.request(POST, first).dotted == "4.04"
    assert device.request(DELETE, first).dotted == "4.04"
    assert server.registration("dev") is not None


def test_the_same_endpoint_from_two_addresses_is_the_later_one(
    connect: Connect, server: LwM2mServer, timeline: Timeline
) -> None:
    first, second = connect("dev"), connect("dev")
    for number, device in enumerate((first, second)):
        device.on["/3/0/9"] = lambda request, number=number: text(number)
    assert server.client("dev").read("/3/0/9") == 1
    assert first.request(POST, first.location).dotted == "4.04"
    events = [e.text.split()[0] for e in timeline.since(kind="registration")]
    assert events == ["registered", "registered"]
    assert second.request(DELETE, second.location).dotted == "2.02"
    assert server.registration("dev") is None


def test_two_endpoints_of_one_address(peer: Peer, server: LwM2mServer) -> None:
    assert register(peer, "ep=one").dotted == "2.01"
    assert register(peer, "ep=two").dotted == "2.01"
    assert held(server, "one").location != held(server, "two").location


def test_a_full_directory_refuses_the_new_and_keeps_the_old(
    device: Device, server: LwM2mServer, peer: Peer
) -> None:
    device.on["/3/0/9"] = lambda request: text(50)
    codes = [
        register(peer, f"ep=squatter-{number}&lt=2147483647").dotted for number in range(MAX_REGISTRATIONS)
    ]
    assert set(codes[:-1]) == {"2.01"}
    refused = register(peer, "ep=one-too-many")
    assert (codes[-1], refused.dotted, refused.number(14)) == ("5.03", "5.03", 60)
    assert server.client("dev").read("/3/0/9") == 50
    assert device.register().dotted == "2.01"  # who is in may register anew


def test_a_response_option_the_server_does_not_know_is_ignored(device: Device, server: LwM2mServer) -> None:
    device.on["/3/0/9"] = lambda request: Answer(
        "2.05", b"50", [(CONTENT_FORMAT, b""), (ACCEPT + 2047, b"x")]
    )
    assert server.client("dev").read("/3/0/9") == 50


@pytest.mark.parametrize("told", [True, False], ids=["supply-switched", "unknown"])
def test_a_board_that_restarts_with_the_same_port_message_id_and_token(
    peer: Peer, server: LwM2mServer, clock: Clock, told: bool
) -> None:
    """The bench has switched its supply, so it is no repetition; without that nobody can tell."""
    links = [LINK_FORMAT]
    first = peer.request(POST, "/rd?ep=dev&lt=60", b"</3/0>", links, mid=1, token=b"\x01")
    assert first.dotted == "2.01"
    clock.sleep(5, "the board is off")
    if told:
        server.device_restarted("dev")
    before = held(server).registered_at
    second = peer.request(POST, "/rd?ep=dev&lt=60", b"</3/0>", links, mid=1, token=b"\x01")
    assert second.dotted == "2.01"
    assert (held(server).registered_at > before) is told


def test_who_never_registered_has_not_restarted(server: LwM2mServer) -> None:
    server.device_restarted("nobody")


def test_a_refused_register_is_told_by_the_wait(peer: Peer, server: LwM2mServer) -> None:
    assert register(peer, "ep=dev&lt=-1").dotted == "4.00"
    with pytest.raises(WaitTimeout, match=r"its Register was refused: 4\.00 \(lt=-1 is no lifetime\)"):
        server.wait_registered("dev", timeout=1)
    assert register(peer, "ep=dev&lt=60").dotted == "2.01"
    server.expire("dev")
    with pytest.raises(WaitTimeout) as waited:
        server.wait_registered("dev", timeout=1)
    assert "refused" not in waited.value.message


def test_who_has_been_registered_is_told_from_who_never_was(
    peer: Peer, server: LwM2mServer, clock: Clock
) -> None:
    with pytest.raises(DeviceError, match="dev is not registered; registered are: none"):
        server.client("dev")
    assert register(peer, "ep=dev&lt=60").dotted == "2.01"
    clock.sleep(60 + 93 + 1, "its lifetime, and what an Update may take to arrive")
    with pytest.raises(
        DeviceError, match=r"its registration of 60 s expired at 153\.\d s: its last .* at 0\.\d s"
    ):
        server.client("dev")
    assert register(peer, "ep=dev&lt=60").dotted == "2.01"
    assert server.client("dev").registration is held(server)


def test_refusals_are_kept_of_a_few_only(peer: Peer, server: LwM2mServer) -> None:
    for number in range(MAX_REFUSALS + 5):
        assert register(peer, f"ep=dev{number}&lt=-1").dotted == "4.00"
    assert server._directory is not None
    assert len(server._directory.refused) == MAX_REFUSALS


def test_the_answer_is_held_back(peer: Peer, server: LwM2mServer) -> None:
    """Inside the block the registration counts, and its Register is not answered; after it, it is."""
    created = code("2.01")
    with server.holding_acknowledgements("dev"):
        options = [*path_options("/rd?ep=dev&lt=60"), LINK_FORMAT]
        peer.send(Packet(CON, POST, peer.mid(), b"held", options, b"</1/0>,</3/0>,</5/0>"))
        server.wait_registered("dev", timeout=10)
        peer.clock.sleep(5, "time for an answer")
        assert peer.count(lambda packet: packet.code == created) == 0
    assert peer.wait(lambda packet: packet.code == created).token == b"held"


def test_an_endpoint_is_shut_out(peer: Peer, server: LwM2mServer) -> None:
    with server.shutting_out("dev"):
        assert register(peer, "ep=dev&lt=60").dotted == "4.03"
        assert register(peer, "ep=other&lt=60").dotted == "2.01"
    assert register(peer, "ep=dev&lt=60").dotted == "2.01"
