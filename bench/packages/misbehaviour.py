"""How a package server may misbehave, for testcases to arm. Bytes are offsets of the package."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slow:
    """At most `rate` bytes a second."""

    rate: float


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
    """HTTP only: the first `times` requests are sent to `to` (None: to the same URI)."""

    to: str | None = None
    times: int = 1
    status: int = 307


@dataclass(frozen=True, slots=True)
class WeakEtag:
    """HTTP only: the ETag is weak, and so no proof that the bytes are the same (RFC 9110 section 8.8.1)."""


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


Misbehaviour = (
    Slow | Stall | Cut | WrongSize | Refuse | Replace | Redirect | WeakEtag | IgnoreRange | OtherPart
)
