"""PUSH: the blocks of a package that the server writes."""

from __future__ import annotations

import math
from typing import Any

from bench.virtual.defects.defect import Area, Patch, always
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.update import push
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.store import PackageStore

PUSH = Area("push, block by block")


@PUSH(PushReceiver, "_is_repeated", source="wakaama#555", hints=("test_repeated_block",))
def repeated_block_ends_the_transfer(healthy: Any) -> Any:
    """A block that comes once more, as a new message, is refused, and the whole transfer with it."""

    def is_repeated(self: PushReceiver, request: Any, block: Block) -> bool:
        if healthy(self, request, block):
            self.forget()
        return False

    return is_repeated


@PUSH(PushReceiver, "_is_repeated", source="zephyr#70591", hints=("test_push_given_up_for_another",))
def new_first_block_taken_for_a_duplicate(healthy: Any) -> Any:
    """The first block of a new transfer is taken for a repeated one, and the old bytes stay."""

    def is_repeated(self: PushReceiver, request: Any, block: Block) -> bool:
        return healthy(self, request, block) or (block.number == 0 and self._store.received > 0)

    return is_repeated


@PUSH(PushReceiver, "_is_repeated", source="zephyr#71351", hints=("test_repeated_block",))
def first_block_stored_twice(healthy: Any) -> Any:
    """A repeated first block is written behind the first one: the image is one block too long."""

    def is_repeated(self: PushReceiver, request: Any, block: Block) -> bool:
        known: bool = healthy(self, request, block)
        if known and block.number == 0:
            self._machine.cpu.spawn(self._store.append(request.message.payload))
        return known

    return is_repeated


@PUSH(PushReceiver, "_next_block", source="seen in a client's source", hints=("test_block_left_out",))
def gap_between_blocks_taken(healthy: Any) -> Any:
    """A block that does not follow the one before is taken as if it did."""

    def next_block(self: PushReceiver, request: Any, block: Block) -> None:
        if request.source == self.source:
            self._machine.cpu.spawn(self._take(request, block, self._owner.attempt))
        else:
            healthy(self, request, block)

    return next_block


@PUSH(
    CoapEngine,
    "_requested",
    source="zephyr#26448",
    hints=("test_bad_path.py",),
    also=(
        Patch(PushReceiver, "_is_repeated", always(lambda self, request, block: False)),
        Patch(PushReceiver, "_next_block", gap_between_blocks_taken),
    ),
)
def duplicate_blocks_written(healthy: Any) -> Any:
    """A message that arrives twice is worked on twice, and its block is written twice."""

    def requested(self: CoapEngine, message: Any, source: Any) -> None:
        self._answered.pop((source, message.mid), None)
        healthy(self, message, source)

    return requested


@PUSH(PackageStore, "append", source="zephyr#26448", hints=("test_push_succeeds", "test_pull_succeeds"))
def length_of_16_bits(healthy: Any) -> Any:
    """Packages of more than 64 KiB wrap round and overwrite their own beginning."""

    def append(self: PackageStore, data: bytes) -> Any:
        yield from self._place.write(self.received & 0xFFFF, data)
        self.received += len(data)

    return append


@PUSH(PushReceiver, "_take", source="zephyr#16158", hints=("test_push_succeeds",))
def last_block_never_recognised(healthy: Any) -> Any:
    """The last block is stored like any other; the device waits for more."""

    def take(self: PushReceiver, request: Any, block: Block, attempt: int, skip: int = 0) -> Any:
        yield from healthy(self, request, Block(block.number, True, block.exponent), attempt, skip)

    return take


@PUSH(PushReceiver, "_answer", source="wakaama#559", hints=("test_push_succeeds",))
def last_block_answered_with_continue(healthy: Any) -> Any:
    """The last block is answered 2.31."""

    def answer(self: PushReceiver, request: Any, code: int) -> None:
        asked = Block.of(request.message, coap.BLOCK1)
        healthy(self, request, coap.CONTINUE if asked is not None and asked.number else code)

    return answer


@PUSH(PushReceiver, "_answer", source="zephyr#66607", hints=("test_push_succeeds",))
def answers_name_the_first_block(healthy: Any) -> Any:
    """Every answer names block 0, whichever block it is for."""

    def answer(self: PushReceiver, request: Any, code: int) -> None:
        asked = Block.of(request.message, coap.BLOCK1)
        value = 0 if asked is None else Block(0, asked.more, asked.exponent).value
        request.respond(code, options=[(coap.BLOCK1, bytes([value]))])

    return answer


@PUSH(push, "PUSH_SILENCE", source="seen in a running client", hints=("test_push_stalls",))
def abandoned_push_never_freed(healthy: Any) -> Any:
    """A server that falls silent in the middle of a PUSH leaves the device Downloading for ever."""
    return math.inf


@PUSH(PushReceiver, "_first_block", source="sdk-nrf#15892", hints=("test_push_given_up_for_another",))
def new_push_continues_the_old_one(healthy: Any) -> Any:
    """The first block of a new package is put behind the bytes of one that was given up."""

    def first_block(self: PushReceiver, request: Any, block: Block, skip: int) -> None:
        if self._store.received:
            self.source, self._size = request.source, request.message.uint(coap.SIZE1)
            self._machine.cpu.spawn(self._take(request, block, self._owner.attempt))
        else:
            healthy(self, request, block, skip)

    return first_block
