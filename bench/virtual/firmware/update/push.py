"""PUSH: takes the package that a server writes to /5/0/0, block by block (RFC 7959, Block1)."""

from __future__ import annotations

from typing import Any, Protocol

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.data_model import OPAQUE, TLV, tlv_header
from bench.virtual.firmware.update.machine import (
    CONNECTION_LOST,
    DOWNLOADED,
    DOWNLOADING,
    NO_FLASH,
    NO_RAM,
    UPDATING,
    UpdateMachine,
)
from bench.virtual.firmware.update.store import PackageStore
from bench.virtual.machine import Machine
from bench.virtual.process import Steps
from bench.virtual.scheduler import Handle

PUSH_SILENCE = 300.0
"""Seconds without a block after which a PUSH counts as abandoned."""


class Owner(Protocol):
    """What the receiver asks of the update object."""

    attempt: int

    def begin_attempt(self) -> int: ...
    def drop(self, event: str, result: int | None = None) -> Steps: ...
    def verify(self) -> Steps: ...


class PushReceiver:
    """One package at a time, from one source; `source` is None while nobody pushes."""

    def __init__(self, machine: Machine, fota: UpdateMachine, store: PackageStore, owner: Owner) -> None:
        self._machine, self._fota, self._store, self._owner = machine, fota, store, owner
        self.source: Any = None
        self._size: int | None = None
        self._format: int | None = None
        self._skip = 0  # bytes of TLV header in front of the package
        self._storing = False
        self._last: tuple[Block, bytes] | None = None
        self._silence: Handle | None = None

    def forget(self) -> None:
        self.source = None
        self._last = None

    def write_package(self, request: Request) -> None:
        """PUT /5/0/0, one block or all of it."""
        message = request.message
        block = Block.of(message, coap.BLOCK1)
        if block is None:
            block = Block(0, False, 6)
        elif block.exponent == 7 or not _fills(block, message.payload):
            request.respond(coap.BAD_REQUEST)
            return
        if message.uint(coap.CONTENT_FORMAT) not in (None, OPAQUE, TLV):
            request.respond(coap.UNSUPPORTED_FORMAT)
        elif self._is_repeated(request, block):
            self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        elif self._storing and request.source == self.source:
            request.ignore()  # the block before is still going to the flash
        elif block.number == 0:
            self._start(request, block)
        else:
            self._next_block(request, block)

    def _is_repeated(self, request: Request, block: Block) -> bool:
        """Whether it is the last block once more: its answer was lost, and it came as a new message."""
        message = request.message
        same = self._last == (block, message.payload) and request.source == self.source
        if block.number == 0:  # or a new attempt, which is told by its size, if at all
            same = same and block.more and message.uint(coap.SIZE1) == self._size
        return same and self._fota.state in (DOWNLOADING, DOWNLOADED)

    def _start(self, request: Request, block: Block) -> None:
        message = request.message
        skip = 0
        if message.uint(coap.CONTENT_FORMAT) == TLV:
            try:
                number, length, skip = tlv_header(message.payload)
            except ValueError:
                request.respond(coap.BAD_REQUEST)
                return
            if number != 0 or (not block.more and skip + length != len(message.payload)):
                request.respond(coap.BAD_REQUEST)
                return
        if not block.more and message.payload[skip:] in (b"", b"\0"):
            self._reset(request)
        else:
            self._first_block(request, block, skip)

    def _reset(self, request: Request) -> None:
        if self._fota.state == UPDATING:
            request.respond(coap.NOT_ALLOWED)
            return
        self._answer(request, coap.CHANGED)
        self._machine.cpu.spawn(self._owner.drop("reset"))

    def _first_block(self, request: Request, block: Block, skip: int) -> None:
        pulling = self._fota.state == DOWNLOADING and self.source is None
        if self._fota.state in (DOWNLOADED, UPDATING) or pulling:
            request.respond(coap.NOT_ALLOWED)
            return
        size = request.message.uint(coap.SIZE1)
        package = max(size or 0, len(request.message.payload)) - skip
        if package > self._store.capacity:
            self._refuse(request, coap.TOO_LARGE, NO_FLASH)
            return
        if not self._store.has_memory:
            self._refuse(request, coap.INTERNAL, NO_RAM)
            return
        attempt = self._owner.begin_attempt()
        self.source, self._size = request.source, size
        self._format = request.message.uint(coap.CONTENT_FORMAT)
        self._skip = skip
        self._fota.event("started")
        self._machine.cpu.spawn(self._take_first(request, block, attempt))

    def _refuse(self, request: Request, code: int, result: int) -> None:
        request.respond(code)
        self._machine.cpu.spawn(self._owner.drop("download failed", result))

    def _take_first(self, request: Request, block: Block, attempt: int) -> Steps:
        self._storing = True
        yield from self._fota.keep()
        yield from self._store.begin()
        yield from self._take(request, block, attempt, self._skip)

    def _next_block(self, request: Request, block: Block) -> None:
        start = block.offset - self._skip
        end = start + len(request.message.payload)
        if (
            self._fota.state != DOWNLOADING
            or request.source != self.source
            or request.message.uint(coap.CONTENT_FORMAT) != self._format
            or start != self._store.received
            or (self._last is not None and not self._last[0].more)
        ):
            request.respond(coap.INCOMPLETE)
        elif end > self._store.capacity:
            self._refuse(request, coap.TOO_LARGE, NO_FLASH)
        else:
            self._machine.cpu.spawn(self._take(request, block, self._owner.attempt))

    def _take(self, request: Request, block: Block, attempt: int, skip: int = 0) -> Steps:
        self._storing = True
        if attempt == self._owner.attempt:
            yield from self._store.append(request.message.payload[skip:])
        self._storing = False
        if attempt != self._owner.attempt:
            request.respond(coap.INCOMPLETE)
            return
        self._last = (block, request.message.payload)
        self._watch(attempt)
        self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        if not block.more:
            yield from self._owner.verify()

    def _watch(self, attempt: int) -> None:
        """A server that falls silent in the middle of a PUSH must not block the device for ever."""

        def silent() -> None:
            if attempt == self._owner.attempt and self._fota.state == DOWNLOADING:
                self._machine.cpu.spawn(self._owner.drop("download failed", CONNECTION_LOST))

        if self._silence is not None:
            self._silence.cancel()
        self._silence = self._machine.cpu.after(PUSH_SILENCE, silent)

    def _answer(self, request: Request, code: int) -> None:
        """With the block option only where the request had one: it is critical."""
        options = []
        asked = Block.of(request.message, coap.BLOCK1)
        if asked is not None:
            value = asked.value
            options.append((coap.BLOCK1, value.to_bytes((value.bit_length() + 7) // 8, "big")))
        request.respond(code, options=options)


def _fills(block: Block, payload: bytes) -> bool:
    """Whether the payload has the size its block option says (RFC 7959, 2.2)."""
    return len(payload) == block.size if block.more else len(payload) <= block.size
