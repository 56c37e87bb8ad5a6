"""The types a resource's value has in Python, and their range.

Integer and time: `int` of 64 bits; float: `float`; boolean: `bool`; string: `str`; opaque: `bytes`;
object link: `ObjectLink`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.lwm2m.codecs.error import CodecError

_LINK = re.compile(r"(\d{1,5}):(\d{1,5})")


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


def checked_integer(value: int) -> int:
    """Raises `CodecError` beyond 64 bits (unsigned integers included)."""
    if not -(1 << 63) <= value < 1 << 64:
        raise CodecError("an integer of more than 64 bits")
    return value
