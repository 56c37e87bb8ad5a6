"""LwM2M 1.0's own JSON (content format 11543; OMA LwM2M 1.0.2, section 6.4.4).

Names are absolute with the base name before them, or relative to what was asked for. Opaque values are
base64 text.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from bench.lwm2m.codecs import strict_json
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import common_base, name_of, path_of
from bench.lwm2m.codecs.values import Entry, ObjectLink, Path, Single, checked, checked_float

MAX_ENTRIES = 16384


def decode(base: Path, payload: bytes) -> list[Entry]:
    """Raises `CodecError`. An opaque value is still text."""
    document = strict_json.load(payload)
    if not isinstance(document, dict) or not isinstance(document.get("e"), list):
        raise CodecError("LwM2M JSON is an object with an array 'e'")
    if len(document["e"]) > MAX_ENTRIES:
        raise CodecError(f"more than {MAX_ENTRIES} entries of LwM2M JSON")
    prefix, begin = document.get("bn", ""), _time(document.get("bt", 0))
    if not isinstance(prefix, str):
        raise CodecError("the base name of LwM2M JSON is a string")
    entries = []
    for entry in document["e"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("n", ""), str):
            raise CodecError("an entry of LwM2M JSON is an object with a name")
        name = prefix + entry.get("n", "")
        path = path_of(name) if name.startswith("/") else base + path_of(name)
        entries.append(Entry(path, _value(entry), begin + _time(entry.get("t", 0))))
    return entries


def _time(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CodecError("a time of LwM2M JSON is a number")
    return checked_float(value)


def _value(entry: dict[str, Any]) -> Single:
    held = [label for label in ("v", "bv", "sv", "ov") if label in entry]
    if len(held) > 1:
        raise CodecError(f"{len(held)} values in one entry of LwM2M JSON")
    match entry:
        case {"v": bool()}:
            raise CodecError("a number that is true or false")
        case {"v": int() | float() as number}:
            return checked(number)
        case {"bv": bool() as truth}:
            return truth
        case {"sv": str() as text}:
            return checked(text)
        case {"ov": str() as link}:
            return ObjectLink.parse(link)
    raise CodecError(f"an entry of LwM2M JSON without a value: {str(entry)[:40]}")


def encode(values: Mapping[Path, Single]) -> bytes:
    """Raises `CodecError`."""
    names = [name_of(path) for path in values]
    base = common_base(names)
    entries = [
        {"n": name[len(base) :]} | _labelled(value)
        for name, value in zip(names, values.values(), strict=True)
    ]
    return strict_json.dump({"bn": base, "e": entries})


def _labelled(value: Single) -> dict[str, Any]:
    match checked(value):
        case bool():
            return {"bv": value}
        case int() | float():
            return {"v": value}
        case ObjectLink():
            return {"ov": str(value)}
        case bytes() as opaque:
            return {"sv": base64.b64encode(opaque).decode()}
    return {"sv": value}
