"""How a package server may misbehave, for testcases to arm. Bytes are offsets of the package."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slow:
    """At most `rate` bytes a second, from byte `after` on."""

    rate: float
    after: int = 0


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing more from byte `after` on, for `seconds` (None: for ever)."""

    after: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """From byte `after` on the connection is broken, `times` times; CoAP over UDP stays silent instead."""

    after: int
    times: int = 1


@dataclass(frozen=True, slots=True)
class WrongSize:
    """The size that is announced differs from the package's by `by` bytes."""

    by: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """The first `times` requests (None: every one) are refused.

    `code` is a CoAP code, "4.04" or "5.03"; over HTTP it becomes 404 or 503. `retry_after` is seconds.
    """

    code: str = "5.03"
    times: int | None = None
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class Replace:
    """From byte `after` on, other `data` under the same name, with another ETag."""

    after: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Redirect:
    """HTTP only: the first `times` requests are sent to `to` (None: to the same URI), absolute or not.

    `door` is the scheme of those that it is about (None: all).
    """

    to: str | None = None
    times: int = 1
    status: int = 307
    door: str | None = None


@dataclass(frozen=True, slots=True)
class WeakEtag:
    """HTTP only: the ETag is weak, and so no proof that the bytes are the same (RFC 9110 section 8.8.1)."""


@dataclass(frozen=True, slots=True)
class Chunked:
    """HTTP only: the body comes in chunks, its length is not told beforehand (RFC 9112 section 7.1).

    With it a `Cut` ends the connection in order, as a server does that knows of no length to keep.
    """


@dataclass(frozen=True, slots=True)
class IgnoreRange:
    """HTTP only: Range is ignored, as a server may (RFC 9110 section 14.2): every answer is the whole."""


@dataclass(frozen=True, slots=True)
class OtherPart:
    """HTTP only: a 206 gives another part than was asked for, and its Content-Range says so.

    It begins `earlier` bytes before, and has no more than `size` bytes (None: up to the end).
    """

    earlier: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True)
class SmallBlocks:
    """CoAP only: no block is larger than `size` bytes, whatever is asked for (RFC 7959 section 2.4)."""

    size: int


@dataclass(frozen=True, slots=True)
class UnknownOption:
    """CoAP over UDP only: from byte `after` on, `times` answers have a critical option nobody knows."""

    after: int
    times: int = 1


class Forgery(enum.Enum):
    """How an answer that is not the package server's comes: never from it, or never for this request."""

    OTHER_TOKEN = "with another token"
    """Piggybacked, with the message ID of the request (RFC 7252 section 5.3.2)."""
    OTHER_TOKEN_SEPARATE = "with another token, separate"
    OTHER_ENDPOINT = "from another endpoint"
    """With the message ID and the token of the request."""
    UNSECURED = "unsecured, from the server's address"
    """Over DTLS only: message ID and token are right, and anybody could have read neither."""


@dataclass(frozen=True, slots=True)
class Forge:
    """CoAP over UDP only: somebody else answers with other bytes before the block at byte `after` is."""

    after: int
    how: Forgery


@dataclass(frozen=True, slots=True)
class Ping:
    """CoAP over TCP only: before the block at byte `after` is answered, a Ping is sent."""

    after: int


Misbehaviour = (
    Slow
    | Stall
    | Cut
    | WrongSize
    | Refuse
    | Replace
    | Redirect
    | WeakEtag
    | Chunked
    | IgnoreRange
    | OtherPart
    | SmallBlocks
    | UnknownOption
    | Forge
    | Ping
)
