"""JSON (RFC 8259) from strangers: UTF-8, no member twice, numbers that are numbers."""

from __future__ import annotations

import json
import math
from typing import Any

from bench.lwm2m.codecs.error import CodecError


def load(payload: bytes) -> Any:
    """The one value in `payload`. Raises `CodecError`."""
    try:
        return _DECODER.decode(payload.decode("utf-8"))
    except CodecError:
        raise
    except (ValueError, RecursionError) as error:
        raise CodecError(f"JSON cannot be read: {str(error)[:80]}") from None


def dump(value: Any) -> bytes:
    """Raises `CodecError` for what JSON or UTF-8 cannot tell."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise CodecError(f"not to be told in JSON: {error}") from None


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise CodecError("a JSON object with the same member twice")
    return found


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise CodecError(f"{text[:20]} is beyond a float's range")
    return value


def _constant(name: str) -> Any:
    raise CodecError(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_float=_float, parse_constant=_constant)
