"""LwM2M Send: what a device reports by itself (OMA LwM2M 1.1 and 1.2, 6.4.6)."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from coap_peer import CONTENT_FORMAT, POST, Device, Peer, uint

from bench.lwm2m.server import LwM2mServer


@pytest.mark.parametrize(
    ("content_format", "payload"),
    [
        (110, b'[{"bn":"/5/0/","n":"3","v":1},{"n":"5","v":0}]'),
        (112, cbor2.dumps([{-2: "/5/0/", 0: "3", 2: 1}, {0: "5", 2: 0}])),
        (11544, cbor2.dumps({5: {0: {3: 1, 5: 0}}})),
    ],
)
def test_formats(device: Device, server: LwM2mServer, content_format: int, payload: bytes) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []
    server.listen_reports(lambda endpoint, values: heard.append((endpoint, values)))
    answer = device.request(POST, "/dp", payload, [(CONTENT_FORMAT, uint(content_format))])
    assert answer.dotted == "2.04"
    assert heard == [("dev", {"/5/0/3": 1, "/5/0/5": 0})]


def test_values_of_several_times_come_oldest_first(device: Device, server: LwM2mServer) -> None:
    heard: list[dict[str, Any]] = []
    server.listen_reports(lambda endpoint, values: heard.append(values))
    times = b'{"n":"3","v":1,"t":-90},{"n":"3","v":3,"t":-5},{"n":"3","v":2,"t":-20}'
    payload = b'[{"bn":"/5/0/","n":"3","v":0},' + times + b"]"
    assert device.request(POST, "/dp", payload, [(CONTENT_FORMAT, uint(110))]).dotted == "2.04"
    assert heard == [{"/5/0/3": 1}, {"/5/0/3": 2}, {"/5/0/3": 3}, {"/5/0/3": 0}]


@pytest.mark.parametrize(
    ("content_format", "payload", "code"),
    [
        (110, b'[{"n":"/5/0/3","v":1},{"n":"/5/0/3","v":2}]', "4.00"),
        (110, b'[{"n":"/5/0/3","v":', "4.00"),
        (11542, b"\xc1\x03\x01", "4.15"),
        (0, b"1", "4.15"),
    ],
)
def test_what_is_refused(
    device: Device, server: LwM2mServer, content_format: int, payload: bytes, code: str
) -> None:
    heard: list[Any] = []
    server.listen_reports(lambda endpoint, values: heard.append(values))
    assert device.request(POST, "/dp", payload, [(CONTENT_FORMAT, uint(content_format))]).dotted == code
    assert heard == []


def test_a_stranger_is_not_heard(peer: Peer) -> None:
    answer = peer.request(POST, "/dp", b'[{"n":"/5/0/3","v":1}]', [(CONTENT_FORMAT, uint(110))])
    assert answer.dotted == "4.04"
