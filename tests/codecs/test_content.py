"""Content formats: published examples, round trips of anything, and what strangers may send."""

from __future__ import annotations

import json
import struct
from typing import Any

import cbor2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import path_of
from bench.lwm2m.codecs.shapes import flat, nested
from bench.lwm2m.codecs.values import ObjectLink
from bench.lwm2m.model import content, objects

DEVICE: content.Values = {
    (3, 0, 0): "Open Mobile Alliance",
    (3, 0, 1): "Lightweight M2M Client",
    (3, 0, 2): "345000123",
    (3, 0, 3): "1.0",
    (3, 0, 6, 0): 1,
    (3, 0, 6, 1): 5,
    (3, 0, 7, 0): 3800,
    (3, 0, 7, 1): 5000,
    (3, 0, 8, 0): 125,
    (3, 0, 8, 1): 900,
    (3, 0, 9): 100,
    (3, 0, 10): 15,
    (3, 0, 11, 0): 0,
    (3, 0, 13): 1367491215,
    (3, 0, 14): "+02:00",
    (3, 0, 16): "U",
}
"""The device of the specification's examples (OMA LwM2M 1.0, 6.4; 1.1, 7.4)."""

DEVICE_TLV = bytes.fromhex(
    "c800144f70656e204d6f62696c6520416c6c69616e6365"
    "c801164c69676874776569676874204d324d20436c69656e74"
    "c80209333435303030313233"
    "c303312e30"
    "8606410001410105"
    "88070842000ed842011388"
    "870841007d42010384"
    "c10964"
    "c10a0f"
    "830b410000"
    "c40d5182428f"
    "c60e2b30323a3030"
    "c11055"
)


def test_tlv_of_the_specifications_device() -> None:
    assert content.decode(content.TLV, (3, 0), DEVICE_TLV) == DEVICE
    assert content.encode(content.TLV, (3, 0), DEVICE) == DEVICE_TLV


def test_tlv_of_an_object_has_a_header_for_each_instance() -> None:
    """The same, read as /3: 0x08 0x00 and its length (121 bytes) before it."""
    whole = b"\x08\x00\x79" + DEVICE_TLV
    assert content.decode(content.TLV, (3,), whole) == DEVICE
    assert content.encode(content.TLV, (3,), DEVICE) == whole
    assert content.decode(content.TLV, (3, 0), whole) == DEVICE


def test_tlv_of_object_links() -> None:
    """Resource /65/0/0 = {0: 66:0, 1: 66:1} (OMA LwM2M 1.0, 6.4.3.2), here on /33629/0/16."""
    payload = bytes.fromhex("88100c440000420000440100420001")
    links = {(33629, 0, 16, 0): ObjectLink(66, 0), (33629, 0, 16, 1): ObjectLink(66, 1)}
    assert content.decode(content.TLV, (33629, 0, 16), payload) == links
    assert content.encode(content.TLV, (33629, 0, 16), links) == payload


def test_senml_json_of_the_specifications_device() -> None:
    """OMA LwM2M 1.1, 7.4.4, in its own order and base name."""
    pack = (
        '[{"bn":"/3/0/","n":"0","vs":"Open Mobile Alliance"},{"n":"1","vs":"Lightweight M2M Client"},'
        '{"n":"2","vs":"345000123"},{"n":"3","vs":"1.0"},{"n":"6/0","v":1},{"n":"6/1","v":5},'
        '{"n":"7/0","v":3800},{"n":"7/1","v":5000},{"n":"8/0","v":125},{"n":"8/1","v":900},'
        '{"n":"9","v":100},{"n":"10","v":15},{"n":"11/0","v":0},{"n":"13","v":1367491215},'
        '{"n":"14","vs":"+02:00"},{"n":"16","vs":"U"}]'
    )
    assert content.decode(content.SENML_JSON, (3, 0), pack.encode()) == DEVICE
    assert json.loads(content.encode(content.SENML_JSON, (3, 0), DEVICE)) == json.loads(pack)


def test_lwm2m_json_of_the_specifications_device() -> None:
    """OMA LwM2M 1.0, 6.4.4: names relative to the base name."""
    entries = [
        {"n": "0", "sv": "Open Mobile Alliance"},
        {"n": "6/0", "v": 1},
        {"n": "6/1", "v": 5},
        {"n": "9", "v": 100},
        {"n": "13", "v": 1367491215},
    ]
    document = json.dumps({"bn": "/3/0/", "e": entries}).encode()
    assert content.decode(content.JSON, (3, 0), document) == {
        (3, 0, 0): "Open Mobile Alliance",
        (3, 0, 6, 0): 1,
        (3, 0, 6, 1): 5,
        (3, 0, 9): 100,
        (3, 0, 13): 1367491215,
    }


def test_senml_cbor_of_one_resource() -> None:
    """A record in numbers for labels (RFC 8428, table 6)."""
    payload = bytes.fromhex("81a321652f332f302f006139021864")
    assert cbor2.loads(payload) == [{-2: "/3/0/", 0: "9", 2: 100}]
    assert content.decode(content.SENML_CBOR, (3, 0, 9), payload) == {(3, 0, 9): 100}


@pytest.mark.parametrize(
    "document", [{3: {0: {9: 100}}}, {(3, 0): {9: 100}}, {(3, 0, 9): 100}, {3: {(0, 9): 100}}]
)
def test_lwm2m_cbor_takes_keys_of_several_levels(document: Any) -> None:
    assert content.decode(content.LWM2M_CBOR, (3, 0), cbor2.dumps(document)) == {(3, 0, 9): 100}


def test_time_with_its_tag() -> None:
    payload = bytes.fromhex("a103a100a10dc11a5182428f")
    assert content.decode(content.LWM2M_CBOR, (3, 0), payload) == {(3, 0, 13): 1367491215}


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ((3, 0, 9), b"-5", -5),
        ((3, 0, 0), "Straße".encode(), "Straße"),
        ((6, 0, 0), b"-43.5723", -43.5723),
        ((1, 0, 6), b"1", True),
        ((1, 0, 10), b"11:0", ObjectLink(11, 0)),
        ((5, 0, 0), b"AQID", b"\1\2\3"),
    ],
)
def test_text(path: content.Path, text: bytes, value: Any) -> None:
    assert content.decode(content.TEXT, path, text) == {path: value}


# ---- anything, there and back

VALUES = {
    "int": st.integers(-(1 << 63), (1 << 63) - 1),
    "uint": st.integers(0, (1 << 64) - 1),
    "time": st.integers(0, 1 << 40),
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "str": st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    "bytes": st.binary(max_size=300),
    "objlnk": st.builds(ObjectLink, st.integers(0, 65535), st.integers(0, 65535)),
}
FORMATS = [content.TLV, content.SENML_JSON, content.SENML_CBOR, content.JSON, content.LWM2M_CBOR]


@st.composite
def trees(draw: st.DrawFn) -> tuple[content.Path, content.Values]:
    """An object, or one of its instances, with any of its resources."""
    object_id = draw(st.sampled_from(sorted(objects.OBJECTS)))
    known = {n: r for n, r in objects.OBJECTS[object_id].items() if r.kind != "none"}
    values: content.Values = {}
    instances = draw(st.sets(st.integers(0, 65534), min_size=1, max_size=3))
    for instance in instances:
        for number in draw(st.sets(st.sampled_from(sorted(known)), min_size=1, max_size=5)):
            made = VALUES[known[number].kind]
            if known[number].multiple:
                for key, value in draw(
                    st.dictionaries(st.integers(0, 65534), made, min_size=1, max_size=3)
                ).items():
                    values[object_id, instance, number, key] = value
            else:
                values[object_id, instance, number] = draw(made)
    base = (object_id, next(iter(instances))) if len(instances) == 1 else (object_id,)
    return base, values


@pytest.mark.parametrize("content_format", FORMATS)
@given(tree=trees())
@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_round_trip(content_format: int, tree: tuple[content.Path, content.Values]) -> None:
    base, values = tree
    payload = content.encode(content_format, base, values)
    found = content.decode(content_format, base, payload)
    assert found == values
    assert {path: type(value) for path, value in found.items()} == {p: type(v) for p, v in values.items()}
    assert flat(base, nested(base, found)) == values


@given(value=VALUES["int"])
def test_integers_take_the_shortest_form(value: int) -> None:
    width = len(objects.to_bytes("int", value))
    assert objects.from_bytes("int", objects.to_bytes("int", value)) == value
    assert width == 1 or not -(1 << (4 * width - 1)) <= value < 1 << (4 * width - 1)


@given(
    links=st.lists(
        st.builds(
            link_format.Link,
            st.text("abc/0123", min_size=1, max_size=10),
            st.dictionaries(
                st.text("abz", min_size=1, max_size=4), st.none() | st.text("a1 .;,=", max_size=5)
            ),
        ),
        max_size=5,
    )
)
def test_links_round_trip(links: list[link_format.Link]) -> None:
    assert link_format.decode(link_format.encode(links)) == links


# ---- strangers

BASES: list[content.Path] = [(), (3,), (3, 0), (3, 0, 9), (5, 0, 0), (9999, 0, 1)]


@pytest.mark.parametrize("content_format", [*FORMATS, content.TEXT, content.OPAQUE])
@given(
    data=st.binary(max_size=200), base=st.sampled_from([(), (3,), (3, 0), (3, 0, 9), (5, 0, 0), (9999, 0, 1)])
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_values_or_an_error(content_format: int, data: bytes, base: content.Path) -> None:
    try:
        values = content.decode(content_format, base, data)
    except CodecError:
        return
    assert all(isinstance(value, (int, float, str, bytes, bool, ObjectLink)) for value in values.values())


@pytest.mark.parametrize("content_format", FORMATS)
@given(tree=trees(), cut=st.integers(0, 5000), flip=st.integers(0, 255))
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_damaged_payloads_are_values_or_an_error(
    content_format: int, tree: tuple[content.Path, content.Values], cut: int, flip: int
) -> None:
    base, values = tree
    payload = bytearray(content.encode(content_format, base, values))
    payload[cut % len(payload)] ^= flip
    for damaged in (bytes(payload), bytes(payload[: cut % len(payload)])):
        try:
            content.decode(content_format, base, damaged)
        except CodecError:
            pass


HOSTILE: dict[str, tuple[int, bytes]] = {
    "deep json": (content.SENML_JSON, b"[" * 100_000),
    "deep lwm2m json": (content.JSON, b'{"e":' + b"[" * 100_000),
    "deep cbor": (content.SENML_CBOR, b"\x81" * 100_000),
    "deep maps": (content.LWM2M_CBOR, b"\xa1\x03" * 50_000 + b"\x00"),
    "huge array": (content.SENML_CBOR, b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff"),
    "huge string": (content.LWM2M_CBOR, b"\xa1\x03\x7b\x00\x00\x00\xff\xff\xff\xff\xff"),
    "endless array": (content.SENML_CBOR, b"\x9f" * 50_000),
    "million records": (content.SENML_CBOR, b"\x9a\x00\x0f\x42\x40" + b"\xa0" * 1_000_000),
    "cyclic": (content.SENML_CBOR, bytes.fromhex("d81c81d81d00")),
    "bignum": (content.SENML_CBOR, cbor2.dumps([{0: "/3/0/9", 2: 1 << 80}])),
    "regex": (content.SENML_CBOR, bytes.fromhex("d82363282e2a")),
    "decimal": (content.LWM2M_CBOR, bytes.fromhex("a103c4821b7fffffffffffffff01")),
    "nan": (content.SENML_JSON, b'[{"n":"/3/0/9","v":NaN}]'),
    "two values": (content.SENML_JSON, b'[{"n":"/3/0/9","v":1,"vs":"1"}]'),
    "must understand": (content.SENML_JSON, b'[{"n":"/3/0/9","v":1,"x_":1}]'),
    "bool as number": (content.SENML_JSON, b'[{"n":"/3/0/9","v":true}]'),
    "bad base64": (content.SENML_JSON, b'[{"n":"/5/0/0","vd":"*"}]'),
    "foreign path": (content.SENML_JSON, b'[{"n":"/4/0/2","v":1}]'),
    "no utf-8": (content.TLV, bytes.fromhex("c100ff")),
    "wrong width": (content.TLV, bytes.fromhex("c309000102")),
    "same twice": (content.TLV, bytes.fromhex("c10901c10902")),
    "nested too deep": (content.TLV, bytes.fromhex("060006000600060006000600")),
    "length beyond": (content.TLV, bytes.fromhex("d800ffffff")),
}


@pytest.mark.parametrize(("content_format", "payload"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_payloads_are_refused(content_format: int, payload: bytes) -> None:
    with pytest.raises(CodecError):
        content.decode(content_format, (3, 0), payload)


@pytest.mark.parametrize("text", ["/3/0/9/1/2", "/a", "/3//x", "/-1", "/70000", "/3/²"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(CodecError):
        path_of(text)


@pytest.mark.parametrize(("kind", "text"), [("int", "1.5"), ("int", "9" * 30), ("float", "x"), ("bool", "2")])
def test_text_of_another_kind(kind: str, text: str) -> None:
    with pytest.raises(CodecError):
        objects.from_text(kind, text)


def test_floats_of_both_widths() -> None:
    assert objects.from_bytes("float", struct.pack(">f", 1.5)) == 1.5
    assert objects.from_bytes("float", struct.pack(">d", 1.1)) == 1.1
