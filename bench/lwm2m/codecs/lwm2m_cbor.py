"""LwM2M CBOR (content format 11544; OMA LwM2M 1.2 core, section 7.4.7): nested maps by ID.

A key is an ID, or an array of several levels' IDs at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cbor2

from bench.lwm2m.codecs import cbor
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import ObjectLink

Path = tuple[int, ...]
MAX_LEVELS = 4


def decode(payload: bytes) -> dict[Path, Any]:
    """Path -> value, object links still as text. Raises `CodecError`."""
    document = cbor.load(payload)
    if not isinstance(document, dict):
        raise CodecError("LwM2M CBOR is a map")
    values: dict[Path, Any] = {}
    _collect(document, (), values)
    return values


def _collect(level: dict[Any, Any], above: Path, into: dict[Path, Any]) -> None:
    for key, value in level.items():
        numbers = key if isinstance(key, tuple) else (key,)
        if not numbers or not all(type(n) is int and 0 <= n <= 0xFFFF for n in numbers):
            raise CodecError(f"{str(key)[:20]!r} is no ID")
        path = above + numbers
        if len(path) > MAX_LEVELS:
            raise CodecError("LwM2M CBOR with more than four levels")
        if isinstance(value, dict):
            _collect(value, path, into)
        elif isinstance(value, (list, tuple)):
            raise CodecError("an array where a value belongs")
        elif path in into:
            raise CodecError(f"/{'/'.join(map(str, path))} twice")
        else:
            into[path] = value


def encode(values: Mapping[Path, Any]) -> bytes:
    root: dict[int, Any] = {}
    for path, value in sorted(values.items()):
        level = root
        for number in path[:-1]:
            level = level.setdefault(number, {})
        level[path[-1]] = str(value) if isinstance(value, ObjectLink) else value
    return cbor2.dumps(root)
