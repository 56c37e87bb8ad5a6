"""The types a resource's value has in Python, their range, and where a value belongs.

| type in the object model | in Python |
|---|---|
| integer, time (seconds since 1970) | `int`, of 64 bits with sign |
| unsigned integer | `int`, of 64 bits without sign |
| float | `float`, finite |
| boolean | `bool` |
| string | `str` that UTF-8 can tell |
| opaque | `bytes` |
| object link | `ObjectLink` |

A resource whose type is not known has what its content format says, or bytes in TLV.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from bench.lwm2m.codecs.error import CodecError

Path = tuple[int, ...]
"""(object, instance, resource[, resource instance]), or the beginning of it; () is the root."""
_LINK = re.compile(r"([0-9]{1,5}):([0-9]{1,5})")
_SIGNED_64, _UNSIGNED_64 = 1 << 63, 1 << 64


@dataclass(frozen=True, slots=True, order=True)
class ObjectLink:
    """An object instance; 65535:65535 is the null link. `str` gives "OBJECT:INSTANCE"."""

    object: int
    instance: int

    def __post_init__(self) -> None:
        if not (0 <= self.object <= 0xFFFF and 0 <= self.instance <= 0xFFFF):
            raise CodecError(f"{self.object}:{self.instance} is no object link")

    def __str__(self) -> str:
        return f"{self.object}:{self.instance}"

    @classmethod
    def parse(cls, text: str) -> ObjectLink:
        """Raises `CodecError`."""
        match = _LINK.fullmatch(text)
        if match is None:
            raise CodecError(f"{text[:20]!r} is no object link")
        return cls(int(match[1]), int(match[2]))


Single = int | float | bool | str | bytes | ObjectLink
Value = Single | dict[int, Single]
"""One value, or those of a multiple resource by instance."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a payload says of one path.

    `time` is seconds since 1970, or relative to now when it is less than 2 ** 28 (RFC 8428, 4.5.3).
    """

    path: Path
    value: Any
    time: float = 0


def checked_integer(value: int) -> int:
    """Raises `CodecError` beyond 64 bits, with or without sign."""
    if not -_SIGNED_64 <= value < _UNSIGNED_64:
        raise CodecError("an integer of more than 64 bits")
    return value


def checked_signed(value: int) -> int:
    """Raises `CodecError` beyond 64 bits with sign."""
    if not -_SIGNED_64 <= value < _SIGNED_64:
        raise CodecError("an integer of more than 64 bits with sign")
    return value


def checked_unsigned(value: int) -> int:
    """Raises `CodecError` below 0 and beyond 64 bits."""
    if not 0 <= value < _UNSIGNED_64:
        raise CodecError("no unsigned integer of 64 bits")
    return value


def checked_float(value: float) -> float:
    """Raises `CodecError` for what is no number, and for infinity (or an integer beyond a float's range)."""
    try:
        found = float(value)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise CodecError("a float that is not finite")
    return found


def checked_text(value: str) -> str:
    """Raises `CodecError` for half a surrogate pair, which JSON can name and UTF-8 cannot."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise CodecError("a string that UTF-8 cannot tell") from None
    return value


def checked(value: Any) -> Single:
    """A value of a type that is not known from elsewhere. Raises `CodecError` when it is none at all."""
    match value:
        case bool() | bytes() | ObjectLink():
            return value
        case int():
            return checked_integer(value)
        case float():
            return checked_float(value)
        case str():
            return checked_text(value)
    raise CodecError(f"{type(value).__name__} is no value of a resource")
