"""Delivery by PUSH: a Block1 transfer that knows what arrived (RFC 7959).

aiocoap's own block-wise sender goes on at a scaled offset after 4.13 and takes any success for the
end. This one sends block by block: it counts, restarts from 0 where the device demands it, accepts
a smaller block size at any moment, and calls the transfer complete only when the response to the
last block was 2.04.

A lossy link adds a doubt: a device that does not recognise a repeated request judges it anew. Once a
block has been sent more than once, a refusal may mean that its first copy was taken. In the middle of
a transfer the next block tells; after the last block only the device's state does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from aiocoap import CHANGED, CONTINUE, PUT, Message, error
from aiocoap.numbers.codes import (
    REQUEST_ENTITY_INCOMPLETE,
    REQUEST_ENTITY_TOO_LARGE,
    SERVICE_UNAVAILABLE,
    Code,
)

from bench.lwm2m.coap.layers import UnreadableResponse
from bench.lwm2m.coap.tuning import BlockTuning
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management import busy
from bench.lwm2m.management.exchange import Exchange

__all__ = ["USUAL", "BlockPush", "BlockTuning", "Form", "Outcome", "PushResult"]

OCTET_STREAM = 42
MAX_RESTARTS = 3
"""Restarts on 4.08; those for a smaller block size that the device has named end by themselves."""
MAX_HALVINGS = 3
"""Of the block size, where a device takes smaller blocks alone and does not say how small: to 128 bytes."""
MAX_BUSY = 200
"""5.03 answers to one block."""
DOUBTFUL_BUSY = 3
"""5.03 answers to a repeated block that mean no more than that it was repeated."""
MAX_UNTOLD = 8
"""Blocks in a row that are taken for arrived because only their repetitions were refused."""
SEPARATE_RESPONSE_LIMIT = 120.0
"""Seconds a device may take for the response after its empty acknowledgement, before it is asked again."""
BLOCK_LIMIT = 247.0 + SEPARATE_RESPONSE_LIMIT
SEPARATE_TRIES = 2


class Outcome(Enum):
    """How a transfer stands.

    UNKNOWN: the response to the last block was lost, and what its repetition was answered does not tell
    whether the device has the whole package; its state does.
    """

    UNFINISHED = "unfinished"
    COMPLETE = "complete"
    REFUSED = "refused"
    LOST = "no response"
    UNKNOWN = "unknown; read the state"


def _whole(size: int) -> int | None:
    return size


@dataclass(frozen=True, slots=True)
class Form:
    """What a package looks like on the wire; unless told otherwise, as most servers send it.

    `announced(size)` is what Size1 says of `size` bytes, None for nothing: the option is an estimate, and may
    be left out (RFC 7959 section 4). `smaller` are pairs: from this offset on, blocks of 16 << exponent bytes
    at most, which a client may do at any time (2.3). `content_format` is that of the payload.
    """

    announced: Callable[[int], int | None] = _whole
    smaller: tuple[tuple[int, int], ...] = ()
    content_format: int = OCTET_STREAM


USUAL = Form()


@dataclass
class PushResult:
    """How a transfer went.

    `sent` is the offset up to which blocks were acknowledged, in bytes; `code` the last response.
    """

    total: int
    sent: int = 0
    code: Code | None = None
    outcome: Outcome = Outcome.UNFINISHED
    reason: str = ""
    restarts: int = 0

    @property
    def complete(self) -> bool:
        """The last response was 2.04 for the last block."""
        return self.outcome is Outcome.COMPLETE


class _Break(Exception):
    """The transfer cannot go on."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome


@dataclass
class _Block:
    """The block under way. `doubtful`: sent more than once, so a copy may have been taken already."""

    offset: int
    exponent: int
    last: bool
    doubtful: bool = False
    busy: int = 0

    @property
    def size(self) -> int:
        return 1 << (self.exponent + 4)

    @property
    def number(self) -> int:
        return self.offset >> (self.exponent + 4)

    @property
    def option(self) -> tuple[int, bool, int]:
        return self.number, not self.last, self.exponent


class BlockPush:
    """One transfer. `on_progress(acknowledged_bytes)` may be a coroutine function, awaited between blocks.

    `exponent` is the first block size, 16 << exponent bytes; the records of the device's session may want a
    smaller one.
    """

    def __init__(
        self,
        exchange: Exchange,
        registration: Registration,
        path: tuple[str, ...],
        data: bytes,
        *,
        exponent: int = 6,
        form: Form = USUAL,
        on_progress: Callable[[int], Awaitable[None]] | None = None,
    ) -> None:
        self._exchange = exchange
        self._registration = registration
        self._path = path
        self._data = data
        self._exponent = min(exponent, registration.remote.maximum_block_size_exp)
        self._form = form
        self._on_progress = on_progress
        self._untold = 0
        self._rewinds = 0
        self._halvings = 0
        self.result = PushResult(total=len(data))

    async def run(self, until: int | None = None) -> PushResult:
        """Send until the end, until the device refuses, or until `until` bytes are acknowledged.

        May be called again to go on where the last call ended.
        """
        result = self.result
        if result.complete:
            return result
        result.outcome, result.reason = Outcome.UNFINISHED, ""
        try:
            while until is None or result.sent < until:
                if await self._block(self._next(result.sent)):
                    result.outcome = Outcome.COMPLETE
                    break
        except _Break as end:
            result.outcome, result.reason = end.outcome, str(end)
        return result

    async def send_apart(self, offset: int) -> Code:
        """Send the block at `offset` (bytes) as a new message, whatever was sent before; returns the answer.

        The transfer itself stands where it stood. Raises aiocoap's errors, or `TimeoutError`.
        """
        block = self._next(offset)
        response = await self._exchange.respond(self._message(block), self._registration, BLOCK_LIMIT)
        return response.code

    @property
    def block_size(self) -> int:
        """Bytes of the blocks sent now."""
        return 1 << (self._exponent + 4)

    def _next(self, offset: int) -> _Block:
        exponent = min([self._exponent, *(least for start, least in self._form.smaller if offset >= start)])
        last = offset + (16 << exponent) >= len(self._data)
        return _Block(offset, exponent, last)

    async def _block(self, block: _Block) -> bool:
        """Have one block answered, and move on as the answer says. Returns whether all is done."""
        while True:
            response = await self._ask(block)
            self.result.code = response.code
            if response.code is not SERVICE_UNAVAILABLE or block.busy >= MAX_BUSY:
                break
            block.busy += 1
            if block.doubtful and block.busy >= DOUBTFUL_BUSY:
                break
            await asyncio.sleep(busy.pause(response.opt.max_age))
        if response.code is CONTINUE and not block.last:
            self._check_echo(block, response)
            await self._advance(block, response)
            return False
        if response.code is CHANGED and block.last:
            self._check_echo(block, response)
            await self._advance(block, response)
            return True
        self._refused(block, response)
        return False

    async def _advance(self, block: _Block, response: Message) -> None:
        self._untold = 0
        self.result.sent = min(block.offset + block.size, len(self._data))
        if response.opt.block1 is not None:
            self._exponent = response.opt.block1.size_exponent
        if self._on_progress is not None:
            await self._on_progress(self.result.sent)

    def _check_echo(self, block: _Block, response: Message) -> None:
        """The response must name the block it is for, and may ask for smaller ones (RFC 7959, 2.3)."""
        echo = response.opt.block1
        if echo is None:
            if block.last:
                return
            self._broken(block, f"{response.code.dotted} without Block1 to {_show(block.option)}")
        fits = echo.block_number == block.number and echo.size_exponent <= block.exponent
        if not fits or bool(echo.more) is block.last:
            shown = _show((echo.block_number, bool(echo.more), echo.size_exponent))
            self._broken(block, f"{response.code.dotted} for {shown} to {_show(block.option)}")

    def _broken(self, block: _Block, reason: str) -> None:
        raise _Break(Outcome.UNKNOWN if block.last and block.doubtful else Outcome.REFUSED, reason)

    def _refused(self, block: _Block, response: Message) -> None:
        """Whatever is neither 2.31 in the middle nor 2.04 at the end."""
        code, hint = response.code, response.opt.block1
        smaller = hint is not None and hint.size_exponent < self._exponent
        if code is REQUEST_ENTITY_TOO_LARGE and smaller:
            self._restart(hint.size_exponent)
            return
        if self._may_be_too_large(block, response):
            self._halve()
            return
        incomplete = code is REQUEST_ENTITY_INCOMPLETE
        repeated = block.doubtful and (incomplete or code is SERVICE_UNAVAILABLE)
        if repeated and not block.last and self._untold < MAX_UNTOLD:
            self._untold += 1
            self.result.sent = block.offset + block.size  # the next block's answer tells
            return
        if incomplete and not (repeated and block.last) and block.offset > 0 and self._rewinds < MAX_RESTARTS:
            self._rewinds += 1
            if smaller:
                self._restart(hint.size_exponent)
            elif self._rewinds > 1 and self._can_halve:
                self._halve()  # it was no lost block: the same size has failed before
            else:
                self._restart(self._exponent)
            return
        reason = f"{code.dotted} to the block at {block.offset}"
        if code is CHANGED:
            reason += ", before the last block"
        elif code is CONTINUE:
            reason += ", which was the last"
        if code is REQUEST_ENTITY_TOO_LARGE and response.opt.size1 is not None:
            reason += f" (the device takes {response.opt.size1} bytes)"
        self._broken(block, reason)

    def _may_be_too_large(self, block: _Block, response: Message) -> bool:
        """Whether the very first block was refused, and no size was named that would be right.

        4.13 with Size1 is about the whole package (RFC 7959 section 2.9.3); devices with a small buffer send
        it, or 4.08, without any option.
        """
        codes = (REQUEST_ENTITY_TOO_LARGE, REQUEST_ENTITY_INCOMPLETE)
        first = block.offset == 0 and not block.last and not block.doubtful
        return first and response.code in codes and response.opt.size1 is None and self._can_halve

    @property
    def _can_halve(self) -> bool:
        return self._halvings < MAX_HALVINGS and self._exponent > 0

    def _halve(self) -> None:
        self._halvings += 1
        self._restart(self._exponent - 1)

    def _restart(self, exponent: int) -> None:
        self.result.restarts += 1
        self._exponent, self._untold, self.result.sent = exponent, 0, 0

    async def _ask(self, block: _Block) -> Message:
        """Send a block until it has a response, or none can be had."""
        failure: Exception | None = None
        for _ in range(SEPARATE_TRIES):
            message = self._message(block)
            try:
                return await self._exchange.respond(message, self._registration, BLOCK_LIMIT)
            except (error.Error, TimeoutError) as caught:
                failure = caught
            finally:
                block.doubtful = block.doubtful or message.transport_tuning.repeats > 0
            if not isinstance(failure, TimeoutError):
                break
            block.doubtful = True  # acknowledged, but the response got lost: ask again
        if isinstance(failure, UnreadableResponse):
            self._broken(block, f"the answer to {_show(block.option)}: {failure}")
        if isinstance(failure, error.MessageError):
            self._broken(block, f"a reset to the block at {block.offset}")
        outcome = Outcome.UNKNOWN if block.last else Outcome.LOST
        reason = str(failure) or type(failure).__name__
        raise _Break(outcome, f"no response to the block at {block.offset}: {reason}")

    def _message(self, block: _Block) -> Message:
        options: dict[str, Any] = {"content_format": self._form.content_format}
        announced = self._form.announced(len(self._data))
        if block.offset == 0 and announced is not None:
            options["size1"] = announced
        message = Message(
            code=PUT,
            uri_path=self._path,
            payload=self._data[block.offset : block.offset + block.size],
            block1=block.option,
            transport_tuning=BlockTuning(),
            **options,
        )
        message.remote = self._registration.remote
        return message


def _show(block: tuple[int, bool, int]) -> str:
    number, more, exponent = block
    return f"block {number}{'+' if more else '.'} of {16 << exponent}"
