"""SenML (RFC 8428) in JSON (content formats 110, 320) and CBOR (112, 322), as LwM2M 1.1 and 1.2 use it.

Names are absolute paths; `vlo` is LwM2M's label for an object link, "OBJECT:INSTANCE". A record without
a value (`Entry.value` is None) names a path, as the request of a composite Read does.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from typing import Any

from bench.lwm2m.codecs import cbor, strict_json
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import common_base, name_of, path_of
from bench.lwm2m.codecs.values import (
    Entry,
    ObjectLink,
    Path,
    Single,
    checked,
    checked_float,
)

MAX_RECORDS = 16384
VERSION = 10
"""The version of SenML that RFC 8428 describes: higher ones are not for us to read."""
_LABELS = {"bver": -1, "bn": -2, "bt": -3, "bu": -4, "bv": -5, "bs": -6}
_LABELS |= {"n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4, "s": 5, "t": 6, "ut": 7, "vd": 8}
"""RFC 8428, table 6."""
_NAMES = {number: name for name, number in _LABELS.items()}
_VALUES: dict[str, tuple[type, ...]] = {
    "v": (int, float),
    "vs": (str,),
    "vb": (bool,),
    "vd": (bytes,),
    "vlo": (str,),
}
_NUMBER_AS_TEXT = re.compile(r"-?[0-9]+")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*={0,2}")


def decode_json(payload: bytes) -> list[Entry]:
    """Raises `CodecError`."""
    records = strict_json.load(payload)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CodecError("a SenML pack is an array of objects")
    _check_count(records)
    for record in records:
        if "vd" in record:
            record["vd"] = _from_base64url(record["vd"])
    return _resolve(records)


def decode_cbor(payload: bytes) -> list[Entry]:
    """Raises `CodecError`."""
    packed = cbor.load(payload)
    if not isinstance(packed, list) or not all(isinstance(record, dict) for record in packed):
        raise CodecError("a SenML pack is an array of maps")
    _check_count(packed)
    return _resolve([_named(record) for record in packed])


def _check_count(records: list[Any]) -> None:
    if len(records) > MAX_RECORDS:
        raise CodecError(f"more than {MAX_RECORDS} SenML records")


def _named(record: dict[Any, Any]) -> dict[str, Any]:
    """Labels as in JSON. A number that is no label of RFC 8428 stays one, and is passed over.

    A label's number as a text ("3" for 3) is no label, and no name either: such a pack says nothing.
    """
    for label in record:
        if isinstance(label, str) and _NUMBER_AS_TEXT.fullmatch(label):
            raise CodecError(f"SenML label {label[:20]!r} is a text where CBOR has a number")
    found = {_NAMES.get(k, str(k)) if type(k) is int else str(k): v for k, v in record.items()}
    if len(found) != len(record):
        raise CodecError("a SenML record with the same label twice")
    return found


def _from_base64url(text: Any) -> bytes:
    """Padding may be there or not."""
    if not isinstance(text, str) or _BASE64URL.fullmatch(text) is None:
        raise CodecError(f"{str(text)[:20]!r} is no base64url")
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except (ValueError, binascii.Error):
        raise CodecError(f"{text[:20]!r} is no base64url") from None


def _resolve(records: list[dict[str, Any]]) -> list[Entry]:
    base_name, base_time, base_value = "", 0.0, 0
    entries = []
    for record in records:
        _check_labels(record)
        base_name = _text(record.get("bn", base_name))
        base_time = _number(record.get("bt", base_time))
        base_value = _number(record.get("bv", base_value))
        held = [label for label in _VALUES if label in record]
        if len(held) > 1:
            raise CodecError(f"{len(held)} values in one SenML record")
        value = None if not held else _value(held[0], record[held[0]], base_value)
        path = path_of(base_name + _text(record.get("n", "")))
        entries.append(Entry(path, value, checked_float(base_time + _number(record.get("t", 0)))))
    return entries


def _check_labels(record: dict[str, Any]) -> None:
    unknown = [label for label in record if label.endswith("_")]
    if unknown:  # RFC 8428, 4.4: must be understood
        raise CodecError(f"SenML label {unknown[0][:20]!r} is not known")
    version = record.get("bver", VERSION)
    if type(version) is not int or version > VERSION:
        raise CodecError(f"SenML of version {str(version)[:20]}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CodecError("a SenML name is a string")
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CodecError(f"{type(value).__name__} where a SenML number belongs")
    checked_float(value)
    return value


def _value(label: str, value: Any, base: Any) -> Single:
    good = isinstance(value, _VALUES[label]) and (label == "vb" or not isinstance(value, bool))
    if not good:
        raise CodecError(f"a SenML {label} of {type(value).__name__}")
    if label == "vlo":
        return ObjectLink.parse(value)
    if label == "v" and base:
        value += base
    return checked(value)


def encode_json(values: Mapping[Path, Single | None]) -> bytes:
    """A pack; a value of None only names a path."""
    records = _records(values.items())
    for record in records:
        if "vd" in record:
            record["vd"] = base64.urlsafe_b64encode(record["vd"]).decode().rstrip("=")
    return strict_json.dump(records)


def encode_cbor(values: Mapping[Path, Single | None]) -> bytes:
    """A pack; a value of None only names a path."""
    return cbor.dump(
        [{_LABELS.get(label, label): v for label, v in record.items()} for record in _records(values.items())]
    )


def _records(values: Iterable[tuple[Path, Single | None]]) -> list[dict[str, Any]]:
    """Records with the longest common base name, in the order given."""
    rows = [(name_of(path), value) for path, value in values]
    base = common_base([name for name, _ in rows])
    records: list[dict[str, Any]] = []
    for name, value in rows:
        record: dict[str, Any] = {"bn": base} if base and not records else {}
        record["n"] = name[len(base) :]
        if value is not None:
            label, plain = _labelled(value)
            record[label] = plain
        records.append(record)
    return records


def _labelled(value: Single) -> tuple[str, Any]:
    match checked(value):
        case bool():
            return "vb", value
        case int() | float():
            return "v", value
        case str():
            return "vs", value
        case bytes():
            return "vd", value
    return "vlo", str(value)
