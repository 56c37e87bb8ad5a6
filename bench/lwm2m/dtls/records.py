"""DTLS records as they lie in a datagram (RFC 6347, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA = 20, 21, 22, 23
HEADER = 13
DATAGRAM = 1200
"""Bytes of records put into one datagram; fits any path."""


@dataclass(frozen=True, slots=True)
class Record:
    """`head` is its first 11 bytes: type, version, epoch and sequence number."""

    kind: int
    epoch: int
    body: bytes
    head: bytes


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
        found.append(Record(header[0], int.from_bytes(header[3:5], "big"), body, header[:11]))
        position += HEADER + length
    if not found:
        raise ValueError("an empty datagram")
    return found


def datagrams(stream: bytes, limit: int = DATAGRAM) -> Iterator[bytes]:
    """A run of records, as OpenSSL leaves them in memory, packed into datagrams of at most `limit` bytes."""
    packed, position = b"", 0
    while position < len(stream):
        end = position + HEADER + int.from_bytes(stream[position + 11 : position + 13], "big")
        if packed and len(packed) + end - position > limit:
            yield packed
            packed = b""
        packed += stream[position:end]
        position = end
    if packed:
        yield packed
