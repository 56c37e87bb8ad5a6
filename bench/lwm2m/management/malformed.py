"""Messages with a format error: what RFC 7252 calls so (sections 3 and 4.2), each made of a good request."""

from __future__ import annotations

from collections.abc import Callable

from aiocoap import Message


def _token_of(length: int) -> Callable[[bytes], bytes]:
    """Token lengths of 9 to 15 are reserved (section 3), 13 and 14 until RFC 8974."""

    def bent(data: bytes) -> bytes:
        held = data[0] & 15
        token = bytes(range(0xE0, 0xE0 + length))
        return bytes([data[0] & 0xF0 | length]) + data[1:4] + token + data[4 + held :]

    return bent


FLAWS: dict[str, Callable[[bytes], bytes]] = {
    "token-length-9": _token_of(9),
    "token-length-15": _token_of(15),
    "marker-without-payload": lambda data: data + b"\xff",
    "option-delta-15": lambda data: data + b"\xf0",
    "option-length-15": lambda data: data + b"\x0f",
    "option-cut-off": lambda data: data + b"\x0c",
    "empty-with-content": lambda data: data[:1] + b"\0" + data[2:],
    "code-of-a-reserved-class": lambda data: data[:1] + b"\x20" + data[2:],
}
"""Name -> the bytes of a request without payload, bent."""


class Malformed(Message):
    """Goes out as `data`, whatever else it holds; `flaw` says what is wrong."""

    data = b""
    flaw = ""

    @classmethod
    def of(cls, message: Message, flaw: str) -> Malformed:
        """The request, with that flaw of `FLAWS`."""
        bent = cls(code=message.code)
        bent.mtype, bent.mid, bent.token = message.mtype, message.mid, message.token
        bent.remote, bent.opt = message.remote, message.opt
        bent.data, bent.flaw = FLAWS[flaw](message.encode()), flaw
        return bent

    def encode(self) -> bytes:
        return self.data
