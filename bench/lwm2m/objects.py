"""The object model: what is known of the resources of OMA objects, and their values as bytes and text."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from typing import Any

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import ObjectLink, checked_integer
from bench.lwm2m.object_tables import TABLES

Single = int | float | bool | str | bytes | ObjectLink
Value = Single | dict[int, Single]
"""One value, or those of a multiple resource by instance."""


@dataclass(frozen=True, slots=True)
class Resource:
    """`operations`: letters of R, W, E; `kind`: int, float, bool, str, bytes, time, objlnk or none."""

    name: str
    operations: str
    kind: str
    multiple: bool = False


def _table(rows: str) -> dict[int, Resource]:
    table = {}
    for row in rows.strip().splitlines():
        number, operations, kind, name = row.split(None, 3)
        multiple = kind.endswith("[]")
        table[int(number)] = Resource(name, operations.strip("-"), kind.removesuffix("[]"), multiple)
    return table


OBJECTS: dict[int, dict[int, Resource]] = {number: _table(rows) for number, rows in TABLES.items()}


def kind_of(path: tuple[int, ...]) -> str | None:
    """The type of the resource at `path` (object, instance, resource, ...), None when it is not known."""
    known = resource(path[0], path[2]) if len(path) > 2 else None
    return None if known is None else known.kind


def resource(object_id: int, resource_id: int) -> Resource | None:
    return OBJECTS.get(object_id, {}).get(resource_id)


def from_text(kind: str | None, text: str) -> Single:
    """A text/plain value as Python's. Raises `CodecError` when it is none of its kind."""
    try:
        if kind in ("int", "time"):
            if not text.lstrip("-").isascii() or not text.lstrip("-").isdigit():
                raise ValueError
            return checked_integer(int(text[:24]))
        if kind == "float":
            return float(text)
    except ValueError:
        raise CodecError(f"{text[:40]!r} is no {kind}") from None
    if kind == "bool":
        if text not in ("0", "1"):
            raise CodecError(f"{text[:40]!r} is no bool")
        return text == "1"
    if kind == "objlnk":
        return ObjectLink.parse(text)
    if kind == "bytes":
        try:
            return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise CodecError(f"{text[:20]!r} is no base64") from None
    return text


def to_text(value: Single) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, bytes):
        raise CodecError("bytes are not told as text")
    return repr(value) if isinstance(value, float) else str(value)


def from_bytes(kind: str | None, data: bytes) -> Single:
    """A TLV value as Python's. Raises `CodecError` when its length does not fit its kind."""
    match kind:
        case "int" | "time":
            if len(data) not in (1, 2, 4, 8):
                raise CodecError(f"an integer of {len(data)} bytes")
            return int.from_bytes(data, "big", signed=True)
        case "bool":
            if data not in (b"\0", b"\1"):
                raise CodecError(f"a bool of bytes {data[:4].hex()}")
            return data == b"\1"
        case "float":
            if len(data) not in (4, 8):
                raise CodecError(f"a float of {len(data)} bytes")
            value: float = struct.unpack(">f" if len(data) == 4 else ">d", data)[0]
            return value
        case "objlnk":
            if len(data) != 4:
                raise CodecError(f"an object link of {len(data)} bytes")
            return ObjectLink(*struct.unpack(">HH", data))
        case "str":
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise CodecError(f"a string that is not UTF-8: {error.reason}") from None
    return data


def to_bytes(value: Single) -> bytes:
    """A value as TLV has it (OMA LwM2M 1.1 core, appendix C)."""
    match value:
        case bool():
            return b"\1" if value else b"\0"
        case int():
            for width in (1, 2, 4, 8):
                if -(1 << (8 * width - 1)) <= value < 1 << (8 * width - 1):
                    return value.to_bytes(width, "big", signed=True)
            raise CodecError("an integer of more than 64 bits")
        case float():
            return struct.pack(">d", value)
        case ObjectLink():
            return struct.pack(">HH", value.object, value.instance)
        case str():
            return value.encode()
    return value


def typed(path: tuple[int, ...], value: Any) -> Single:
    """What a self-describing format gave, as the resource's own type. Raises `CodecError`."""
    kind = kind_of(path)
    match kind, value:
        case ("bool", bool()) | ("str", str()) | ("bytes", bytes()) | ("objlnk", ObjectLink()):
            return value
        case ("float", int() | float()) if not isinstance(value, bool):
            return float(value)
        case ("int" | "time", int()) if not isinstance(value, bool):
            return checked_integer(value)
        case ("int" | "time", float()) if value.is_integer():
            return checked_integer(int(value))
        case ("objlnk", str()):
            return ObjectLink.parse(value)
        case (None | "none", bool() | float() | str() | bytes() | ObjectLink()):
            return value
        case (None | "none", int()):
            return checked_integer(value)
    name = "/" + "/".join(map(str, path))
    raise CodecError(f"{name} is no {type(value).__name__}, but {kind}")
