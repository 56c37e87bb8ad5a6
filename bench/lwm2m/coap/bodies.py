"""Requests and answers that need more than one datagram (RFC 7959).

The library's own assembling copies the whole body for each block, and takes blocks of two versions of a
resource for one. Here blocks are collected, and collecting begins anew when the ETag changes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiocoap import CONTINUE, Message
from aiocoap.numbers.codes import REQUEST_ENTITY_INCOMPLETE, REQUEST_ENTITY_TOO_LARGE

from bench.lwm2m.coap.tuning import BlockTuning
from bench.lwm2m.codecs.error import CodecError

Ask = Callable[[Message], Awaitable[Message]]
"""Sends one message and returns its response, whatever its code."""

MAX_ANSWER = 4 << 20
"""Bytes of an answer; no object of a device is larger."""
MAX_RESTARTS = 3
LARGEST = 6
"""Exponent of a block of 1024 bytes, the largest there is (RFC 7959, section 2.2)."""


async def whole_exchange(ask: Ask, message: Message) -> Message:
    """The whole answer to a request of any size. Raises `CodecError` when its blocks do not fit together.

    The answer has the options of its first block, and no Block2.
    """
    return await whole_answer(ask, message, await _send(ask, message))


def is_part(response: Message) -> bool:
    """Whether more blocks of the answer are to be fetched."""
    return response.opt.block2 is not None and bool(response.opt.block2.more)


# ---- the request (Block1)


def _is_large(message: Message) -> bool:
    """Whether its payload is more than one block of what its peer takes."""
    return len(message.payload) > 16 << _exponent(message)


def _exponent(message: Message) -> int:
    """Of the largest block that its peer takes; a message may be for no peer yet."""
    largest: int = LARGEST if message.remote is None else message.remote.maximum_block_size_exp
    return largest


async def _send(ask: Ask, message: Message) -> Message:
    if not _is_large(message):
        return await ask(message)
    exponent, offset, restarts = _exponent(message), 0, 0
    while True:
        size = 1 << (exponent + 4)
        more = offset + size < len(message.payload)
        part = _copy(message, message.payload[offset : offset + size])
        part.opt.block1 = (offset >> (exponent + 4), more, exponent)
        if offset == 0:
            part.opt.size1 = len(message.payload)
        response = await ask(part)
        hint = response.opt.block1
        smaller = hint is not None and hint.size_exponent < exponent
        if response.code is CONTINUE and more and hint is not None:
            offset += size
            exponent = min(exponent, hint.size_exponent)
        elif restarts < MAX_RESTARTS and (
            (response.code is REQUEST_ENTITY_TOO_LARGE and smaller)
            or (response.code is REQUEST_ENTITY_INCOMPLETE and offset > 0)
        ):
            restarts += 1
            offset = 0
            exponent = hint.size_exponent if smaller else exponent
        elif more and response.code.is_successful():
            raise CodecError(f"{response.code.dotted} to a block in the middle of the request")
        else:
            return response


# ---- the answer (Block2)


async def whole_answer(ask: Ask, request: Message, first: Message) -> Message:
    """`first` with the rest of its body, fetched by `request` without Observe. Raises as `whole_exchange`."""
    restarts = 0
    while first.code.is_successful() and is_part(first):
        if first.opt.block2.block_number != 0:
            raise CodecError(f"block {first.opt.block2.block_number} of an answer came first")
        parts = await _rest(ask, request, first)
        if parts is not None:
            return _joined(first, parts)
        if restarts == MAX_RESTARTS:
            raise CodecError(f"the resource changed {restarts + 1} times while it was read")
        restarts += 1
        first = await ask(_next(request, 0, first.opt.block2.size_exponent))
    return first


async def _rest(ask: Ask, request: Message, first: Message) -> list[bytes] | None:
    """The payloads of all blocks; None when the resource changed on the way."""
    parts: list[bytes] = []
    total, block = 0, first
    while True:
        option = block.opt.block2
        if option.more and len(block.payload) != option.size:
            raise CodecError(f"{len(block.payload)} bytes in a block of {option.size}")
        parts.append(block.payload)
        total += len(block.payload)
        if total > MAX_ANSWER:
            raise CodecError(f"an answer of more than {MAX_ANSWER} bytes")
        if not option.more:
            return parts
        block = await ask(_next(request, total >> (option.size_exponent + 4), option.size_exponent))
        if block.code is REQUEST_ENTITY_INCOMPLETE or block.opt.etag != first.opt.etag:
            return None
        if not block.code.is_successful():
            raise CodecError(f"{block.code.dotted} to the block at {total}")
        if block.opt.block2 is None or block.opt.block2.start != total:
            raise CodecError(f"the answer to the block at {total} is another one")


def _next(request: Message, number: int, exponent: int) -> Message:
    """RFC 7959, 2.4: the same request, small enough to be sent whole."""
    if _is_large(request):
        raise CodecError("a large request that has a large answer")
    message = _copy(request, request.payload)
    message.opt.observe = None
    message.opt.block2 = (number, False, exponent)
    return message


def _copy(message: Message, payload: bytes) -> Message:
    return message.copy(payload=payload, mid=None, token=b"", transport_tuning=BlockTuning())


def _joined(first: Message, parts: list[bytes]) -> Message:
    whole = first.copy(payload=b"".join(parts))
    whole.opt.block2 = None
    return whole
