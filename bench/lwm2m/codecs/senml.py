"""SenML (RFC 8428) in JSON (content format 110) and CBOR (112), as LwM2M 1.1 and 1.2 use it.

Names are paths; `vlo` is LwM2M's label for an object link, "OBJECT:INSTANCE".
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from typing import Any

import cbor2

from bench.lwm2m.codecs import cbor
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import ObjectLink

MAX_RECORDS = 16384
_LABELS = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6}
_LABELS |= {"n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8}
"""RFC 8428, table 6."""
_NAMES = {number: name for name, number in _LABELS.items()}
_VALUES = ("v", "vs", "vb", "vd", "vlo")


def decode_json(payload: bytes) -> dict[str, Any]:
    """Name -> value. Raises `CodecError`."""
    try:
        records = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"SenML-JSON cannot be read: {str(error)[:80]}") from None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CodecError("a SenML pack is an array of objects")
    for record in records:
        if "vd" in record:
            record["vd"] = _from_base64(record["vd"])
    return _resolve(records)


def _no_constant(name: str) -> Any:
    raise CodecError(f"{name} is no number of JSON")


def _from_base64(text: Any) -> bytes:
    try:
        if not isinstance(text, str):
            raise TypeError
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, TypeError, binascii.Error):
        raise CodecError(f"{str(text)[:20]!r} is no base64") from None


def decode_cbor(payload: bytes) -> dict[str, Any]:
    """Name -> value. Raises `CodecError`."""
    packed = cbor.load(payload)
    if not isinstance(packed, list):
        raise CodecError("a SenML pack is an array")
    records = []
    for record in packed:
        if not isinstance(record, dict):
            raise CodecError("a SenML record is a map")
        records.append({_NAMES.get(k, str(k)) if type(k) is int else str(k): v for k, v in record.items()})
    return _resolve(records)


def _resolve(records: list[dict[str, Any]]) -> dict[str, Any]:
    if len(records) > MAX_RECORDS:
        raise CodecError(f"more than {MAX_RECORDS} SenML records")
    base, base_value = "", 0
    values: dict[str, Any] = {}
    for record in records:
        unknown = [label for label in record if isinstance(label, str) and label.endswith("_")]
        if unknown:  # RFC 8428, 4.4: must be understood
            raise CodecError(f"SenML label {unknown[0][:20]!r} is not known")
        base, name = record.get("bn", base), record.get("n", "")
        base_value = record.get("bv", base_value)
        if not isinstance(base, str) or not isinstance(name, str):
            raise CodecError("a SenML name is a string")
        held = [label for label in _VALUES if label in record]
        if len(held) > 1:
            raise CodecError(f"{len(held)} values in one SenML record")
        if not held:
            if "n" in record:
                values.setdefault(base + name, None)
            continue
        value = record[held[0]]
        _check(held[0], value)
        if held[0] == "v" and base_value:
            _check("v", base_value)
            value += base_value
        values[base + name] = ObjectLink.parse(value) if held[0] == "vlo" else value
    return values


def _check(label: str, value: Any) -> None:
    kinds: dict[str, tuple[type, ...]] = {
        "v": (int, float),
        "vs": (str,),
        "vb": (bool,),
        "vd": (bytes,),
        "vlo": (str,),
    }
    good = isinstance(value, kinds[label]) and (label == "vb" or not isinstance(value, bool))
    if not good:
        raise CodecError(f"a SenML {label} of {type(value).__name__}")


def _records(values: Iterable[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Records with the longest common base name."""
    rows = list(values)
    base = ""
    if len(rows) > 1:
        shortest = min((name for name, _ in rows), key=len)
        while shortest and not all(name.startswith(shortest) for name, _ in rows):
            shortest = shortest[:-1]
        base = shortest[: shortest.rfind("/") + 1]
    records: list[dict[str, Any]] = []
    for name, value in rows:
        record: dict[str, Any] = {}
        if not records and base:
            record["bn"] = base
        record["n"] = name[len(base) :]
        if value is not None:
            label, plain = _label(value)
            record[label] = plain
        records.append(record)
    return records


def _label(value: Any) -> tuple[str, Any]:
    match value:
        case bool():
            return "vb", value
        case int() | float():
            return "v", value
        case str():
            return "vs", value
        case bytes():
            return "vd", value
        case ObjectLink():
            return "vlo", str(value)
    raise CodecError(f"{type(value).__name__} is no value of a resource")


def encode_json(values: Mapping[str, Any]) -> bytes:
    """A pack; a value of None only names a path, as a composite Read wants it."""
    records = _records(values.items())
    for record in records:
        if "vd" in record:
            record["vd"] = base64.urlsafe_b64encode(record["vd"]).decode().rstrip("=")
    try:
        return json.dumps(records, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise CodecError(f"not to be told in JSON: {error}") from None


def encode_cbor(values: Mapping[str, Any]) -> bytes:
    return cbor2.dumps(
        [{_LABELS.get(label, label): v for label, v in record.items()} for record in _records(values.items())]
    )
