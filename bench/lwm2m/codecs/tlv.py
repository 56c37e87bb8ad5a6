"""LwM2M TLV (content format 11542; OMA LwM2M 1.0, section 6.4.3), on bytes only.

Values stay bytes here: their types are the object model's business.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from bench.lwm2m.codecs.error import CodecError

MAX_DEPTH = 2
"""Levels below the first: an object instance holds resources, a multiple resource its instances."""
MAX_RECORDS = 65536


class Kind(IntEnum):
    """Bits 7-6 of the type byte."""

    OBJECT_INSTANCE = 0
    RESOURCE_INSTANCE = 1
    MULTIPLE_RESOURCE = 2
    RESOURCE = 3


@dataclass(frozen=True, slots=True)
class Record:
    """One entry; `children` for object instances and multiple resources, else `value`."""

    kind: Kind
    id: int
    value: bytes = b""
    children: tuple[Record, ...] = ()


def encode(records: Iterable[Record]) -> bytes:
    return b"".join(_encode(record) for record in records)


def _encode(record: Record) -> bytes:
    nested = record.kind in (Kind.OBJECT_INSTANCE, Kind.MULTIPLE_RESOURCE)
    value = encode(record.children) if nested else record.value
    head = record.kind << 6
    if not 0 <= record.id <= 0xFFFF:
        raise CodecError(f"{record.id} is no ID")
    if record.id > 0xFF:
        head |= 0x20
        identifier = record.id.to_bytes(2, "big")
    else:
        identifier = bytes([record.id])
    if len(value) < 8:
        return bytes([head | len(value)]) + identifier + value
    width = (len(value).bit_length() + 7) // 8
    if width > 3:
        raise CodecError(f"a TLV value of {len(value)} bytes is too long")
    return bytes([head | width << 3]) + identifier + len(value).to_bytes(width, "big") + value


def decode(payload: bytes) -> tuple[Record, ...]:
    """Raises `CodecError` for truncated, too many or too deeply nested records."""
    return _decode(payload, 0, [0])


def _decode(data: bytes, depth: int, count: list[int]) -> tuple[Record, ...]:
    if depth > MAX_DEPTH:
        raise CodecError(f"TLV nested more than {MAX_DEPTH} deep")
    records, position = [], 0
    while position < len(data):
        count[0] += 1
        if count[0] > MAX_RECORDS:
            raise CodecError(f"more than {MAX_RECORDS} TLV records")
        head = data[position]
        kind = Kind(head >> 6)
        id_width = 2 if head & 0x20 else 1
        length_width = head >> 3 & 3
        start = position + 1 + id_width + length_width
        if start > len(data):
            raise CodecError(f"TLV header at byte {position} is cut off")
        identifier = int.from_bytes(data[position + 1 : position + 1 + id_width], "big")
        if length_width:
            length = int.from_bytes(data[start - length_width : start], "big")
        else:
            length = head & 7
        end = start + length
        if end > len(data):
            raise CodecError(f"TLV value of {length} bytes at byte {start} is cut off")
        value = data[start:end]
        if kind in (Kind.OBJECT_INSTANCE, Kind.MULTIPLE_RESOURCE):
            records.append(Record(kind, identifier, children=_decode(value, depth + 1, count)))
        else:
            records.append(Record(kind, identifier, value))
        position = end
    return tuple(records)
