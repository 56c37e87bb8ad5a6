"""Payloads of the OMA specifications' examples, and forms that other stacks are known to send."""

from __future__ import annotations

from typing import Any

import pytest

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import path_of
from bench.lwm2m.codecs.values import ObjectLink
from bench.lwm2m.model import content

DEVICE: dict[str, Any] = {
    "/3/0/0": "Open Mobile Alliance",
    "/3/0/1": "Lightweight M2M Client",
    "/3/0/2": "345000123",
    "/3/0/3": "1.0",
    "/3/0/6/0": 1,
    "/3/0/6/1": 5,
    "/3/0/7/0": 3800,
    "/3/0/7/1": 5000,
    "/3/0/8/0": 125,
    "/3/0/8/1": 900,
    "/3/0/9": 100,
    "/3/0/10": 15,
    "/3/0/11/0": 0,
    "/3/0/13": 1367491215,
    "/3/0/14": "+02:00",
    "/3/0/16": "U",
}


def by_path(values: dict[str, Any]) -> content.Values:
    return {path_of(name): value for name, value in values.items()}


SENML_CBOR = bytes.fromhex(
    "90"
    "a3 21 65 2f332f302f 00 61 30 03 74 4f70656e204d6f62696c6520416c6c69616e6365"
    "a2 00 61 31 03 76 4c69676874776569676874204d324d20436c69656e74"
    "a2 00 61 32 03 69 333435303030313233"
    "a2 00 61 33 03 63 312e30"
    "a2 00 63 362f30 02 01"
    "a2 00 63 362f31 02 05"
    "a2 00 63 372f30 02 190ed8"
    "a2 00 63 372f31 02 191388"
    "a2 00 63 382f30 02 187d"
    "a2 00 63 382f31 02 190384"
    "a2 00 61 39 02 1864"
    "a2 00 62 3130 02 0f"
    "a2 00 64 31312f30 02 00"
    "a2 00 62 3133 02 1a5182428f"
    "a2 00 62 3134 03 66 2b30323a3030"
    "a2 00 62 3136 03 61 55"
)
"""The answer to a Read of /3/0 (OMA LwM2M 1.1 core, 7.4.5)."""

JSON_1_0 = (
    b'{"bn":"/3/0/","e":[{"n":"0","sv":"Open Mobile Alliance"},{"n":"1","sv":"Lightweight M2M Client"},'
    b'{"n":"2","sv":"345000123"},{"n":"3","sv":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},'
    b'{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},{"n":"9","v":100},'
    b'{"n":"10","v":15},{"n":"11/0","v":0},{"n":"13","v":1367491215},{"n":"14","sv":"+02:00"},'
    b'{"n":"16","sv":"U"}]}'
)
"""The same in LwM2M 1.0's JSON (OMA LwM2M 1.0, 6.4.4)."""


@pytest.mark.parametrize(
    ("content_format", "payload"), [(content.SENML_CBOR, SENML_CBOR), (content.JSON, JSON_1_0)]
)
def test_the_specifications_device_both_ways(content_format: int, payload: bytes) -> None:
    assert content.decode(content_format, (3, 0), payload) == by_path(DEVICE)
    assert content.encode(content_format, (3, 0), by_path(DEVICE)) == payload


def test_tlv_of_two_instances() -> None:
    """Access control, an object that the bench does not know: bytes (OMA LwM2M 1.0, 6.4.3.2)."""
    payload = bytes.fromhex("08000ec10001c101008302417f07c1037f080212c10003c101008702417f0761013601c1037f")
    assert content.decode(content.TLV, (2,), payload) == {
        (2, 0, 0): b"\1",
        (2, 0, 1): b"\0",
        (2, 0, 2, 127): b"\7",
        (2, 0, 3): b"\x7f",
        (2, 2, 0): b"\3",
        (2, 2, 1): b"\0",
        (2, 2, 2, 127): b"\7",
        (2, 2, 2, 310): b"\1",
        (2, 2, 3): b"\x7f",
    }


def test_tlv_of_one_resource() -> None:
    """A Read of /3/0/0 and of /3/0/6, as clients answer in TLV (OMA LwM2M 1.0, 6.4.3.1)."""
    one = bytes.fromhex("c800144f70656e204d6f62696c6520416c6c69616e6365")
    assert content.decode(content.TLV, (3, 0, 0), one) == {(3, 0, 0): "Open Mobile Alliance"}
    several = bytes.fromhex("8606410001410105")
    assert content.decode(content.TLV, (3, 0, 6), several) == {(3, 0, 6, 0): 1, (3, 0, 6, 1): 5}
    assert content.decode(content.TLV, (3, 0, 6, 1), bytes.fromhex("410105")) == {(3, 0, 6, 1): 5}
    assert content.encode(content.TLV, (3, 0, 6, 1), {(3, 0, 6, 1): 5}) == bytes.fromhex("410105")


def test_notifications_of_several_times() -> None:
    """The newest is the value; the history has them all (OMA LwM2M 1.0, 6.4.4; 1.1, 7.4.4)."""
    payload = (
        b'{"bn":"/72/","bt":25462634,"e":[{"n":"1/2","v":22.4,"t":-5},{"n":"1/2","v":22.9,"t":-30},'
        b'{"n":"1/2","v":24.1,"t":-50}]}'
    )
    assert content.decode(content.JSON, (72, 1, 2), payload) == {(72, 1, 2): 22.4}
    assert content.history(content.JSON, (72, 1, 2), payload) == [
        (25462584.0, {(72, 1, 2): 24.1}),
        (25462604.0, {(72, 1, 2): 22.9}),
        (25462629.0, {(72, 1, 2): 22.4}),
    ]


def test_a_send_of_every_state() -> None:
    """Absolute times come before those relative to now, and a record without time is now."""
    payload = (
        b'[{"bn":"/5/0/","n":"3","v":2,"t":-3},{"n":"3","v":3},{"n":"3","v":0,"t":1367491215},'
        b'{"n":"3","v":1,"t":1367491220}]'
    )
    states = [values[5, 0, 3] for _, values in content.history(content.SENML_JSON, (), payload)]
    assert states == [0, 1, 2, 3]
    assert content.decode(content.SENML_JSON, (), payload) == {(5, 0, 3): 3}


def test_object_links() -> None:
    """Resource instances that lead to other objects (OMA LwM2M 1.0, 6.4.4; 1.1, 7.4.4)."""
    links = {(65, 0, 0, 0): ObjectLink(66, 0), (65, 0, 0, 1): ObjectLink(66, 1)}
    old = b'{"bn":"/65/0/","e":[{"n":"0/0","ov":"66:0"},{"n":"0/1","ov":"66:1"}]}'
    new = b'[{"bn":"/65/0/","n":"0/0","vlo":"66:0"},{"n":"0/1","vlo":"66:1"}]'
    assert content.decode(content.JSON, (65, 0), old) == links
    assert content.decode(content.SENML_JSON, (65, 0), new) == links


def test_base_value_and_sticky_base_fields() -> None:
    """RFC 8428, 4.1: they hold for all records that follow, until the next of their kind."""
    payload = (
        b'[{"bn":"/3/0/","bv":100,"bt":5,"n":"9","v":-20},{"n":"10","v":1},{"bn":"/4/0/","bv":-100,"n":"2"'
        b',"v":1},{"n":"4/0","vs":"::1"}]'
    )
    expected = {"/3/0/9": 80, "/3/0/10": 101, "/4/0/2": -99, "/4/0/4/0": "::1"}
    assert content.decode(content.SENML_JSON, (), payload) == by_path(expected)


@pytest.mark.parametrize("text", ["3q2-7w", "3q2-7w=="])
def test_opaque_values_are_base64url_with_or_without_padding(text: str) -> None:
    payload = f'[{{"n":"/6/0/4","vd":"{text}"}}]'.encode()
    assert content.decode(content.SENML_JSON, (6, 0), payload) == {(6, 0, 4): b"\xde\xad\xbe\xef"}


@pytest.mark.parametrize(
    ("payload", "values"),
    [
        ("bf03bf00bf091864ffffff", {"/3/0/9": 100}),  # maps without end, as one stack sends them all
        ("bf03bf00bf0918640a0fff0101ffff", None),  # a value where a map belongs
        ("bf03bf00bf06bf00010105ffffffff", {"/3/0/6/0": 1, "/3/0/6/1": 5}),
        ("bf03bf00bf06bf0001ff090fff01bf0902ffffff", {"/3/0/6/0": 1, "/3/0/9": 15, "/3/1/9": 2}),
        ("a1830300091864", {"/3/0/9": 100}),
        ("a1820300a209186482060001", {"/3/0/9": 100, "/3/0/6/0": 1}),
        ("a19f030009ff1864", {"/3/0/9": 100}),  # a key without end
        ("a101a100a10a6331323a", None),
        ("a101a100a10a6431313a30", {"/1/0/10": ObjectLink(11, 0)}),
        ("a106a100a100fb4045f1a9fbe76c8b", {"/6/0/0": 43.888}),
        ("a106a100a200fa422f8d500101", {"/6/0/0": 43.88800048828125, "/6/0/1": 1.0}),
        ("a103a100a1007f624f7062656eff", {"/3/0/0": "Open"}),  # a string in chunks
    ],
)
def test_lwm2m_cbor(payload: str, values: dict[str, Any] | None) -> None:
    if values is None:
        with pytest.raises(CodecError):
            content.decode(content.LWM2M_CBOR, (), bytes.fromhex(payload))
    else:
        assert content.decode(content.LWM2M_CBOR, (), bytes.fromhex(payload)) == by_path(values)


def test_lwm2m_cbor_of_the_specifications_device_both_ways() -> None:
    payload = bytes.fromhex(
        "a1 03 a1 00 ad"
        "00 74 4f70656e204d6f62696c6520416c6c69616e6365"
        "01 76 4c69676874776569676874204d324d20436c69656e74"
        "02 69 333435303030313233"
        "03 63 312e30"
        "06 a2 00 01 01 05"
        "07 a2 00 190ed8 01 191388"
        "08 a2 00 187d 01 190384"
        "09 1864"
        "0a 0f"
        "0b a1 00 00"
        "0d 1a5182428f"
        "0e 66 2b30323a3030"
        "10 61 55"
    )
    assert content.decode(content.LWM2M_CBOR, (3, 0), payload) == by_path(DEVICE)
    assert content.encode(content.LWM2M_CBOR, (3, 0), by_path(DEVICE)) == payload


@pytest.mark.parametrize(
    ("path", "payload", "value"),
    [
        ((3, 0, 9), "1864", 100),
        ((3, 0, 0), "6141", "A"),
        ((1, 0, 6), "f5", True),
        ((6, 0, 0), "f93e00", 1.5),
        ((3, 0, 13), "c11a5182428f", 1367491215),
        ((1, 0, 10), "6431313a30", ObjectLink(11, 0)),
        ((6, 0, 4), "42dead", b"\xde\xad"),
    ],
)
def test_cbor_of_one_resource(path: content.Path, payload: str, value: Any) -> None:
    assert content.decode(content.CBOR, path, bytes.fromhex(payload)) == {path: value}
    again = content.encode(content.CBOR, path, {path: value})
    assert content.decode(content.CBOR, path, again) == {path: value}


@pytest.mark.parametrize(
    ("payload", "value"), [("c10d7f", 127), ("c10dc8", 200), ("c20dfde8", 65000), ("c40dffffffff", 2**32 - 1)]
)
def test_unsigned_integers_of_tlv(payload: str, value: int) -> None:
    """Object 5's Maximum Defer Period: the first bit is no sign."""
    assert content.decode(content.TLV, (5, 0), bytes.fromhex(payload)) == {(5, 0, 13): value}
    assert content.encode(content.TLV, (5, 0), {(5, 0, 13): value}) == bytes.fromhex(payload)


def test_names_relative_to_what_was_asked_for() -> None:
    """LwM2M JSON without a base name."""
    one = b'{"e":[{"v":100}]}'
    assert content.decode(content.JSON, (3, 0, 9), one) == {(3, 0, 9): 100}
    instance = b'{"e":[{"n":"9","v":100},{"n":"6/0","v":1}]}'
    assert content.decode(content.JSON, (3, 0), instance) == {(3, 0, 9): 100, (3, 0, 6, 0): 1}
    whole = b'{"e":[{"n":"3/0/9","v":1}]}'
    assert content.decode(content.JSON, (9999,), whole) == {(9999, 3, 0, 9): 1}


def test_composite_paths() -> None:
    paths = [(3, 0, 9), (1,), ()]
    named = content.paths_only(content.SENML_JSON, paths)
    assert named == b'[{"bn":"/","n":"3/0/9"},{"n":"1"},{"n":""}]'
    assert content.paths_only(content.SENML_CBOR, [(3, 0, 9)]).hex() == "81a221652f332f302f006139"
    with pytest.raises(CodecError):
        content.paths_only(content.TLV, paths)
