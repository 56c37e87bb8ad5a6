"""The device's LwM2M objects as a tree of resources, and how values travel (text, opaque, TLV)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

TEXT, LINKS, OPAQUE, TLV = 0, 40, 42, 11542
READABLE_FORMATS = (TEXT, OPAQUE, TLV)

Path = tuple[int, ...]


@dataclass
class Resource:
    """`kind`: int, str, bytes, bool, none; `read`, `write` and `execute` where the object allows them.

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


def tlv_single(payload: bytes) -> tuple[int, bytes]:
    """Number and value of the one resource in a TLV payload. Raises `ValueError`."""
    if len(payload) < 2 or payload[0] & 0xC0 != _RESOURCE:
        raise ValueError("no single TLV resource")
    id_width = 2 if payload[0] & 0x20 else 1
    width = payload[0] >> 3 & 3
    start = 1 + id_width + width
    length = int.from_bytes(payload[1 + id_width : start], "big") if width else payload[0] & 7
    if start + length != len(payload):
        raise ValueError("TLV length does not fit")
    return int.from_bytes(payload[1 : 1 + id_width], "big"), payload[start:]
