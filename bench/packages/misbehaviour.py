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


Misbehaviour = Slow | Stall | Cut | WrongSize | Refuse | Replace | Redirect
