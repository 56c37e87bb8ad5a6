"""CBOR (RFC 8949) from strangers: one item, of plain types, within bounds.

The library makes whatever a tag asks for (regular expressions, huge powers, cycles), merges keys that
come twice, and believes declared lengths. So the payload is walked once before the library has it: what
passes is small, flat, complete and without tags, but for three that stand for a number: decimal fractions
(tag 4, RFC 8949 section 3.4.4), which SenML allows (RFC 8428 section 6), and times as text (tag 0) or as a
number (tag 1), section 3.4.1 and 3.4.2.
"""

from __future__ import annotations

import datetime
import decimal
from dataclasses import dataclass
from typing import Any

import cbor2

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import checked_float

MAX_DEPTH = 8
MAX_ITEMS = 250_000
"""16,384 records of SenML with six labels each have fewer."""
_TEXT_TIME_TAG, _EPOCH_TAG, _DECIMAL_TAG = 0xC0, 0xC1, 0xC4
_PAIR = 0x82
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLE_VALUES = (20, 21, 22)
"""False, true, null."""
_FLOATS = (25, 26, 27)
_INDEFINITE = 31


def load(payload: bytes) -> Any:
    """The one item in `payload`: int, float, str, bytes, bool, None, list, dict; a key may be a tuple.

    A time is seconds since 1970, a decimal fraction a float.

    Raises `CodecError`.
    """
    walk = _Walk(payload)
    walk.run()
    try:
        item = cbor2.loads(bytes(walk.untagged))
    except (cbor2.CBORDecodeError, ValueError, TypeError, ArithmeticError) as error:
        raise CodecError(f"CBOR cannot be read: {str(error)[:80]}") from None
    if _pairs(item) != walk.pairs:
        raise CodecError("a CBOR map with the same key twice")
    try:
        return _plain(item)
    except (ArithmeticError, ValueError, OSError) as error:
        raise CodecError(f"a CBOR number or time that is none: {str(error)[:80]}") from None


def _plain(item: Any) -> Any:
    """Numbers for what the library makes of the tags that are let pass."""
    match item:
        case list():
            return [_plain(one) for one in item]
        case dict():
            return {key: _plain(value) for key, value in item.items()}
        case decimal.Decimal():
            return checked_float(float(item))
        case datetime.datetime():
            seconds = item.timestamp()
            return int(seconds) if seconds.is_integer() else seconds
    return item


def dump(value: Any) -> bytes:
    """Raises `CodecError` for what CBOR cannot tell."""
    try:
        return cbor2.dumps(value)
    except (cbor2.CBOREncodeError, ValueError, TypeError) as error:
        raise CodecError(f"not to be told in CBOR: {error}") from None


def _pairs(item: Any) -> int:
    """Keys of all maps. What `_Walk` lets pass is no deeper than `MAX_DEPTH`."""
    if isinstance(item, dict):
        return len(item) + sum(_pairs(value) for value in item.values())
    if isinstance(item, list):
        return sum(_pairs(value) for value in item)
    return 0


@dataclass
class _Open:
    """An array, map or chunked string under way. `left` counts items (-1: until the break)."""

    major: int
    left: int
    items: int = 0


class _Walk:
    """Goes over the heads of all items without building any."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._position = 0
        self._open: list[_Open] = []
        self._items = 0
        self.untagged = bytearray()
        self.pairs = 0

    def run(self) -> None:
        self._item()
        while self._open:
            top = self._open[-1]
            if top.left == 0:
                self._close(top)
            elif top.left < 0 and self._peek() == 0xFF:
                self._take(1)
                self._close(top)
            else:
                top.left -= top.left > 0
                top.items += 1
                self._item()
        if self._position != len(self._payload):
            raise CodecError(f"{len(self._payload) - self._position} bytes after the CBOR item")

    def _close(self, top: _Open) -> None:
        if top.major == _MAP:
            if top.items % 2:
                raise CodecError("a CBOR map with a key without value")
            self.pairs += top.items // 2
        self._open.pop()

    def _peek(self) -> int:
        if self._position >= len(self._payload):
            raise CodecError("CBOR is cut off")
        return self._payload[self._position]

    def _take(self, count: int) -> bytes:
        taken = self._payload[self._position : self._position + count]
        if len(taken) < count:
            raise CodecError("CBOR is cut off")
        self._position += count
        self.untagged += taken
        return taken

    def _item(self) -> None:
        self._items += 1
        if self._items > MAX_ITEMS:
            raise CodecError(f"more than {MAX_ITEMS} CBOR items")
        if self._peek() == _EPOCH_TAG:
            self._position += 1  # left out of `untagged`
            if not self._is_number(self._peek()):
                raise CodecError("a CBOR time that is no number")
        tag = self._peek()
        if tag in (_TEXT_TIME_TAG, _DECIMAL_TAG):
            self._check_place(_TAG, 0)
            self._take(1)
            self._tagged(tag)
            return
        head = self._take(1)[0]
        major, minor = head >> 5, head & 31
        self._check_place(major, minor)
        if major == _TAG:
            raise CodecError("a CBOR tag that is neither for a time nor for a decimal fraction")
        if major == _SIMPLE:
            self._simple(minor)
            return
        size = self._argument(minor)
        if major in (_BYTES, _TEXT):
            if size is None:
                self._enter(major, -1)
            else:
                self._take(size)
        elif major in (_ARRAY, _MAP):
            self._container(major, size)
        elif size is None:
            raise CodecError("a CBOR integer without end")

    def _tagged(self, tag: int) -> None:
        """What belongs to the tag: a text of known length, or exponent and mantissa as two integers."""
        if tag == _TEXT_TIME_TAG:
            head = self._take(1)[0]
            size = self._argument(head & 31)
            if head >> 5 != _TEXT or size is None:
                raise CodecError("a CBOR time (tag 0) that is no text")
            self._take(size)
            return
        if self._take(1)[0] != _PAIR:
            raise CodecError("a CBOR decimal fraction that is no pair")
        for _ in range(2):
            head = self._take(1)[0]
            if head >> 5 not in (_UNSIGNED, _NEGATIVE) or self._argument(head & 31) is None:
                raise CodecError("a CBOR decimal fraction of other than integers")

    def _check_place(self, major: int, minor: int) -> None:
        """Keys are IDs, labels or arrays of IDs; the parts of a chunked string are plain strings."""
        if not self._open:
            return
        top = self._open[-1]
        if top.major in (_BYTES, _TEXT) and (major != top.major or minor == _INDEFINITE):
            raise CodecError("a chunk of CBOR that is no string of its kind")
        if top.major == _MAP and top.items % 2 and major not in (_UNSIGNED, _NEGATIVE, _TEXT, _ARRAY):
            raise CodecError("a CBOR map with a key that is neither ID nor name")
        within_key = len(self._open) > 1 and self._open[-2].major == _MAP and self._open[-2].items % 2
        if top.major == _ARRAY and within_key and major != _UNSIGNED:
            raise CodecError("a CBOR key of more than IDs")

    def _container(self, major: int, size: int | None) -> None:
        if size is None:
            self._enter(major, -1)
            return
        count = size * (2 if major == _MAP else 1)
        if count > len(self._payload) - self._position:  # an item is a byte at least
            raise CodecError(f"a CBOR container of {size} items is cut off")
        self._enter(major, count)

    def _enter(self, major: int, left: int) -> None:
        if len(self._open) >= MAX_DEPTH:
            raise CodecError(f"CBOR nested more than {MAX_DEPTH} deep")
        self._open.append(_Open(major, left))

    def _argument(self, minor: int) -> int | None:
        """The number in or after a head; None for one without end."""
        if minor < 24:
            return minor
        if minor == _INDEFINITE:
            return None
        if minor > 27:
            raise CodecError("a CBOR head that is reserved")
        return int.from_bytes(self._take(1 << (minor - 24)), "big")

    def _simple(self, minor: int) -> None:
        if minor in _FLOATS:
            self._take(1 << (minor - 24))
        elif minor not in _SIMPLE_VALUES:
            raise CodecError("a CBOR simple value that is neither true, false nor null")

    @staticmethod
    def _is_number(head: int) -> bool:
        return head >> 5 in (_UNSIGNED, _NEGATIVE) or (head >> 5 == _SIMPLE and head & 31 in _FLOATS)
