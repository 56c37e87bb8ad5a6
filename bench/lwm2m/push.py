"""Delivery by PUSH: a Block1 transfer that knows what arrived (RFC 7959).

aiocoap's own block-wise sender goes on at a scaled offset after 4.13 and takes any success for the
end. This one sends block by block: it counts, restarts from 0 where the device demands it, accepts
a smaller block size at any moment, and calls the transfer complete only when the response to the
last block was 2.04.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiocoap import CHANGED, CONTINUE, PUT, Context, Message, error
from aiocoap.numbers.codes import (
    REQUEST_ENTITY_INCOMPLETE,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    Code,
)
from aiocoap.numbers.constants import TransportTuning

OCTET_STREAM = 42


class BlockTuning(TransportTuning):
    """Retransmission of one block. More tries than RFC 7252's four: 20 % loss defeats those."""

    ACK_TIMEOUT = 2.0
    MAX_RETRANSMIT = 6


MAX_RESTARTS = 3
MAX_BUSY = 30
BUSY_WAIT = 2.0
"""Seconds to wait after 5.03 without a Max-Age."""
SEPARATE_RESPONSE_LIMIT = 120.0
"""Seconds a device may take for the response after its empty acknowledgement."""


@dataclass
class PushResult:
    """How a transfer ended. `complete` only when the last block was answered 2.04.

    `sent` is the offset up to which blocks were acknowledged, in bytes; `code` the last response.
    """

    total: int
    sent: int = 0
    code: Code | None = None
    complete: bool = False
    reason: str = ""
    restarts: int = 0


class BlockPush:
    """One transfer. `on_progress(acknowledged_bytes)` may be a coroutine function, awaited between blocks."""

    def __init__(
        self,
        context: Context,
        remote: Any,
        path: tuple[str, ...],
        data: bytes,
        *,
        exponent: int = 6,
        on_progress: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._context = context
        self._remote = remote
        self._path = path
        self._data = data
        self._exponent = exponent
        self._on_progress = on_progress
        self.result = PushResult(total=len(data))

    async def run(self, until: int | None = None) -> PushResult:
        """Send until the end, until the device refuses, or until `until` bytes are acknowledged."""
        result, offset, busy = self.result, self.result.sent, 0
        while True:
            if until is not None and offset >= until:
                return result
            size = 1 << (self._exponent + 4)
            last = offset + size >= len(self._data)
            try:
                response = await self._send(offset, size, last)
            except (error.Error, TimeoutError) as failure:
                result.reason = f"no response to the block at {offset}: {type(failure).__name__}"
                return result
            result.code = response.code
            block = response.opt.block1
            if response.code is SERVICE_UNAVAILABLE and busy < MAX_BUSY:
                busy += 1
                await asyncio.sleep(response.opt.max_age or BUSY_WAIT)
                continue
            if response.code is CONTINUE and not last:
                if block is None or block.block_number != offset >> (self._exponent + 4):
                    result.reason = f"2.31 does not name the block at {offset}"
                    return result
                offset += size
                result.sent = offset
                self._exponent = min(self._exponent, block.size_exponent)
                busy = 0
                if self._on_progress is not None:
                    await self._on_progress(offset)
                continue
            if response.code is CHANGED and last:
                result.sent = len(self._data)
                result.complete = True
                if self._on_progress is not None:
                    await self._on_progress(result.sent)
                return result
            if self._must_restart(response, offset):
                result.restarts += 1
                if block is not None:
                    self._exponent = min(self._exponent, block.size_exponent)
                offset = result.sent = 0
                continue
            result.reason = f"{response.code.dotted} to the block at {offset}"
            if response.code is CHANGED:
                result.reason += ", before the last block"
            elif response.code is CONTINUE:
                result.reason += ", which was the last"
            return result

    def _must_restart(self, response: Message, offset: int) -> bool:
        if self.result.restarts >= MAX_RESTARTS:
            return False
        if response.code is REQUEST_ENTITY_INCOMPLETE:
            return offset > 0
        hint = response.opt.block1
        smaller = hint is not None and hint.size_exponent < self._exponent
        return response.code is REQUEST_ENTITY_TOO_LARGE and smaller

    async def _send(self, offset: int, size: int, last: bool) -> Message:
        options: dict[str, Any] = {"content_format": OCTET_STREAM}
        if offset == 0:
            options["size1"] = len(self._data)
        number = offset >> (self._exponent + 4)
        message = Message(
            code=PUT,
            uri_path=self._path,
            payload=self._data[offset : offset + size],
            block1=(number, not last, self._exponent),
            transport_tuning=BlockTuning(),
            **options,
        )
        message.remote = self._remote
        request = self._context.request(message, handle_blockwise=False)
        return await asyncio.wait_for(request.response, SEPARATE_RESPONSE_LIMIT + 300)
