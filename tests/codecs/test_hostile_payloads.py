"""What no honest device sends: refused with the one error, soon, and in bounded memory."""

from __future__ import annotations

import json
import math
import random
import struct
import time
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.lwm2m.codecs import cbor, link_format, strict_json
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of, path_of
from bench.lwm2m.codecs.shapes import flat
from bench.lwm2m.codecs.values import ObjectLink
from bench.lwm2m.model import content, objects

HUGE = 1_000_000


def record(value: str) -> bytes:
    return f'[{{"n":"/3/0/9",{value}}}]'.encode()


HOSTILE: dict[str, tuple[int, bytes]] = {
    # numbers
    "infinite by its exponent": (content.SENML_JSON, record('"v":1e999')),
    "integer of a million digits": (content.SENML_JSON, record(f'"v":{"9" * HUGE}')),
    "integer of 65 bits": (content.SENML_JSON, record(f'"v":{1 << 64}')),
    "base value that overflows": (content.SENML_JSON, b'[{"bn":"/3/0/9","bv":%d,"v":1}]' % ((1 << 63) - 1)),
    "time beyond a float": (content.SENML_JSON, record(f'"v":1,"t":{"9" * 400}')),
    "time that is text": (content.SENML_JSON, record('"v":1,"t":"now"')),
    "cbor nan": (content.SENML_CBOR, cbor2.dumps([{0: "/6/0/0", 2: math.nan}])),
    "cbor infinity": (content.LWM2M_CBOR, cbor2.dumps({6: {0: {0: math.inf}}})),
    "tlv nan": (content.TLV, b"\xc4\x00" + struct.pack(">f", math.nan)),
    "huge power": (content.SENML_CBOR, bytes.fromhex("81a200662f332f302f3902c5821b7fffffffffffffff01")),
    "fraction": (content.SENML_CBOR, bytes.fromhex("81a200662f332f302f3902d81e820100")),
    # text
    "half a surrogate pair": (content.SENML_JSON, b'[{"n":"/3/0/0","vs":"\\ud800"}]'),
    "half a pair in lwm2m json": (content.JSON, b'{"e":[{"n":"/3/0/0","sv":"\\udfff"}]}'),
    "utf-16": (content.SENML_JSON, record('"v":1').decode().encode("utf-16")),
    "byte order mark": (content.SENML_JSON, b"\xef\xbb\xbf" + record('"v":1')),
    "cbor text that is no utf-8": (content.LWM2M_CBOR, bytes.fromhex("a103a100a10061ff")),
    "cbor text cut within a character": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1007f61c361a4ff")),
    # the same twice
    "member twice": (content.SENML_JSON, b'[{"n":"/3/0/9","n":"/3/0/10","v":1}]'),
    "label twice": (content.SENML_CBOR, bytes.fromhex("81a300662f332f302f3902010202")),
    "label by number and name": (content.SENML_CBOR, bytes.fromhex("81a300662f332f302f390201617602")),
    "resource twice": (content.LWM2M_CBOR, bytes.fromhex("a103a100a209010902")),
    "resource twice by other keys": (content.LWM2M_CBOR, bytes.fromhex("a203a100a109018303000902")),
    "path twice": (content.SENML_JSON, b'[{"n":"/3/0/9","v":1},{"bn":"/3/","n":"0/9","v":1}]'),
    "value and values below": (content.SENML_JSON, b'[{"n":"/3/0/6","v":1},{"n":"/3/0/6/0","v":1}]'),
    "values below a value": (content.LWM2M_CBOR, bytes.fromhex("a203a100a10601840300060001")),
    "tlv value and values": (content.TLV, bytes.fromhex("c106018306410001")),
    # structure
    "array as a value": (content.SENML_JSON, record('"v":[1]')),
    "null as a value": (content.SENML_JSON, record('"v":null')),
    "null in lwm2m cbor": (content.LWM2M_CBOR, bytes.fromhex("a103a100a109f6")),
    "undefined": (content.LWM2M_CBOR, bytes.fromhex("a103a100a109f7")),
    "version 11": (content.SENML_JSON, record('"bver":11,"v":1')),
    "number as name": (content.SENML_JSON, b'[{"n":3,"v":1}]'),
    "leading zero": (content.SENML_JSON, b'[{"n":"/3/0/09","v":1}]'),
    "empty level": (content.SENML_JSON, b'[{"n":"/3//9","v":1}]'),
    "five levels": (content.SENML_JSON, b'[{"n":"/3/0/9/0/0","v":1}]'),
    "five levels of cbor": (content.LWM2M_CBOR, bytes.fromhex("a103a100a106a100a10001")),
    "id of 17 bits": (content.LWM2M_CBOR, bytes.fromhex("a103a100a11a0001000001")),
    "negative id": (content.LWM2M_CBOR, bytes.fromhex("a103a100a12001")),
    "boolean key": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1f501")),
    "float key": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1f93c0001")),
    "text in a key": (content.LWM2M_CBOR, bytes.fromhex("a1830300613901")),
    "array in a key": (content.LWM2M_CBOR, bytes.fromhex("a18203810001")),
    "key without value": (content.LWM2M_CBOR, bytes.fromhex("bf03ff")),
    "break out of place": (content.LWM2M_CBOR, bytes.fromhex("ff")),
    "two items": (content.LWM2M_CBOR, bytes.fromhex("a0a0")),
    "nothing": (content.LWM2M_CBOR, b""),
    "reserved head": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1091c")),
    "simple value": (content.LWM2M_CBOR, bytes.fromhex("a103a100a109f818")),
    "chunk of another kind": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1007f4141ff")),
    "chunk within a chunk": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1007f7f6141ffff")),
    "time that is no number": (content.LWM2M_CBOR, bytes.fromhex("a103a100a10dc16131")),
    "tag of a set": (content.LWM2M_CBOR, bytes.fromhex("a103a100a109d901028101")),
    "tags upon tags": (content.LWM2M_CBOR, b"\xc1" * HUGE + b"\0"),
    "ipv6 as key": (content.LWM2M_CBOR, bytes.fromhex("a1d836500000000000000000000000000000000101")),
    # sizes
    "deep indefinite cbor": (content.LWM2M_CBOR, b"\xbf\x00" * HUGE),
    "many json records": (content.SENML_JSON, b"[" + b"{}," * HUGE + b"{}]"),
    "many json entries": (content.JSON, b'{"e":[' + b"{}," * HUGE + b"{}]}"),
    "many keys": (content.LWM2M_CBOR, b"\xbf" + b"\x19\x01\x00\x00" * HUGE),
    "many chunks": (content.LWM2M_CBOR, bytes.fromhex("a103a100a1007f") + b"\x60" * HUGE + b"\xff"),
    "many tlv records": (content.TLV, b"\xc0\x00" * HUGE),
    "many tlv instances": (content.TLV, b"\x00\x00" * HUGE),
    "array larger than memory": (content.SENML_CBOR, bytes.fromhex("9bffffffffffffffff")),
    "map larger than memory": (content.LWM2M_CBOR, bytes.fromhex("bbffffffffffffffff")),
    "string larger than memory": (content.LWM2M_CBOR, bytes.fromhex("a1037bffffffffffffffff")),
    # tlv
    "instance within an instance": (content.TLV, bytes.fromhex("0200000000")),
    "another instance": (content.TLV, bytes.fromhex("0301c10901")),
    "value among resource instances": (content.TLV, bytes.fromhex("8306c10001")),
    "value cut off": (content.TLV, bytes.fromhex("c109")),
}


@pytest.mark.parametrize(("content_format", "payload"), HOSTILE.values(), ids=HOSTILE.keys())
def test_refused_soon_and_in_bounded_memory(content_format: int, payload: bytes) -> None:
    begin = time.thread_time()  # of the processor: what it would keep the server from answering
    with pytest.raises(CodecError):
        content.decode(content_format, (3, 0) if content_format == content.TLV else (), payload)
    assert time.thread_time() - begin < 5


@pytest.mark.parametrize(
    "name",
    ["many keys", "many chunks", "many tlv records", "array larger than memory", "deep indefinite cbor"],
)
def test_memory(name: str) -> None:
    """Far less than a million Python objects take: the walk stops at its bound, before anything is built."""
    content_format, payload = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            content.decode(content_format, (3, 0), payload)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content_format", sorted(content.FORMATS))
@pytest.mark.parametrize("base", [(), (3,), (3, 0), (3, 0, 6), (3, 0, 6, 0), (65535, 65535, 65535)])
def test_random_bytes(content_format: int, base: content.Path) -> None:
    """Seeded, so that a failure is found again; biased to bytes that mean something to the formats."""
    rng = random.Random(f"{content_format} {base}")
    lively = b'[]{}":,/0123\x00\x01\x02\x03\x06\x09\x80\x81\x9f\xa1\xbf\xc1\xff\x18\x61\x41nvbest'
    for _ in range(2000):
        payload = bytes(rng.choice(lively) for _ in range(rng.randrange(24)))
        try:
            found = content.decode(content_format, base, payload)
        except CodecError:
            continue
        assert all(path[: len(base)] == base and 3 <= len(path) <= 4 for path in found)


# ---- CBOR against the library: what it can build of plain types, the walk lets pass

PLAIN = st.recursive(
    st.integers(-(1 << 64), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.booleans()
    | st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(0, 65535) | st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def depth(item: Any) -> int:
    if isinstance(item, dict):
        return 1 + max((depth(value) for value in item.values()), default=0)
    if isinstance(item, list):
        return 1 + max((depth(value) for value in item), default=0)
    return 0


@given(item=PLAIN)
@settings(deadline=None)
def test_cbor_that_the_library_wrote(item: Any) -> None:
    payload = cbor2.dumps(item)
    if depth(item) > cbor.MAX_DEPTH:
        with pytest.raises(CodecError):
            cbor.load(payload)
    else:
        assert cbor.load(payload) == item


@given(item=PLAIN, cut=st.integers(0, 1000))
@settings(deadline=None)
def test_cbor_cut_anywhere(item: Any, cut: int) -> None:
    payload = cbor2.dumps(item)
    with pytest.raises(CodecError):
        cbor.load(payload[: cut % len(payload)])


@given(data=st.binary(max_size=40))
@settings(max_examples=500, deadline=None)
def test_cbor_that_passes_is_plain(data: bytes) -> None:
    try:
        item = cbor.load(data)
    except CodecError:
        return
    assert isinstance(item, (int, float, str, bytes, bool, list, dict, type(None)))


@given(data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()))
@settings(max_examples=300, deadline=None)
def test_json_is_read_as_the_library_does_or_refused(data: bytes) -> None:
    try:
        item = strict_json.load(data)
    except CodecError:
        return
    assert item == json.loads(data)


@given(data=st.binary(max_size=80) | st.text('<>;,="/ab01', max_size=40).map(lambda text: text.encode()))
@settings(max_examples=300, deadline=None)
def test_links_are_read_or_refused(data: bytes) -> None:
    try:
        links = link_format.decode(data)
    except CodecError:
        return
    assert all(isinstance(link.target, str) for link in links)


# ---- text, paths and what cannot be told


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((3, 0, 9), "0" * 30 + "5"),
        ((3, 0, 9), "--5"),
        ((3, 0, 9), "٣"),
        ((3, 0, 9), " 5"),
        ((3, 0, 9), "1_0"),
        ((3, 0, 9), ""),
        ((5, 0, 13), "-1"),
        ((3, 0, 9), str(1 << 63)),
        ((6, 0, 0), "nan"),
        ((6, 0, 0), "inf"),
        ((6, 0, 0), "1e999"),
        ((6, 0, 0), "1_0.5"),
        ((6, 0, 0), "0x10"),
        ((1, 0, 6), "true"),
        ((1, 0, 10), "٣:0"),
        ((1, 0, 10), "65536:0"),
        ((5, 0, 0), "AQI"),
    ],
)
def test_text_that_is_no_value(path: content.Path, text: str) -> None:
    with pytest.raises(CodecError):
        content.decode(content.TEXT, path, text.encode())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((3, 0, 9), "full"),
        ((3, 0, 9), True),
        ((3, 0, 9), 1 << 63),
        ((5, 0, 13), -1),
        ((6, 0, 0), math.nan),
        ((6, 0, 0), 10**400),
        ((3, 0, 0), "\ud800"),
        ((3, 0, 0), b"x"),
        ((1, 0, 10), "nowhere"),
        ((9999, 0, 0), None),
        ((9999, 0, 0), [1]),
        ((9999, 0, 0), math.inf),
        ((9999, 0, 0), 1 << 64),
    ],
)
@pytest.mark.parametrize(
    "content_format", [content.TLV, content.SENML_CBOR, content.LWM2M_CBOR, content.TEXT]
)
def test_what_cannot_be_told(content_format: int, path: content.Path, value: Any) -> None:
    with pytest.raises(CodecError):
        content.encode(content_format, path, {path: value})


@pytest.mark.parametrize(
    "content_format", [content.TLV, content.SENML_JSON, content.LWM2M_CBOR, content.JSON]
)
def test_values_that_contradict_each_other_cannot_be_told(content_format: int) -> None:
    with pytest.raises(CodecError, match="/3/0/6 is a value, and has values below it"):
        content.encode(content_format, (3, 0), {(3, 0, 6): 1, (3, 0, 6, 0): 1})


def test_values_elsewhere_cannot_be_told() -> None:
    with pytest.raises(CodecError, match="/4/0/2 is not below /3/0"):
        content.encode(content.TLV, (3, 0), {(4, 0, 2): 1})
    with pytest.raises(CodecError):
        content.encode(content.TLV, (), {(4, 0, 2): 1})


def test_a_format_that_is_not_known() -> None:
    with pytest.raises(CodecError, match="content format 41 is not known here"):
        content.decode(41, (3, 0), b"")


@pytest.mark.parametrize("tree", [{"3": 1}, {-1: 1}, {65536: 1}, {True: 1}, {0: {0: {0: 1}}}])
def test_trees_that_are_none(tree: Any) -> None:
    with pytest.raises(CodecError):
        flat((3, 0), tree)


@given(path=st.lists(st.integers(0, 65535), max_size=4).map(tuple))
def test_paths_as_text(path: content.Path) -> None:
    assert path_of(name_of(path)) == path
    assert path_of(name_of(path)[1:]) == path


@pytest.mark.parametrize(
    "text", ["//", "3//0", "/03", "/65536", "/3/0/9/0/0", "/٣", "3/ 0", "/-1", "/3/0/x", "\n"]
)
def test_text_that_is_no_path(text: str) -> None:
    with pytest.raises(CodecError):
        path_of(text)


def test_a_float_resource_takes_an_integer() -> None:
    assert content.decode(content.SENML_JSON, (6, 0), b'[{"n":"/6/0/0","v":12}]') == {(6, 0, 0): 12.0}
    assert content.encode(content.TLV, (6, 0), {(6, 0, 0): 12}) == b"\xc8\x00\x08" + struct.pack(">d", 12)
    assert objects.kind_of((6, 0, 0)) == "float"
    assert content.decode(content.TEXT, (6, 0, 0), b"-.5") == {(6, 0, 0): -0.5}


def test_the_null_link() -> None:
    null = ObjectLink(65535, 65535)
    assert content.encode(content.TLV, (1, 0), {(1, 0, 10): null}) == b"\xc4\x0a\xff\xff\xff\xff"
    assert content.decode(content.TEXT, (1, 0, 10), b"65535:65535") == {(1, 0, 10): null}
