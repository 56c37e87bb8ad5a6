"""Requests that come block by block (a Register with many links, a large Send): RFC 7959, section 2.5.

aiocoap's assembler answers 5.00 when a block arrives twice under different message IDs, or out of
order. This one takes a repeated block once, and answers 4.08 to a gap.
"""

from __future__ import annotations

from typing import Any

from aiocoap import Message
from aiocoap.blockwise import Block1Spool, ContinueException, IncompleteException


class RepeatableSpool(Block1Spool):
    """Put in the place of a resource's `_block1`."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[Any, tuple[int, bytes]] = {}

    def feed_and_take(self, req: Message) -> Message:
        block = req.opt.block1
        if block is None:
            return req
        key = req.remote.blockwise_key
        this = (block.block_number, req.payload)
        if block.block_number and block.more and self._last.get(key) == this:
            raise ContinueException(block)
        try:
            whole = super().feed_and_take(req)
        except ContinueException:
            self._last[key] = this
            raise
        except ValueError:  # a gap, or another body under the same key
            raise IncompleteException from None
        self._last.pop(key, None)
        return whole
