"""LwM2M 1.0's own JSON (content format 11543; OMA LwM2M 1.0.2, section 6.4.4)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import ObjectLink

MAX_ENTRIES = 16384


def decode(payload: bytes) -> dict[str, Any]:
    """Name -> value; opaque values are still base64 text ("sv"). Raises `CodecError`."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"LwM2M JSON cannot be read: {str(error)[:80]}") from None
    if not isinstance(document, dict) or not isinstance(document.get("e"), list):
        raise CodecError("LwM2M JSON is an object with an array 'e'")
    base = document.get("bn", "")
    if not isinstance(base, str) or len(document["e"]) > MAX_ENTRIES:
        raise CodecError("LwM2M JSON with a bad base name, or too many entries")
    values: dict[str, Any] = {}
    for entry in document["e"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("n", ""), str):
            raise CodecError("an entry of LwM2M JSON is an object with a name")
        values[base + entry.get("n", "")] = _value(entry)
    return values


def _value(entry: dict[str, Any]) -> Any:
    match entry:
        case {"v": bool()}:
            raise CodecError("a number that is true or false")
        case {"v": int() | float() as number}:
            return number
        case {"bv": bool() as truth}:
            return truth
        case {"sv": str() as text}:
            return text
        case {"ov": str() as link}:
            return ObjectLink.parse(link)
    raise CodecError(f"an entry of LwM2M JSON without a value: {str(entry)[:40]}")


def encode(values: Mapping[str, Any]) -> bytes:
    entries = []
    for name, value in values.items():
        entry: dict[str, Any] = {"n": name}
        match value:
            case bool():
                entry["bv"] = value
            case int() | float():
                entry["v"] = value
            case ObjectLink():
                entry["ov"] = str(value)
            case bytes():
                entry["sv"] = base64.b64encode(value).decode()
            case _:
                entry["sv"] = str(value)
        entries.append(entry)
    try:
        return json.dumps({"bn": "", "e": entries}, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise CodecError(f"not to be told in JSON: {error}") from None
