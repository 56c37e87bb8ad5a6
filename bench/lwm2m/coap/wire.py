"""Datagrams to messages, for whatever is sent (RFC 7252, section 3).

aiocoap's own decoder takes reserved token lengths and empty messages with content, knows no
unrecognised options, and remembers every option number it has ever seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aiocoap import Message, error
from aiocoap.message import Direction
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.numbers.types import Type
from aiocoap.options import Options

MAX_TEXT = 512
"""Bytes of a Uri-Query; RFC 7252 has 255, which an endpoint name may fill by itself."""

RESERVED_CLASSES = (1, 6, 7)
"""Of a code (RFC 7252, sections 4.2 and 12.1); 7 is for signals over TCP alone (RFC 8323, 5.1)."""


class Malformed(Exception):
    """The bytes are no CoAP message; the text says why."""


@dataclass(frozen=True, slots=True)
class _Option:
    """How long its value may be, in bytes, and whether it may come more than once."""

    shortest: int
    longest: int
    repeatable: bool = False
    text: bool = False


_OPTIONS = {
    3: _Option(1, 255, text=True),  # Uri-Host
    4: _Option(1, 8, repeatable=True),  # ETag
    6: _Option(0, 3),  # Observe
    7: _Option(0, 2),  # Uri-Port
    8: _Option(0, 255, repeatable=True, text=True),  # Location-Path
    11: _Option(0, 255, repeatable=True, text=True),  # Uri-Path
    12: _Option(0, 2),  # Content-Format
    14: _Option(0, 4),  # Max-Age
    15: _Option(0, MAX_TEXT, repeatable=True, text=True),  # Uri-Query
    17: _Option(0, 2),  # Accept
    20: _Option(0, 255, repeatable=True, text=True),  # Location-Query
    23: _Option(0, 3),  # Block2
    27: _Option(0, 3),  # Block1
    28: _Option(0, 4),  # Size2
    60: _Option(0, 4),  # Size1
    258: _Option(0, 1),  # No-Response
    292: _Option(0, 8, repeatable=True),  # Request-Tag
}
_PROXY = (35, 39)
_BLOCKS = (23, 27)


class _Received(Options):
    """Options that aiocoap may copy for each resource that it hands a request to.

    It copies deeply, which took a twentieth of a run; nobody changes an option, only replaces it.
    """

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Received:
        copied = _Received()
        copied._options = {number: list(values) for number, values in self._options.items()}
        return copied


def confirmable(data: bytes) -> int | None:
    """The message ID of what must be rejected by a Reset if it cannot be processed (RFC 7252, 4.2).

    None for what is not confirmable, and for another version, which is silently ignored (section 3).
    """
    if len(data) < 4 or data[0] >> 4 != 0b0100:
        return None
    return int.from_bytes(data[2:4], "big")


def decode(data: bytes, remote: object) -> Message:
    """A message from `remote`. Raises `Malformed`.

    What must be refused although it can be read is in the message's `refusal` (an aiocoap error or
    None): an unrecognised critical option, a proxy request, a reserved block size. Unrecognised
    elective options are left out (RFC 7252, section 5.4.1).
    """
    if len(data) < 4:
        raise Malformed(f"{len(data)} bytes are no header")
    version, length = data[0] >> 6, data[0] & 15
    if version != 1:
        raise Malformed(f"version {version}")
    if length > 8:
        raise Malformed(f"token length {length}")
    if len(data) < 4 + length:
        raise Malformed("the token is cut off")
    if data[1] == 0 and len(data) > 4:
        raise Malformed("an empty message with content")
    if data[1] >> 5 in RESERVED_CLASSES:
        raise Malformed(f"reserved code {data[1] >> 5}.{data[1] & 31:02d}")
    message = decode_content(data[1], data[4 : 4 + length], data[4 + length :], remote)
    message.mtype, message.mid = Type(data[0] >> 4 & 3), int.from_bytes(data[2:4], "big")
    return message


def decode_content(code: int, token: bytes, data: bytes, remote: object) -> Message:
    """A message without what only datagrams have: `data` is its options and payload. Raises as `decode`."""
    message = Message(code=code)
    message.opt = _Received()
    message.token = token
    message.remote, message.direction = remote, Direction.INCOMING
    message.refusal = None
    found: set[int] = set()
    end = 0
    for number, value, end in options(data):  # noqa: B007 (where the options end)
        refusal = _add(message, number, value, number in found)
        message.refusal = message.refusal or refusal
        found.add(number)
    if end < len(data):
        message.payload = data[end + 1 :]
        if not message.payload:
            raise Malformed("a payload marker without payload")
    return message


def options(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Each option's number and value, and where it ends. Raises `Malformed`."""
    number = position = 0
    while position < len(data) and data[position] != 0xFF:
        head = data[position]
        delta, position = _extended(head >> 4, data, position + 1)
        length, position = _extended(head & 15, data, position)
        number += delta
        if number > 0xFFFF:
            raise Malformed(f"option number {number}")
        if position + length > len(data):
            raise Malformed("an option is cut off")
        position += length
        yield number, data[position - length : position], position


def _extended(nibble: int, data: bytes, position: int) -> tuple[int, int]:
    width = {13: 1, 14: 2}.get(nibble, 0)
    if nibble == 15 or position + width > len(data):
        raise Malformed("an option's head is wrong")
    base = {13: 13, 14: 269}.get(nibble, nibble)
    return base + int.from_bytes(data[position : position + width], "big"), position + width


def _add(message: Message, number: int, value: bytes, again: bool) -> error.Error | None:
    """Put an option into the message; returns why the message must be refused for it."""
    if number in _PROXY:
        return error.ProxyingNotSupported()
    known = _OPTIONS.get(number)
    fits = known is not None and known.shortest <= len(value) <= known.longest
    if known is not None and (not fits or (again and not known.repeatable) or not _is_text(known, value)):
        known = None
    if known is None:
        return error.BadOption(f"option {number}") if number & 1 else None
    if number in _BLOCKS and value and value[-1] & 7 == 7:
        return error.BadRequest("block size 7 is reserved")
    message.opt.add_option(OptionNumber(number).create_option(decode=value))
    return None


def _is_text(known: _Option, value: bytes) -> bool:
    if not known.text:
        return True
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
