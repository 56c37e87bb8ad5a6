"""Values by path, as people write them: a tree of IDs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import MAX_LEVELS, name_of
from bench.lwm2m.codecs.values import Path, Single


def nested(base: Path, values: Mapping[Path, Single]) -> Any:
    """Values below `base` as people write them.

    A resource is its value, or {instance: value} when it is multiple; an instance {resource: ...};
    an object {instance: {resource: ...}}.
    """
    if base in values:
        return values[base]
    tree: dict[int, Any] = {}
    for path, value in values.items():
        level = tree
        rest = path[len(base) :]
        for number in rest[:-1]:
            level = level.setdefault(number, {})
        level[rest[-1]] = value
    return tree


def flat(base: Path, value: Any) -> dict[Path, Any]:
    """The reverse of `nested`. Raises `CodecError` for what is no tree of IDs."""
    if not isinstance(value, Mapping):
        return {base: value}
    found: dict[Path, Any] = {}
    for number, inner in value.items():
        if type(number) is not int or not 0 <= number <= 0xFFFF or len(base) >= MAX_LEVELS:
            raise CodecError(f"{number!r} below {name_of(base)} is no ID")
        found |= flat((*base, number), inner)
    return found
