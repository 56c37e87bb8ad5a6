"""Requests that come block by block (a Register with many links, a large Send): RFC 7959, section 2.5.

aiocoap's assembler answers 5.00 when a block arrives twice under different message IDs or out of
order, and takes bodies of any size from anybody. This one takes a repeated block once, answers 4.08
to a gap and 4.13 to a body larger than any device sends, and holds a bounded number of them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from aiocoap import Message, error
from aiocoap.blockwise import ContinueException, IncompleteException
from aiocoap.numbers.optionnumbers import OptionNumber

MAX_BODY = 32 * 1024
"""Bytes; some 3,000 links."""
MAX_BODIES = 64
LIFETIME = 247.0
"""Seconds after its last block in which a body is waited for."""
_NO_KEY = (OptionNumber.BLOCK1, OptionNumber.BLOCK2, OptionNumber.OBSERVE)


class BodyTooLarge(error.RequestEntityTooLarge):
    """4.13, with the size that would do in Size1."""

    def to_message(self) -> Message:
        message = super().to_message()
        message.opt.size1 = MAX_BODY
        return message


@dataclass
class _Body:
    touched: float
    parts: list[bytes] = field(default_factory=list)
    length: int = 0
    last: tuple[int, bytes] = (0, b"")


class RepeatableSpool:
    """Put in the place of a resource's `_block1`."""

    def __init__(self) -> None:
        self._bodies: OrderedDict[Any, _Body] = OrderedDict()

    def __len__(self) -> int:
        return len(self._bodies)

    def feed_and_take(self, request: Message) -> Message:
        """The whole request with its last block; raises the answer to any earlier one."""
        block = request.opt.block1
        if len(request.payload) > MAX_BODY or (request.opt.size1 or 0) > MAX_BODY:
            raise BodyTooLarge
        if block is None:
            return request
        if block.more and len(request.payload) != block.size:
            raise error.BadRequest("payload and Block1 disagree")
        key = request.remote.blockwise_key, request.get_cache_key(_NO_KEY)
        body = self._body(key, block.block_number)
        this = (block.block_number, request.payload)
        if block.block_number and block.more and body.last == this:
            raise ContinueException(block)
        if block.start != body.length:
            raise IncompleteException
        if body.length + len(request.payload) > MAX_BODY:
            del self._bodies[key]
            raise BodyTooLarge
        body.parts.append(request.payload)
        body.length += len(request.payload)
        body.last = this
        if block.more:
            raise ContinueException(block)
        del self._bodies[key]
        return request.copy(payload=b"".join(body.parts))

    def _body(self, key: Any, number: int) -> _Body:
        """The body a block belongs to; the one not touched for longest gives way to a new one."""
        now = asyncio.get_running_loop().time()
        while self._bodies and next(iter(self._bodies.values())).touched < now - LIFETIME:
            self._bodies.popitem(last=False)
        if number == 0:
            self._bodies[key] = _Body(now)
            self._bodies.move_to_end(key)
            if len(self._bodies) > MAX_BODIES:
                self._bodies.popitem(last=False)
        body = self._bodies.get(key)
        if body is None:
            raise IncompleteException
        body.touched = now
        self._bodies.move_to_end(key)
        return body
