"""CBOR (RFC 8949) from strangers: one item, of plain types, within bounds.

A time may carry tag 1: the library makes a `datetime` of it, which becomes seconds since 1970 again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import cbor2

from bench.lwm2m.codecs.error import CodecError

MAX_DEPTH = 8
MAX_ITEMS = 100_000


def load(payload: bytes) -> Any:
    """The one item in `payload`. Raises `CodecError`."""
    stream = io.BytesIO(payload)
    try:
        item = cbor2.load(stream)
    except Exception as error:  # whatever a stranger's bytes make the library raise
        raise CodecError(f"CBOR cannot be read: {type(error).__name__}: {str(error)[:80]}") from None
    if stream.tell() != len(payload):
        raise CodecError(f"{len(payload) - stream.tell()} bytes after the CBOR item")
    return _plain(item, 0, [0])


def _plain(item: Any, depth: int, count: list[int]) -> Any:
    """The same of plain types only; tags may have made anything. Not too deep, not too many."""
    count[0] += 1
    if depth > MAX_DEPTH or count[0] > MAX_ITEMS:
        raise CodecError("CBOR nested too deep, or too many items")
    if isinstance(item, Mapping):
        return {_key(key): _plain(value, depth + 1, count) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_plain(value, depth + 1, count) for value in item]
    if isinstance(item, datetime):
        return int(item.timestamp())
    if isinstance(item, (int, float, str, bytes, bool, type(None))):
        return item
    raise CodecError(f"CBOR value of {type(item).__name__}")


def _key(key: Any) -> int | str | tuple[Any, ...]:
    if isinstance(key, (int, str)):
        return key
    if isinstance(key, (list, tuple)):
        return tuple(key)
    raise CodecError(f"a CBOR map with a key of {type(key).__name__}")
