"""What a client needs to ask its device something, and how long to wait for the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from aiocoap import Context, Message

from bench.clock import Clock
from bench.lwm2m.coap.queue_mode import Sleepers
from bench.lwm2m.interfaces.registration import EXPIRY_MARGIN, Registration
from bench.timeline import Timeline

FOR_EVER = 86400.0
"""Seconds to wait for a device that may sleep without end."""


@dataclass(frozen=True)
class Exchange:
    """The CoAP context, the clock, the timeline, and who sleeps."""

    context: Context
    clock: Clock
    timeline: Timeline
    sleepers: Sleepers

    async def respond(self, message: Message, registration: Registration, limit: float) -> Message:
        """Send one message and wait for its response. Raises as `answer` does."""
        return await self.answer(self.context.request(message, handle_blockwise=False), registration, limit)

    async def answer(self, request: Any, registration: Registration, limit: float) -> Message:
        """The response to a request under way.

        `limit` is seconds in which the device was awake: while a device in queue mode sleeps, its
        registration's lifetime is the only limit.

        Raises `TimeoutError` saying how long was waited, or aiocoap's errors.
        """
        response, left, slept = request.response, limit, None
        try:
            while left > 0:
                asleep = self.sleepers.asleep_since(registration.remote)
                slept = slept if asleep is None else asleep
                turn = self.sleepers.turn(registration.remote)
                begin = self.clock.now()
                await asyncio.wait(
                    {response} if turn is None else {response, turn},
                    timeout=left if asleep is None else None,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if response.done():
                    found: Message = response.result()
                    return found
                if asleep is None:
                    left -= self.clock.now() - begin
        finally:
            response.cancel()
        nap = "" if slept is None else f", not counting its sleep since {slept:.1f} s"
        raise TimeoutError(f"silent for {limit:g} s{nap}")

    def patience(self, registration: Registration) -> float:
        """Seconds that may pass in sleep before the device is heard again, or its registration expires."""
        if not registration.queue_mode:
            return 0.0
        return (registration.lifetime or FOR_EVER) + EXPIRY_MARGIN
