"""DTLS records as they lie in a datagram (RFC 6347, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
CLIENT_HELLO = 1
HEADER = 13
DATAGRAM = 1200
"""Bytes of records put into one datagram; fits any path."""


@dataclass(frozen=True, slots=True)
class Record:
    kind: int
    epoch: int
    body: bytes


def records(datagram: bytes) -> list[Record]:
    """The records of a datagram. Raises `ValueError` when it is no DTLS."""
    found, position = [], 0
    while position < len(datagram):
        header = datagram[position : position + HEADER]
        if len(header) < HEADER or header[0] not in range(20, 25) or header[1] not in (0xFE, 1):
            raise ValueError("no DTLS record")
        length = int.from_bytes(header[11:13], "big")
        body = datagram[position + HEADER : position + HEADER + length]
        if len(body) != length:
            raise ValueError("a DTLS record is cut off")
        found.append(Record(header[0], int.from_bytes(header[3:5], "big"), body))
        position += HEADER + length
    if not found:
        raise ValueError("an empty datagram")
    return found


@dataclass(frozen=True, slots=True)
class Hello:
    """A ClientHello in the clear: its place in the handshake (0: the first), and its random value."""

    sequence: int
    random: bytes


def client_hello(found: list[Record]) -> Hello | None:
    """The ClientHello of a datagram, if it holds one (its first fragment; RFC 6347, 4.2.2)."""
    for record in found:
        if record.kind == HANDSHAKE and record.epoch == 0 and record.body[:1] == bytes([CLIENT_HELLO]):
            return Hello(int.from_bytes(record.body[4:6], "big"), record.body[14:46])
    return None


def datagrams(stream: bytes) -> Iterator[bytes]:
    """A run of records, as OpenSSL leaves them in memory, packed into datagrams."""
    packed, position = b"", 0
    while position < len(stream):
        end = position + HEADER + int.from_bytes(stream[position + 11 : position + 13], "big")
        if packed and len(packed) + end - position > DATAGRAM:
            yield packed
            packed = b""
        packed += stream[position:end]
        position = end
    if packed:
        yield packed
