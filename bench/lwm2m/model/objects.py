"""The object model: what is known of the resources of OMA objects, and their values as bytes and text."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of
from bench.lwm2m.codecs.values import (
    ObjectLink,
    Path,
    Single,
    Value,
    checked,
    checked_float,
    checked_signed,
    checked_text,
    checked_unsigned,
)
from bench.lwm2m.model.object_tables import TABLES

__all__ = ["OBJECTS", "Resource", "Single", "Value", "from_bytes", "from_text", "kind_of", "resource"]

_INTEGER = re.compile(r"-?[0-9]{1,20}")
_NUMBER = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Resource:
    """`operations`: letters of R, W, E; `kind`: int, uint, float, bool, str, bytes, time, objlnk or none."""

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


def resource(object_id: int, resource_id: int) -> Resource | None:
    return OBJECTS.get(object_id, {}).get(resource_id)


def kind_of(path: Path) -> str | None:
    """The type of the resource at `path` (object, instance, resource, ...), None when it is not known."""
    known = resource(path[0], path[2]) if len(path) > 2 else None
    return None if known is None or known.kind == "none" else known.kind


# ---- text/plain (OMA LwM2M 1.0, 6.4.1; data types in appendix C)


def from_text(kind: str | None, text: str) -> Single:
    """Raises `CodecError` when `text` is no value of its kind."""
    match kind:
        case "int" | "time" | "uint":
            if _INTEGER.fullmatch(text) is None:
                raise CodecError(f"{text[:40]!r} is no {kind}")
            return checked_unsigned(int(text)) if kind == "uint" else checked_signed(int(text))
        case "float":
            if _NUMBER.fullmatch(text) is None:
                raise CodecError(f"{text[:40]!r} is no float")
            return checked_float(float(text))
        case "bool":
            if text not in ("0", "1"):
                raise CodecError(f"{text[:40]!r} is no bool")
            return text == "1"
        case "objlnk":
            return ObjectLink.parse(text)
        case "bytes":
            return from_base64(text)
    return text


def from_base64(text: str) -> bytes:
    """Raises `CodecError`."""
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise CodecError(f"{text[:20]!r} is no base64") from None


def to_text(value: Single) -> str:
    match checked(value):
        case bool():
            return "1" if value else "0"
        case bytes() as opaque:
            return base64.b64encode(opaque).decode()
        case float():
            return repr(value)
    return str(value)


# ---- TLV (OMA LwM2M 1.0, 6.4.3; data types in appendix C)


def from_bytes(kind: str | None, data: bytes) -> Single:
    """Raises `CodecError` when `data` is no value of its kind."""
    match kind:
        case "int" | "time" | "uint":
            if len(data) not in (1, 2, 4, 8):
                raise CodecError(f"an integer of {len(data)} bytes")
            return int.from_bytes(data, "big", signed=kind != "uint")
        case "bool":
            if data not in (b"\0", b"\1"):
                raise CodecError(f"a bool of bytes {data[:4].hex()}")
            return data == b"\1"
        case "float":
            if len(data) not in (4, 8):
                raise CodecError(f"a float of {len(data)} bytes")
            return checked_float(struct.unpack(">f" if len(data) == 4 else ">d", data)[0])
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


def to_bytes(kind: str | None, value: Single) -> bytes:
    """The shortest form. Raises `CodecError` beyond 64 bits."""
    match value:
        case bool():
            return b"\1" if value else b"\0"
        case int():
            signed = kind != "uint"
            for width in (1, 2, 4, 8):
                try:
                    return value.to_bytes(width, "big", signed=signed)
                except OverflowError:
                    continue
            raise CodecError("an integer of more than 64 bits")
        case float():
            return struct.pack(">d", value)
        case ObjectLink():
            return struct.pack(">HH", value.object, value.instance)
        case str():
            return checked_text(value).encode()
    return value


# ---- formats that tell the type themselves


def typed(path: Path, value: object) -> Single:
    """What a self-describing format gave, as the resource's own type. Raises `CodecError`."""
    kind = kind_of(path)
    match kind, value:
        case (None, _):
            return checked(value)
        case ("bool", bool()) | ("bytes", bytes()) | ("objlnk", ObjectLink()):
            return checked(value)
        case ("str", str()):
            return checked_text(value)
        case ("float", int() | float()) if not isinstance(value, bool):
            return checked_float(value)
        case ("int" | "time", int()) if not isinstance(value, bool):
            return checked_signed(value)
        case ("uint", int()) if not isinstance(value, bool):
            return checked_unsigned(value)
        case ("int" | "time", float()) if value.is_integer():
            return checked_signed(int(value))
        case ("uint", float()) if value.is_integer():
            return checked_unsigned(int(value))
        case ("time", float()):
            return checked_signed(int(checked_float(value)))  # whole seconds
        case ("objlnk", str()):
            return ObjectLink.parse(value)
    raise CodecError(f"{name_of(path)} is no {type(value).__name__}, but {kind}")
