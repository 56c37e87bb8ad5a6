"""A device that is busy for a while (5.03) is asked again, politely: one way for every request that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiocoap.numbers.codes import SERVICE_UNAVAILABLE

from bench.clock import Clock
from bench.lwm2m.management.requests import CoapError

WAIT = 2.0
"""Seconds between two tries where the device does not say by Max-Age when it will be free."""
LONGEST_WAIT = 60.0
"""Seconds between two tries at most, whatever it says: Max-Age may be 136 years (RFC 7252 section 5.10.5)."""
LIMIT = 330.0
"""Seconds of all tries.

A device may hold what it has of a PUSH for EXCHANGE_LIFETIME, 247 s, after its last block (RFC 7959 section
2.5), and have no room for another request meanwhile; stacks have been seen to do so for up to 300 s.
"""

Found = TypeVar("Found")


def pause(max_age: int | None) -> float:
    """Seconds until the next try, by the Max-Age of a 5.03 (RFC 7252 section 5.9.3.4)."""
    return min(max_age or WAIT, LONGEST_WAIT)


def means_later(refusal: CoapError) -> bool:
    """Service Unavailable says nothing about the request, but that it comes too early."""
    return refusal.code is SERVICE_UNAVAILABLE


async def until_free(ask: Callable[[], Awaitable[Found]], clock: Clock, limit: float = LIMIT) -> Found:
    """What `ask` gives, once the device is free. Raises what `ask` raises: its 5.03 after `limit` seconds."""
    until = clock.now() + limit
    while True:
        try:
            return await ask()
        except CoapError as refusal:
            if not means_later(refusal) or clock.now() >= until:
                raise
            await asyncio.sleep(min(pause(refusal.max_age), max(until - clock.now(), WAIT)))
