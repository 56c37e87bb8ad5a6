"""The device's LwM2M objects as a tree of resources, and how values travel (text, opaque, TLV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cbor2

TEXT, LINKS, OPAQUE, SENML_CBOR, TLV = 0, 40, 42, 112, 11542

Path = tuple[int, ...]


class Link(NamedTuple):
    """An object link: object and instance, each of 16 bits (LwM2M core, data types: Objlnk)."""

    object: int
    instance: int

    def __str__(self) -> str:
        return f"{self.object}:{self.instance}"


@dataclass
class Resource:
    """`kind`: int, str, bytes, bool, link, none; `read`, `write` and `execute` where the object allows them.

    `write` and `execute` return a CoAP code. A multiple resource reads as {instance: value}.
    """

    kind: str
    read: Callable[[], Any] | None = None
    write: Callable[[Any], int] | None = None
    execute: Callable[[bytes], int] | None = None


@dataclass
class Instance:
    """One object instance; `readable` is False where only the bootstrap server may look (Security)."""

    resources: dict[int, Resource] = field(default_factory=dict)
    readable: bool = True


Tree = dict[int, dict[int, Instance]]


# ---- values ---------------------------------------------------------------------------------------


def integer_bytes(value: int) -> bytes:
    """The shortest of 1, 2, 4, 8 bytes, two's complement, big-endian (TLV integers)."""
    for width in (1, 2, 4, 8):
        if -(1 << (8 * width - 1)) <= value < 1 << (8 * width - 1):
            return value.to_bytes(width, "big", signed=True)
    raise ValueError(f"{value} does not fit 64 bits")


def to_text(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"1" if value else b"0"
    return value if isinstance(value, bytes) else str(value).encode()


def to_binary(value: Any) -> bytes:
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int):
        return integer_bytes(value)
    if isinstance(value, Link):
        return value.object.to_bytes(2, "big") + value.instance.to_bytes(2, "big")
    return value if isinstance(value, bytes) else str(value).encode()


def from_text(kind: str, payload: bytes) -> Any:
    """Raises `ValueError` when the text is none of the kind."""
    text = payload.decode("utf-8")
    if kind == "int":
        return int(text)
    if kind == "bool":
        if text not in ("0", "1"):
            raise ValueError(text)
        return text == "1"
    return payload if kind == "bytes" else text


def from_binary(kind: str, payload: bytes) -> Any:
    if kind == "int":
        if len(payload) not in (1, 2, 4, 8):
            raise ValueError(f"integer of {len(payload)} bytes")
        return int.from_bytes(payload, "big", signed=True)
    if kind == "bool":
        return payload == b"\1"
    return payload if kind == "bytes" else payload.decode("utf-8")


# ---- TLV ------------------------------------------------------------------------------------------

_INSTANCE, _ITEM, _MULTIPLE, _RESOURCE = 0x00, 0x40, 0x80, 0xC0


def _entry(kind: int, number: int, value: bytes) -> bytes:
    head = kind | (0x20 if number > 255 else 0)
    ident = number.to_bytes(2 if number > 255 else 1, "big")
    size = len(value)
    if size < 8:
        return bytes([head | size]) + ident + value
    width = 1 if size < 1 << 8 else 2 if size < 1 << 16 else 3
    return bytes([head | width << 3]) + ident + size.to_bytes(width, "big") + value


def tlv_resource(number: int, value: Any) -> bytes:
    if isinstance(value, dict):
        inner = b"".join(_entry(_ITEM, n, to_binary(v)) for n, v in value.items())
        return _entry(_MULTIPLE, number, inner)
    return _entry(_RESOURCE, number, to_binary(value))


def tlv_instance(instance: Instance) -> bytes:
    return b"".join(
        tlv_resource(number, resource.read())
        for number, resource in sorted(instance.resources.items())
        if resource.read is not None
    )


def tlv_object(instances: dict[int, Instance]) -> bytes:
    return b"".join(_entry(_INSTANCE, n, tlv_instance(i)) for n, i in sorted(instances.items()))


def tlv_header(payload: bytes) -> tuple[int, int, int]:
    """Number and value length of the resource that starts `payload`, and its header's size.

    Raises `ValueError` when no resource with a single value does.
    """
    if not payload or payload[0] & 0xC0 != _RESOURCE:
        raise ValueError("no single TLV resource")
    id_width = 2 if payload[0] & 0x20 else 1
    width = payload[0] >> 3 & 3
    start = 1 + id_width + width
    if len(payload) < start:
        raise ValueError("TLV header is cut off")
    length = int.from_bytes(payload[1 + id_width : start], "big") if width else payload[0] & 7
    return int.from_bytes(payload[1 : 1 + id_width], "big"), length, start


def tlv_single(payload: bytes) -> tuple[int, bytes]:
    """Number and value of the one resource in a TLV payload. Raises `ValueError`."""
    number, length, start = tlv_header(payload)
    if start + length != len(payload):
        raise ValueError("TLV length does not fit")
    return number, payload[start:]


def tlv_values(payload: bytes) -> list[tuple[int, bytes]]:
    """Number and value of each resource in the TLV payload of an instance. Raises `ValueError`."""
    values = []
    while payload:
        number, length, start = tlv_header(payload)
        if start + length > len(payload):
            raise ValueError("TLV value is cut off")
        values.append((number, payload[start : start + length]))
        payload = payload[start + length :]
    return values


# ---- SenML in CBOR (RFC 8428, LwM2M 1.1 7.4.4) -----------------------------------------------------

_BASE_NAME, _NAME, _NUMBER, _STRING, _BOOLEAN, _DATA = -2, 0, 2, 3, 4, 8


_LINK = "vlo"  # has no number (LwM2M core 1.1, 7.4.4)


def _senml_label(value: Any) -> int | str:
    if isinstance(value, bool):
        return _BOOLEAN
    labels: dict[type, int | str] = {int: _NUMBER, str: _STRING, bytes: _DATA, Link: _LINK}
    return labels[type(value)]


def senml(base: Path, rows: list[tuple[Path, Any]]) -> bytes:
    """A pack of values, each with its path relative to `base`; multiple resources are spread out."""
    records: list[dict[int | str, Any]] = []
    spread = [
        (path + extra, item)
        for path, value in rows
        for extra, item in (
            [((number,), item) for number, item in value.items()]
            if isinstance(value, dict)
            else [((), value)]
        )
    ]
    for path, value in spread:
        record: dict[int | str, Any] = {}
        if not records:
            record[_BASE_NAME] = "/" + "/".join(map(str, base)) + ("/" if base and path else "")
        if path:
            record[_NAME] = "/".join(map(str, path))
        record[_senml_label(value)] = str(value) if isinstance(value, Link) else value
        records.append(record)
    return cbor2.dumps(records)


def senml_single(payload: bytes, path: Path, kind: str) -> Any:
    """The value of the one resource in a pack. Raises `ValueError`."""
    try:
        (record,) = cbor2.loads(payload)
        name = record.get(_BASE_NAME, "") + record.get(_NAME, "")
        (value,) = (record[label] for label in (_NUMBER, _STRING, _BOOLEAN, _DATA) if label in record)
    except (cbor2.CBORDecodeError, EOFError, TypeError, AttributeError, ValueError):
        raise ValueError("malformed SenML") from None
    if name != "/" + "/".join(map(str, path)):
        raise ValueError(f"SenML names {name}")
    if type(value) is not {"int": int, "bool": bool, "bytes": bytes}.get(kind, str):
        raise ValueError(f"{name} is no {kind}")
    return value
