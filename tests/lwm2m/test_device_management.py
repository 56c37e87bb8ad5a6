"""Each operation of device management as it stands on the wire, and what its answers become."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from coap_peer import (
    ACCEPT,
    CON,
    CONTENT_FORMAT,
    DELETE,
    FETCH,
    GET,
    IPATCH,
    LOCATION_PATH,
    OBSERVE,
    POST,
    PUT,
    URI_QUERY,
    Answer,
    Device,
    Packet,
    code,
    text,
    uint,
)

from bench.clock import Clock
from bench.errors import ServerError
from bench.lwm2m.client import Client, CoapError
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import ObjectLink
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

Connect = Callable[..., Device]
SENML = b'</>;rt="oma.lwm2m";ct="110 112",</1/0>,</3/0>,</5/0>'
CHANGED = Answer("2.04")


def content(content_format: int, payload: bytes) -> Answer:
    return Answer("2.05", payload, [(CONTENT_FORMAT, uint(content_format))])


def with_senml(connect: Connect, query: str = "&lwm2m=1.1&lt=600&b=U", links: bytes = SENML) -> Device:
    device = connect(register=False)
    device.register(query, links)
    return device


def answering(device: Device, path: str, answer: Answer) -> list[Packet]:
    """Have `path` answered always the same; returns what was asked."""
    asked: list[Packet] = []

    def hear(request: Packet) -> Answer:
        asked.append(request)
        return answer

    device.on[path] = hear
    return asked


# ---- the requests


@pytest.mark.parametrize(
    ("operate", "method", "path", "content_format", "payload"),
    [
        (lambda c: c.write("/1/0/1", 120), PUT, "/1/0/1", 0, b"120"),
        (lambda c: c.write("/1/0/6", True), PUT, "/1/0/6", 0, b"1"),
        (lambda c: c.write("/1/0/10", ObjectLink(11, 2)), PUT, "/1/0/10", 0, b"11:2"),
        (lambda c: c.write("/3/0/14", "+02:00"), PUT, "/3/0/14", 0, b"+02:00"),
        (lambda c: c.write("/5/0/1", ""), PUT, "/5/0/1", 0, b""),
        (lambda c: c.write("/5/0/0", b"\0"), PUT, "/5/0/0", 42, b"\0"),
        (lambda c: c.write("/1/0/25/3", "1.1"), PUT, "/1/0/25/3", 0, b"1.1"),
        (lambda c: c.write("/1/0", {1: 60, 6: False}), PUT, "/1/0", 11542, b"\xc1\x01\x3c\xc1\x06\x00"),
        (lambda c: c.update("/1/0", {1: 300}), POST, "/1/0", 11542, b"\xc2\x01\x01\x2c"),
        (lambda c: c.update("/5/0", {13: 200}), POST, "/5/0", 11542, b"\xc1\x0d\xc8"),
        (lambda c: c.update("/1/0/25", {7: "x"}), POST, "/1/0/25", 11542, b"\x83\x19\x41\x07x"),
        (lambda c: c.update("/6/0", {0: 1}), POST, "/6/0", 11542, bytes.fromhex("c800083ff0000000000000")),
        (lambda c: c.execute("/5/0/2"), POST, "/5/0/2", None, b""),
        (lambda c: c.execute("/33629/0/2", "0='</33629/1>'"), POST, "/33629/0/2", 0, b"0='</33629/1>'"),
        (lambda c: c.delete("/1/3"), DELETE, "/1/3", None, b""),
    ],
)
def test_requests(
    device: Device,
    server: LwM2mServer,
    operate: Callable[[Client], None],
    method: int,
    path: str,
    content_format: int | None,
    payload: bytes,
) -> None:
    asked = answering(device, path, Answer("2.02" if method == DELETE else "2.04"))
    operate(server.client("dev"))
    (request,) = asked
    assert (request.code, request.path, request.payload) == (method, path, payload)
    assert request.number(CONTENT_FORMAT) == content_format
    assert request.option(ACCEPT) is None


@pytest.mark.parametrize(
    ("attributes", "query"),
    [
        ({"pmin": 2, "pmax": 10}, ["pmin=2", "pmax=10"]),
        ({"gt": 25.5, "lt": -0.0000001, "st": 3.0}, ["gt=25.5", "lt=-0.0000001", "st=3"]),
        ({"epmin": 1, "epmax": 5, "con": 1}, ["epmin=1", "epmax=5", "con=1"]),
        ({"pmin": None, "gt": None}, ["pmin", "gt"]),
    ],
)
def test_attributes(
    device: Device, server: LwM2mServer, attributes: dict[str, float | None], query: list[str]
) -> None:
    asked = answering(device, "/3/0/9", CHANGED)
    server.client("dev").write_attributes("/3/0/9", **attributes)
    assert asked[0].code == PUT
    assert asked[0].payload == b""
    assert [value.decode() for number, value in asked[0].options if number == URI_QUERY] == query


def test_discover(device: Device, server: LwM2mServer) -> None:
    asked = answering(device, "/3/0", content(40, b'</3/0>;pmin=10,</3/0/6>;dim=2,</3/0/9>;gt=50;lt="42.2"'))
    links = server.client("dev").discover("/3/0")
    assert (asked[0].code, asked[0].number(ACCEPT)) == (GET, 40)
    assert [(link.target, link.attributes) for link in links] == [
        ("/3/0", {"pmin": "10"}),
        ("/3/0/6", {"dim": "2"}),
        ("/3/0/9", {"gt": "50", "lt": "42.2"}),
    ]


# ---- create


def test_create_leaves_the_id_to_the_device(device: Device, server: LwM2mServer) -> None:
    answer = Answer("2.01", options=[(LOCATION_PATH, b"1"), (LOCATION_PATH, b"7")])
    asked = answering(device, "/1", answer)
    assert server.client("dev").create(1, {0: 101, 1: 60}) == 7
    assert (asked[0].code, asked[0].number(CONTENT_FORMAT)) == (POST, 11542)
    assert asked[0].payload == bytes.fromhex("c10065c1013c")


def test_create_with_an_id_has_an_instance_header(device: Device, server: LwM2mServer) -> None:
    asked = answering(device, "/1", Answer("2.01"))
    assert server.client("dev").create(1, {0: 101, 1: 60}, instance=4) == 4
    assert asked[0].payload == bytes.fromhex("0604c10065c1013c")


def test_create_without_an_id_and_without_location_is_unreadable(device: Device, server: LwM2mServer) -> None:
    answering(device, "/1", Answer("2.01"))
    with pytest.raises(ServerError, match="Location-Path"):
        server.client("dev").create(1, {0: 101})


def test_create_chooses_a_free_id_where_the_device_has_no_tlv(connect: Connect, server: LwM2mServer) -> None:
    device = with_senml(connect, links=SENML + b",</1/1>")
    asked = answering(device, "/1", Answer("2.01"))
    assert server.client("dev").create(1, {0: 101, 1: 60}) == 2
    assert asked[0].number(CONTENT_FORMAT) == 112
    assert cbor2.loads(asked[0].payload) == [{-2: "/1/2/", 0: "0", 2: 101}, {0: "1", 2: 60}]


def test_create_turns_to_a_free_id_when_tlv_is_refused(connect: Connect, server: LwM2mServer) -> None:
    device = with_senml(connect, links=b'</>;rt="oma.lwm2m";ct="112 11542",</1/0>')
    formats: list[int | None] = []

    def create(request: Packet) -> Answer:
        formats.append(request.number(CONTENT_FORMAT))
        return Answer("4.15") if formats[-1] == 11542 else Answer("2.01")

    device.on["/1"] = create
    assert server.client("dev").create(1, {0: 101}) == 1
    assert formats == [11542, 112]


# ---- reading


def test_empty_answers(device: Device, server: LwM2mServer) -> None:
    """An object, an instance or a multiple resource may have nothing in it; a single one may not."""
    client = server.client("dev")
    for path in ("/33629", "/7/0", "/3/0/6"):
        answering(device, path, Answer("2.05"))
        assert client.read(path) == {}
    answering(device, "/5/0/1", text(""))
    assert client.read("/5/0/1") == ""
    answering(device, "/3/0/9", content(11542, b""))
    with pytest.raises(ServerError, match="no value for /3/0/9"):
        client.read("/3/0/9")


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/3/0/9", text("much")),
        ("/3/0/9", content(11542, b"\xc1\x08\x05")),
        ("/3/0", content(11542, b"\xc8\x00\xff")),
        ("/3/0", content(110, b'[{"n":"/3/0/9","v":1},{"n":"/3/0/9","v":2}]')),
        ("/3/0", content(112, b"\x81\xa1")),
        ("/3/0", content(110, b'[{"n":"/3/0/6","v":1},{"n":"/3/0/6/0","v":2}]')),
        ("/3/0", text("1")),
        ("/3/0", content(9999, b"x")),
    ],
)
def test_unreadable_answers(device: Device, server: LwM2mServer, path: str, answer: Answer) -> None:
    answering(device, path, answer)
    with pytest.raises(ServerError, match=f"the answer to read {path} cannot be read"):
        server.client("dev").read(path)


def test_answers_that_refuse_are_for_the_testcase(device: Device, server: LwM2mServer) -> None:
    answering(device, "/5/0/2", Answer("4.05"))
    with pytest.raises(CoapError) as refusal:
        server.client("dev").execute("/5/0/2")
    assert refusal.value.dotted == "4.05"


def test_a_value_of_the_wrong_type_is_not_sent(device: Device, server: LwM2mServer) -> None:
    asked = answering(device, "/1/0/1", CHANGED)
    with pytest.raises(CodecError, match="/1/0/1 is no str"):
        server.client("dev").write("/1/0/1", "soon")
    assert asked == []


# ---- composite operations


def test_read_composite(connect: Connect, server: LwM2mServer) -> None:
    device = with_senml(connect)
    pack = [{-2: "/3/0/", 0: "9", 2: 80}, {-2: "/5/0/", 0: "3", 2: 1}, {0: "8/1", 2: 5}]
    asked = answering(device, "/", content(112, cbor2.dumps(pack)))
    found = server.client("dev").read_composite(["/3/0/9", "/5/0", "/4/0"])
    assert found == {"/3/0/9": 80, "/5/0": {3: 1, 8: {1: 5}}}
    (request,) = asked
    assert (request.code, request.number(CONTENT_FORMAT), request.number(ACCEPT)) == (FETCH, 112, 112)
    assert cbor2.loads(request.payload) == [{-2: "/", 0: "3/0/9"}, {0: "5/0"}, {0: "4/0"}]


def test_write_composite(connect: Connect, server: LwM2mServer) -> None:
    device = with_senml(connect, links=b'</>;rt="oma.lwm2m";ct=110,</1/0>')
    asked = answering(device, "/", CHANGED)
    server.client("dev").write_composite({"/1/0/1": 60, "/3/0": {14: "Z"}, "/1/0/25": {0: "1.1"}})
    (request,) = asked
    assert (request.code, request.number(CONTENT_FORMAT)) == (IPATCH, 110)
    assert json.loads(request.payload) == [
        {"bn": "/", "n": "1/0/1", "v": 60},
        {"n": "3/0/14", "vs": "Z"},
        {"n": "1/0/25/0", "vs": "1.1"},
    ]


def test_observe_composite(connect: Connect, server: LwM2mServer, clock: Clock) -> None:
    device = with_senml(connect)
    asked = answering(device, "/", content(112, cbor2.dumps([{0: "/5/0/3", 2: 0}])))
    heard: list[dict[str, Any]] = []
    client = server.client("dev")
    observing = client.observe_composite(["/5/0/3", "/5/0/5"], heard.append)
    observation = clock.run(observing, timeout=30, reason="observe")
    assert observation.accepted
    assert (asked[0].code, asked[0].number(OBSERVE)) == (FETCH, 0)
    options = [(OBSERVE, uint(9)), (CONTENT_FORMAT, uint(112))]
    payload = cbor2.dumps([{-2: "/5/0/", 0: "3", 2: 1}, {0: "5", 2: 0}])
    device.send(Packet(CON, code("2.05"), device.mid(), asked[0].token, options, payload))
    clock.wait_for(lambda: len(heard) > 1, timeout=5, reason="the notification")
    assert heard == [{"/5/0/3": 0}, {"/5/0/3": 1, "/5/0/5": 0}]
    clock.run(observation.cancel(), timeout=30, reason="cancel")
    ended = asked[-1]
    assert (ended.code, ended.number(OBSERVE), ended.token) == (FETCH, 1, asked[0].token)
    assert ended.payload == asked[0].payload
    assert device.observers == {}


# ---- observations


def test_an_unreadable_notification_is_a_warning(
    device: Device, server: LwM2mServer, clock: Clock, timeline: Timeline
) -> None:
    answering(device, "/5/0/3", text(0))
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    device.notify("/5/0/3", "idle")
    device.notify("/5/0/3", 1)
    clock.wait_for(lambda: len(heard) > 1, timeout=5, reason="the notification")
    assert heard == [0, 1]
    (warning,) = timeline.since(kind="warning")
    assert "the answer to read /5/0/3 cannot be read: 'idle' is no int" in warning.text


def test_an_unreadable_first_value_is_told(device: Device, server: LwM2mServer, clock: Clock) -> None:
    answering(device, "/5/0/3", text("idle"))
    with pytest.raises(ServerError, match="cannot be read"):
        clock.run(server.client("dev").observe("/5/0/3", print), timeout=30, reason="observe")


def test_a_device_that_answers_without_observing(device: Device, server: LwM2mServer, clock: Clock) -> None:
    answer = text(0)
    device.on["/5/0/3"] = lambda request: answer
    device.hear = lambda packet, hear=device.hear: hear(  # type: ignore[method-assign]
        Packet(
            packet.type,
            packet.code,
            packet.mid,
            packet.token,
            [(n, v) for n, v in packet.options if n != OBSERVE],
            packet.payload,
        )
    )
    heard: list[Any] = []
    observation = clock.run(
        server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe"
    )
    assert heard == [0]
    assert not observation.accepted
