"""Handshake messages of a client that travel in the clear (RFC 6347, section 4.2), and what stands in them.

A message may come in fragments, of any size and in any order. OpenSSL puts together those of a handshake
under way; it begins none with a ClientHello in fragments, and ends a PSK identity at the first NUL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.lwm2m.dtls.records import HANDSHAKE, Record

CLIENT_HELLO, CLIENT_KEY_EXCHANGE = 1, 16
HEADER = 12
"""Bytes: type, length, message number, offset and length of the fragment."""
LONGEST = 4096
"""Bytes of a message that is looked into; a ClientHello has a few hundred."""
MOST_MESSAGES = 4
"""Messages in pieces that one client may have under way: a repeated ClientHello and its forerunner."""
MAX_FRAGMENT_LENGTH = 1
"""The extension's number (RFC 6066, section 4)."""
_FRAGMENT_LENGTHS = {1: 512, 2: 1024, 3: 2048, 4: 4096}


@dataclass(frozen=True, slots=True)
class Hello:
    """A whole ClientHello: its place in the handshake (0: the first), and its random value.

    `datagram` is the message in one record. `fragment` is the longest plaintext, in bytes, that the client
    takes in a record; None where it takes any.
    """

    sequence: int
    random: bytes
    datagram: bytes
    fragment: int | None


@dataclass(slots=True)
class _Message:
    length: int
    head: bytes
    body: bytearray
    missing: int
    held: bytearray = field(default_factory=bytearray)


class Reassembly:
    """The messages of one client, of one kind, put together. Of bounded size, whatever is sent."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._messages: dict[tuple[int, int], _Message] = {}

    def take(self, found: list[Record]) -> Iterator[tuple[int, bytes, bytes]]:
        """Each message that is complete now: its number, body, and the head of its first record."""
        for record in found:
            if record.kind == HANDSHAKE and record.epoch == 0:
                for number, length, offset, part in _fragments(record.body, self._kind):
                    whole = self._add(number, length, offset, part, record.head)
                    if whole is not None:
                        yield number, bytes(whole.body), whole.head

    def _add(self, number: int, length: int, offset: int, part: bytes, head: bytes) -> _Message | None:
        key = (number, length)
        message = self._messages.get(key)
        if message is None:
            message = _Message(length, head, bytearray(length), length, bytearray(length))
            self._messages[key] = message
            if len(self._messages) > MOST_MESSAGES:
                del self._messages[next(iter(self._messages))]
        for position, value in enumerate(part, offset):
            if not message.held[position]:  # what came first holds
                message.held[position], message.body[position] = 1, value
                message.missing -= 1
        if message.missing:
            return None
        del self._messages[key]
        return message


def _fragments(body: bytes, kind: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Number and length of the message, offset and bytes of the fragment; for each that makes sense."""
    position = 0
    while position + HEADER <= len(body):
        head = body[position : position + HEADER]
        length, number = int.from_bytes(head[1:4], "big"), int.from_bytes(head[4:6], "big")
        offset, size = int.from_bytes(head[6:9], "big"), int.from_bytes(head[9:12], "big")
        position += HEADER + size
        if position > len(body):
            return
        if head[0] == kind and 0 < length <= LONGEST and offset + size <= length:
            yield number, length, offset, body[position - size : position]


def is_hello(found: list[Record]) -> bool:
    """Whether a datagram holds a ClientHello, or a part of one."""
    return any(r.kind == HANDSHAKE and r.epoch == 0 and r.body[:1] == bytes([CLIENT_HELLO]) for r in found)


def read_hello(number: int, body: bytes, head: bytes) -> Hello:
    """A ClientHello that was put together; one that cannot be read has no random value."""
    length = len(body).to_bytes(3, "big")
    message = bytes([CLIENT_HELLO]) + length + number.to_bytes(2, "big") + bytes(3) + length + body
    return Hello(number, body[2:34], head + len(message).to_bytes(2, "big") + message, _fragment_length(body))


def _fragment_length(body: bytes) -> int | None:
    """What extension max_fragment_length asks for, which OpenSSL always grants."""
    position = 34
    for width in (1, 1, 2, 1):  # session, cookie, cipher suites, compression methods
        position += width + int.from_bytes(body[position : position + width], "big")
    end = position + 2 + int.from_bytes(body[position : position + 2], "big")
    position += 2
    while position + 4 <= min(end, len(body)):
        number = int.from_bytes(body[position : position + 2], "big")
        size = int.from_bytes(body[position + 2 : position + 4], "big")
        if number == MAX_FRAGMENT_LENGTH and size == 1 and position + 4 < len(body):
            return _FRAGMENT_LENGTHS.get(body[position + 4])
        position += 4 + size
    return None


def psk_identity(body: bytes) -> bytes | None:
    """The identity in a ClientKeyExchange of a PSK cipher suite (RFC 4279, section 2); None for nonsense."""
    length = int.from_bytes(body[:2], "big")
    return body[2:] if len(body) == 2 + length else None
