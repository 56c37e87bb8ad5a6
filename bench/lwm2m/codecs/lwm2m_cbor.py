"""LwM2M CBOR (content format 11544; OMA LwM2M 1.2 core, section 7.4.7): nested maps by ID from the root.

A key is an ID, or an array of several levels' IDs at once. An object link is text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.lwm2m.codecs import cbor
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import MAX_LEVELS, name_of
from bench.lwm2m.codecs.values import Entry, ObjectLink, Path, Single, checked


def decode(payload: bytes) -> list[Entry]:
    """Object links are still text. Raises `CodecError`."""
    document = cbor.load(payload)
    if not isinstance(document, dict):
        raise CodecError("LwM2M CBOR is a map")
    entries: list[Entry] = []
    _collect(document, (), entries)
    return entries


def _collect(level: dict[Any, Any], above: Path, into: list[Entry]) -> None:
    for key, value in level.items():
        numbers = key if isinstance(key, tuple) else (key,)
        if not numbers or not all(type(n) is int and 0 <= n <= 0xFFFF for n in numbers):
            raise CodecError(f"{str(key)[:20]!r} is no ID")
        path = above + numbers
        if len(path) > MAX_LEVELS:
            raise CodecError(f"LwM2M CBOR with more than {MAX_LEVELS} levels")
        if isinstance(value, dict):
            _collect(value, path, into)
        else:
            into.append(Entry(path, checked(value)))


def encode(values: Mapping[Path, Single]) -> bytes:
    """Raises `CodecError`."""
    root: dict[int, Any] = {}
    for path, value in sorted(values.items()):
        level: Any = root
        for number in path[:-1]:
            level = level.setdefault(number, {})
            if not isinstance(level, dict):
                raise CodecError(f"{name_of(path)} is below a value")
        level[path[-1]] = str(value) if isinstance(value, ObjectLink) else checked(value)
    return cbor.dump(root)
