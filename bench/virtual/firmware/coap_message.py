"""CoAP messages as bytes (RFC 7252, section 3), the device's own codec."""

from __future__ import annotations

from dataclasses import dataclass, field

CON, NON, ACK, RST = range(4)
EMPTY, GET, POST, PUT, DELETE = range(5)

CREATED, DELETED, VALID, CHANGED, CONTENT, CONTINUE = 0x41, 0x42, 0x43, 0x44, 0x45, 0x5F
BAD_REQUEST, UNAUTHORIZED, BAD_OPTION, FORBIDDEN = 0x80, 0x81, 0x82, 0x83
NOT_FOUND, NOT_ALLOWED, NOT_ACCEPTABLE, INCOMPLETE = 0x84, 0x85, 0x86, 0x88
TOO_LARGE, UNSUPPORTED_FORMAT, INTERNAL, UNAVAILABLE = 0x8D, 0x8F, 0xA0, 0xA3

URI_HOST = 3
ETAG, OBSERVE, LOCATION_PATH, URI_PATH, CONTENT_FORMAT = 4, 6, 8, 11, 12
MAX_AGE = 14
URI_QUERY, ACCEPT, BLOCK2, BLOCK1, SIZE2, SIZE1 = 15, 17, 23, 27, 28, 60

_KNOWN_CRITICAL = {3, 7, URI_PATH, URI_QUERY, ACCEPT, BLOCK2, BLOCK1, 1, 5}


@dataclass(slots=True)
class Message:
    """`options` in any order; values are their wire bytes."""

    kind: int
    code: int
    mid: int = 0
    token: bytes = b""
    options: list[tuple[int, bytes]] = field(default_factory=list)
    payload: bytes = b""

    def first(self, number: int) -> bytes | None:
        for found, value in self.options:
            if found == number:
                return value
        return None

    def all(self, number: int) -> list[str]:
        return [value.decode("utf-8", "replace") for found, value in self.options if found == number]

    def uint(self, number: int) -> int | None:
        value = self.first(number)
        return None if value is None else int.from_bytes(value, "big")

    def add_uint(self, number: int, value: int) -> None:
        self.options.append((number, value.to_bytes((value.bit_length() + 7) // 8, "big")))

    def add_text(self, number: int, text: str) -> None:
        self.options.append((number, text.encode()))

    @property
    def unknown_critical(self) -> bool:
        return any(n & 1 and n not in _KNOWN_CRITICAL for n, _ in self.options)


@dataclass(frozen=True, slots=True)
class Block:
    """A Block1 or Block2 option: block number, more flag, size exponent (size = 2^(exponent+4))."""

    number: int
    more: bool
    exponent: int

    @property
    def size(self) -> int:
        return 1 << (self.exponent + 4)

    @property
    def offset(self) -> int:
        return self.number * self.size

    @property
    def value(self) -> int:
        return self.number << 4 | (8 if self.more else 0) | self.exponent

    @classmethod
    def of(cls, message: Message, option: int) -> Block | None:
        value = message.uint(option)
        return None if value is None else cls(value >> 4, bool(value & 8), value & 7)


def encode(message: Message) -> bytes:
    out = bytearray([0x40 | message.kind << 4 | len(message.token), message.code])
    out += message.mid.to_bytes(2, "big") + message.token
    last = 0
    for number, value in sorted(message.options, key=lambda option: option[0]):
        delta, delta_more = _nibble(number - last)
        length, length_more = _nibble(len(value))
        out.append(delta << 4 | length)
        out += delta_more + length_more + value
        last = number
    if message.payload:
        out.append(0xFF)
        out += message.payload
    return bytes(out)


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, (value - 269).to_bytes(2, "big")


def decode(data: bytes) -> Message:
    """Raises `ValueError` for anything that is no CoAP message."""
    if len(data) < 4 or data[0] >> 6 != 1 or data[0] & 15 > 8:
        raise ValueError("no CoAP header")
    end = 4 + (data[0] & 15)
    message = Message(data[0] >> 4 & 3, data[1], int.from_bytes(data[2:4], "big"), data[4:end])
    if len(message.token) != end - 4:
        raise ValueError("token is cut off")
    number, position = 0, end
    while position < len(data):
        if data[position] == 0xFF:
            message.payload = data[position + 1 :]
            if not message.payload:
                raise ValueError("payload marker without payload")
            break
        delta, length = data[position] >> 4, data[position] & 15
        position += 1
        delta, position = _extended(delta, data, position)
        length, position = _extended(length, data, position)
        if position + length > len(data):
            raise ValueError("option is cut off")
        number += delta
        message.options.append((number, data[position : position + length]))
        position += length
    if message.code == EMPTY and (message.token or message.options or message.payload):
        raise ValueError("empty message with content")
    return message


def _extended(nibble: int, data: bytes, position: int) -> tuple[int, int]:
    if nibble < 13:
        return nibble, position
    width = {13: 1, 14: 2}.get(nibble)
    if width is None or position + width > len(data):
        raise ValueError("bad option length")
    base = 13 if width == 1 else 269
    return base + int.from_bytes(data[position : position + width], "big"), position + width
