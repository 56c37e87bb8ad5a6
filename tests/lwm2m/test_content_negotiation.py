"""Which content formats are tried with clients of each version of LwM2M, and what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from coap_peer import ACCEPT, CONTENT_FORMAT, Answer, Device, Packet, uint

from bench.clock import Clock
from bench.lwm2m.client import CoapError
from bench.lwm2m.server import LwM2mServer

Connect = Callable[..., Device]

PAYLOADS: dict[int, bytes] = {
    110: b'[{"bn":"/3/0/","n":"9","v":80},{"n":"6/0","v":1}]',
    112: cbor2.dumps([{-2: "/3/0/", 0: "9", 2: 80}, {0: "6/0", 2: 1}]),
    1542: bytes.fromhex("8306410001c10950"),
    11542: bytes.fromhex("8306410001c10950"),
    11543: b'{"bn":"/3/0/","e":[{"n":"9","v":80},{"n":"6/0","v":1}]}',
    11544: cbor2.dumps({3: {0: {9: 80, 6: {0: 1}}}}),
}
"""The same instance in each format."""
READ = {9: 80, 6: {0: 1}}


class Speaker:
    """Answers at /3/0 in the formats it knows; without Accept, in the first."""

    def __init__(self, *formats: int, refusal: str = "4.06") -> None:
        self.formats, self.refusal = formats, refusal
        self.accepts: list[int | None] = []
        self.written: list[int | None] = []

    def __call__(self, request: Packet) -> Answer:
        if request.payload:
            self.written.append(request.number(CONTENT_FORMAT))
            return Answer("2.04" if self.written[-1] in self.formats else "4.15")
        self.accepts.append(request.number(ACCEPT))
        wanted = self.formats[0] if self.accepts[-1] is None else self.accepts[-1]
        if wanted not in self.formats:
            return Answer(self.refusal)
        return Answer("2.05", PAYLOADS[wanted], [(CONTENT_FORMAT, uint(wanted))])


def registered(connect: Connect, speaker: Speaker, version: str, ct: str | None) -> Device:
    device = connect(register=False)
    listed = "" if ct is None else f';ct="{ct}"'
    links = f'</>;rt="oma.lwm2m"{listed},</1/0>,</3/0>'.encode()
    device.register(f"&lwm2m={version}&lt=600&b=U", links)
    device.on["/3/0"] = speaker
    return device


@pytest.mark.parametrize(
    ("version", "ct", "speaks", "accepts"),
    [
        ("1.0", None, (11542,), [11542]),
        ("1.0", "11543", (11542, 11543), [11542]),  # lists what comes on top of TLV
        ("1.0", None, (1542,), [11542, None]),  # a draft's number
        ("1.0", "11543", (11543,), [11542, 11543]),
        ("1.1", "112", (112,), [112]),
        ("1.1", "110 112 11542", (110, 112, 11542), [112]),
        ("1.1", "110 112", (110,), [112, 110]),  # lists what it does not speak
        ("1.1", None, (110,), [None]),
        ("1.2", "11544", (11544,), [11544]),
        ("1.2", "0 42 11544 11542", (11542, 11544), [11544]),
        ("1.2", "112 110 11544 11542 11543", (11543,), [112, 110, 11544, 11542, 11543]),
    ],
)
def test_read(
    connect: Connect,
    server: LwM2mServer,
    version: str,
    ct: str | None,
    speaks: tuple[int, ...],
    accepts: list[int | None],
) -> None:
    speaker = Speaker(*speaks)
    registered(connect, speaker, version, ct)
    client = server.client("dev")
    assert client.read("/3/0") == READ
    assert speaker.accepts == accepts
    assert client.read("/3/0") == READ
    assert speaker.accepts == [*accepts, accepts[-1]]  # what worked is known


def test_what_is_refused_is_forgotten_with_the_registration(connect: Connect, server: LwM2mServer) -> None:
    speaker = Speaker(110)
    device = registered(connect, speaker, "1.1", "110 112")
    server.client("dev").read("/3/0")
    device.restart()
    device.register("&lwm2m=1.1&lt=600&b=U", b'</>;rt="oma.lwm2m";ct="110 112",</3/0>')
    speaker.formats = (112,)
    assert server.client("dev").read("/3/0") == READ
    assert speaker.accepts == [112, 110, 112]


def test_observation_of_an_instance(connect: Connect, server: LwM2mServer, clock: Clock) -> None:
    speaker = Speaker(110)
    device = registered(connect, speaker, "1.1", "110 112")
    heard: list[Any] = []
    observation = clock.run(server.client("dev").observe("/3/0", heard.append), timeout=30, reason="observe")
    assert heard == [READ]
    assert speaker.accepts == [112, 110]
    assert observation.accepted
    clock.run(observation.cancel(), timeout=30, reason="cancel")
    assert speaker.accepts == [112, 110, 110]
    assert device.observers == {}


def test_a_client_that_does_not_know_accept(connect: Connect, server: LwM2mServer) -> None:
    speaker = Speaker(1542, refusal="4.02")
    registered(connect, speaker, "1.0", None)
    assert server.client("dev").read("/3/0") == READ


def test_another_refusal_is_told(connect: Connect, server: LwM2mServer) -> None:
    speaker = Speaker(110, refusal="4.01")
    registered(connect, speaker, "1.1", "112")
    with pytest.raises(CoapError) as refusal:
        server.client("dev").read("/3/0")
    assert refusal.value.dotted == "4.01"
    assert speaker.accepts == [112]


def test_one_resource_is_asked_for_without_a_wish(connect: Connect, server: LwM2mServer) -> None:
    device = registered(connect, Speaker(112), "1.1", "112")
    accepts: list[int | None] = []

    def battery(request: Packet) -> Answer:
        accepts.append(request.number(ACCEPT))
        return Answer("2.05", cbor2.dumps([{0: "/3/0/9", 2: 80}]), [(CONTENT_FORMAT, uint(112))])

    device.on["/3/0/9"] = battery
    assert server.client("dev").read("/3/0/9") == 80
    assert accepts == [None]


@pytest.mark.parametrize(
    ("version", "ct", "speaks", "written"),
    [
        ("1.0", None, (11542,), [11542]),
        ("1.1", "112", (112,), [112]),
        ("1.1", "110 112", (110,), [112, 110]),
        ("1.1", None, (112,), [11542, 112]),
        ("1.2", "11544", (11544,), [11544]),
    ],
)
def test_write_of_an_instance(
    connect: Connect,
    server: LwM2mServer,
    version: str,
    ct: str | None,
    speaks: tuple[int, ...],
    written: list[int],
) -> None:
    speaker = Speaker(*speaks)
    registered(connect, speaker, version, ct)
    client = server.client("dev")
    client.write("/3/0", {13: 1367491215, 14: "+02:00"})
    assert speaker.written == written
    client.update("/3/0", {14: "Z"})
    assert speaker.written == [*written, written[-1]]


@pytest.mark.parametrize(
    ("version", "ct", "speaks", "written"),
    [
        ("1.0", None, (0,), [0]),
        ("1.1", "112", (112,), [112]),
        ("1.1", "0 112", (0, 112), [0]),
        ("1.1", "112", (0,), [112, 0]),
        ("1.1", None, (112,), [0, 11542, 112]),
        ("1.2", "11544", (11544,), [11544]),
    ],
)
def test_write_of_one_resource(
    connect: Connect,
    server: LwM2mServer,
    version: str,
    ct: str | None,
    speaks: tuple[int, ...],
    written: list[int],
) -> None:
    speaker = Speaker(*speaks)
    device = registered(connect, speaker, version, ct)
    device.on["/3/0/14"] = speaker
    server.client("dev").write("/3/0/14", "Z")
    assert speaker.written == written


def test_a_write_that_no_format_suits(connect: Connect, server: LwM2mServer) -> None:
    registered(connect, Speaker(11543), "1.1", "110 112")
    with pytest.raises(CoapError) as refusal:
        server.client("dev").update("/3/0", {14: "Z"})
    assert refusal.value.dotted == "4.15"


def test_plain_text_refused_for_one_resource_is_not_refused_for_all(
    connect: Connect, server: LwM2mServer
) -> None:
    speaker = Speaker(0)
    device = registered(connect, speaker, "1.1", "0")
    device.on["/5/0/0"] = lambda request: Answer("4.15")
    device.on["/3/0/14"] = speaker
    client = server.client("dev")
    with pytest.raises(CoapError):
        client.write("/5/0/0", b"\0")
    client.write("/3/0/14", "Z")
    assert speaker.written == [0]


@pytest.mark.parametrize(("ct", "speaks", "tried"), [("110", 110, [110]), (None, 110, [112, 110])])
def test_composite_operations(
    connect: Connect, server: LwM2mServer, ct: str | None, speaks: int, tried: list[int]
) -> None:
    device = registered(connect, Speaker(speaks), "1.1", ct)
    asked: list[Any] = []

    def fetch(request: Packet) -> Answer:
        asked.append(request.number(CONTENT_FORMAT))
        if asked[-1] != speaks:
            return Answer("4.15")
        return Answer("2.05", PAYLOADS[speaks], [(CONTENT_FORMAT, uint(speaks))])

    device.on["/"] = fetch
    assert server.client("dev").read_composite(["/3/0/9"]) == {"/3/0/9": 80}
    assert asked == tried


def resource_speaker(device: Device, path: str, by_accept: dict[int | None, Answer]) -> list[int | None]:
    """Answers one resource as told for each Accept, else 4.06; returns the Accepts that were asked with."""
    asked: list[int | None] = []

    def speak(request: Packet) -> Answer:
        asked.append(request.number(ACCEPT))
        return by_accept.get(asked[-1], Answer("4.06"))

    device.on[path] = speak
    return asked


def formatted(number: int, payload: bytes) -> Answer:
    return Answer("2.05", payload, [(CONTENT_FORMAT, uint(number))])


def test_a_resource_that_is_told_only_in_a_listed_format(connect: Connect, server: LwM2mServer) -> None:
    """5.00 without Accept, as some clients answer that have no format of their own choice."""
    device = registered(connect, Speaker(112), "1.1", "112")
    senml = cbor2.dumps([{0: "/3/0/3", 3: "1.0.0"}])
    asked = resource_speaker(device, "/3/0/3", {None: Answer("5.00"), 112: formatted(112, senml)})
    assert server.client("dev").read("/3/0/3") == "1.0.0"
    assert asked == [None, 112]


def test_a_resource_that_fails_in_every_format(connect: Connect, server: LwM2mServer) -> None:
    device = registered(connect, Speaker(112), "1.1", "112")
    resource_speaker(device, "/3/0/3", {None: Answer("5.00"), 112: Answer("5.00")})
    with pytest.raises(CoapError, match=r"5\.00"):
        server.client("dev").read("/3/0/3")


def test_tlv_does_not_tell_the_type_of_a_foreign_resource(connect: Connect, server: LwM2mServer) -> None:
    """Asked once more in a format that does; bytes only where TLV is all there is."""
    tlv = formatted(11542, bytes.fromhex("c501") + b"1.0.0")
    device = registered(connect, Speaker(11542), "1.1", "0 11542")
    asked = resource_speaker(device, "/26241/0/1", {None: tlv, 0: formatted(0, b"1.0.0")})
    assert server.client("dev").read("/26241/0/1") == "1.0.0"
    assert asked == [None, 0]
    asked = resource_speaker(device, "/26241/0/1", {None: tlv})
    assert server.client("dev").read("/26241/0/1") == b"1.0.0"
    assert asked == [None, 0]
