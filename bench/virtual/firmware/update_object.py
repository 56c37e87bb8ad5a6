"""The device's Firmware Update Object (/5, version 1.0): states, results, PUSH, PULL, trial and outcome.

Source: OMA LwM2M object 5 v1.0.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from collections.abc import Callable
from typing import Any

from bench.virtual.boot import slots as checks
from bench.virtual.boot.slots import UpdateSlots
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import CoapEngine, Request
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.data_model import OPAQUE, TLV, Instance, Path, Resource, tlv_header
from bench.virtual.firmware.download import (
    NO_SUCH_PACKAGE,
    TOO_LARGE,
    Download,
    Source,
)
from bench.virtual.firmware.settings import Settings
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps
from bench.virtual.scheduler import Handle

IDLE, DOWNLOADING, DOWNLOADED, UPDATING = range(4)
(
    INITIAL,
    SUCCESS,
    NO_FLASH,
    NO_RAM,
    CONNECTION_LOST,
    INTEGRITY,
    UNSUPPORTED,
    INVALID_URI,
    FAILED,
    UNSUPPORTED_PROTOCOL,
) = range(10)

EVENTS: dict[str, tuple[set[int], int, int | None]] = {
    # event: states it may happen in, state after it, result after it (None: given with the event)
    "started": ({IDLE, DOWNLOADING}, DOWNLOADING, INITIAL),
    "complete": ({DOWNLOADING}, DOWNLOADED, INITIAL),
    "download failed": ({IDLE, DOWNLOADING}, IDLE, None),
    "reset": ({IDLE, DOWNLOADING, DOWNLOADED}, IDLE, INITIAL),
    "update": ({DOWNLOADED}, UPDATING, INITIAL),
    "succeeded": ({UPDATING}, IDLE, SUCCESS),
    "failed": ({UPDATING}, IDLE, FAILED),
}

RESTART_DELAY = 1.0
"""Seconds between the answer to Update and the restart, so that answer and notification get out."""
PUSH_SILENCE = 300.0
"""Seconds without a block after which a PUSH counts as abandoned."""
COAP_PORT = 5683
MAX_URI = 255
"""Bytes of Package URI, by the object's definition."""


class UpdateObject:
    """`changed(path)` is told of every resource that has a new value."""

    def __init__(
        self,
        machine: Machine,
        running: RunningImage,
        slots: UpdateSlots,
        settings: Settings,
        changed: Callable[[Path], None],
    ) -> None:
        self._machine = machine
        self._running = running
        self._slots = slots
        self._settings = settings
        self._changed = changed
        self.engine: CoapEngine | None = None
        held = settings.values.get("fota", {})
        self.state = int(held.get("state", IDLE))
        self.result = int(held.get("result", INITIAL))
        self.uri = ""
        self._tried = bool(held.get("tried", False))  # the new image has run, on trial
        self._length = int(held.get("length", 0))
        self._received = 0
        self._erased = False
        self._attempt = 0
        self._push_source: Any = None
        self._push_size: int | None = None
        self._push_format: int | None = None
        self._skip = 0  # bytes of TLV header in front of the package
        self._storing = False
        self._last_block: tuple[Block, bytes] | None = None
        self._silence: Handle | None = None
        self.on_trial = False

    def instance(self) -> Instance:
        return Instance(
            {
                0: Resource("bytes", write=lambda value: coap.NOT_ALLOWED),
                1: Resource("str", read=lambda: self.uri, write=self._write_uri),
                2: Resource("none", execute=self._execute_update),
                3: Resource("int", read=lambda: self.state),
                5: Resource("int", read=lambda: self.result),
                8: Resource("int", read=lambda: {0: 0}),  # CoAP
                9: Resource("int", read=lambda: 2),  # both PULL and PUSH
            }
        )

    # ---- state

    def _event(self, name: str, result: int | None = None) -> None:
        sources, state, fixed = EVENTS[name]
        if self.state not in sources:
            raise RuntimeError(f"event {name!r} in state {self.state}")
        self._become(state, fixed if fixed is not None else int(result or INITIAL))

    def _become(self, state: int, result: int) -> None:
        before = (self.state, self.result)
        self.state, self.result = state, result
        if before == (state, result):
            return
        self._machine.print(f"fota: state {state} result {result}")
        if before[1] != result:
            self._changed((5, 0, 5))
        if before[0] != state:
            self._changed((5, 0, 3))

    def _keep(self) -> Steps:
        """Make state and result survive a restart."""
        yield from self._settings.put(
            "fota",
            {
                "state": self.state,
                "result": self.result,
                "tried": self._tried,
                "length": self._length,
            },
        )

    def _drop_package(self, event: str, result: int | None = None) -> Steps:
        """Back to Idle: what was downloaded must never boot."""
        self._attempt += 1  # whatever is still running for the old package stops
        self._push_source = None
        self._last_block = None
        self._event(event, result)
        yield from self._keep()
        if self._erased or self._received or self._length:
            self._received = self._length = 0
            yield from self._slots.invalidate()

    # ---- after a restart

    def settle(self) -> Steps:
        """At boot, before the network is there: what became of what was going on."""
        if self.state == DOWNLOADING:
            self._become(IDLE, INITIAL)
            yield from self._keep()
        elif self.state == UPDATING:
            if self._running.arrival == "test" and not self._slots.confirmed:
                self.on_trial = self._tried = True
                yield from self._keep()
            elif self._slots.confirmed and self._tried and self._running.arrival != "revert":
                self._event("succeeded")  # the confirmation was written, its record was not
                yield from self._keep()
            else:
                self._event("failed")
                yield from self._keep()

    def end_trial(self) -> Steps:
        """The new firmware has registered: it stays."""
        self.on_trial = False
        yield from self._slots.confirm()
        self._event("succeeded")
        yield from self._keep()

    # ---- storing

    def _prepare_slot(self) -> Steps:
        self._machine.activity("flash")
        yield from self._slots.erase()
        self._machine.activity("idle")
        self._erased, self._received = True, 0

    def _store(self, data: bytes) -> Steps:
        self._machine.activity("flash")
        yield from self._slots.write(self._received, data)
        self._machine.activity("idle")
        self._received += len(data)

    def _verify(self) -> Steps:
        """The package is complete: judge it, and keep or drop it."""
        attempt = self._attempt
        verdict = yield from self._slots.check(self._received)
        if attempt != self._attempt:
            return
        if verdict in (checks.OK, checks.WRONG_BOARD):  # the board is the bootloader's to judge
            self._length = self._received
            self._event("complete")
            yield from self._keep()
        else:
            failure = UNSUPPORTED if verdict == checks.UNSUPPORTED else INTEGRITY
            yield from self._drop_package("download failed", failure)

    # ---- PUSH

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
        elif self._storing and request.source == self._push_source:
            request.ignore()  # the block before is still going to the flash
        elif block.number == 0:
            self._start(request, block)
        else:
            self._next_block(request, block)

    def _is_repeated(self, request: Request, block: Block) -> bool:
        """Whether it is the last block once more: its answer was lost, and it came as a new message."""
        message = request.message
        same = self._last_block == (block, message.payload) and request.source == self._push_source
        if block.number == 0:  # or a new attempt, which is told by its size, if at all
            same = same and block.more and message.uint(coap.SIZE1) == self._push_size
        return same and self.state in (DOWNLOADING, DOWNLOADED)

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
        if self.state == UPDATING:
            request.respond(coap.NOT_ALLOWED)
            return
        self._answer(request, coap.CHANGED)
        self._machine.cpu.spawn(self._drop_package("reset"))

    def _first_block(self, request: Request, block: Block, skip: int) -> None:
        pulling = self.state == DOWNLOADING and self._push_source is None
        if self.state in (DOWNLOADED, UPDATING) or pulling:
            request.respond(coap.NOT_ALLOWED)
            return
        size = request.message.uint(coap.SIZE1)
        package = max(size or 0, len(request.message.payload)) - skip
        if package > self._slots.capacity:
            request.respond(coap.TOO_LARGE)
            self._machine.cpu.spawn(self._drop_package("download failed", NO_FLASH))
            return
        self._attempt += 1
        self._push_source, self._push_size = request.source, size
        self._push_format = request.message.uint(coap.CONTENT_FORMAT)
        self._skip, self._received = skip, 0
        self._event("started")
        self._machine.cpu.spawn(self._take_first(request, block, self._attempt))

    def _take_first(self, request: Request, block: Block, attempt: int) -> Steps:
        self._storing = True
        yield from self._keep()
        yield from self._prepare_slot()
        yield from self._take(request, block, attempt, self._skip)

    def _next_block(self, request: Request, block: Block) -> None:
        start = block.offset - self._skip
        end = start + len(request.message.payload)
        if (
            self.state != DOWNLOADING
            or request.source != self._push_source
            or request.message.uint(coap.CONTENT_FORMAT) != self._push_format
            or start != self._received
            or (self._last_block is not None and not self._last_block[0].more)
        ):
            request.respond(coap.INCOMPLETE)
        elif end > self._slots.capacity:
            request.respond(coap.TOO_LARGE)
            self._machine.cpu.spawn(self._drop_package("download failed", NO_FLASH))
        else:
            self._machine.cpu.spawn(self._take(request, block, self._attempt))

    def _take(self, request: Request, block: Block, attempt: int, skip: int = 0) -> Steps:
        self._storing = True
        if attempt == self._attempt:
            yield from self._store(request.message.payload[skip:])
        self._storing = False
        if attempt != self._attempt:
            request.respond(coap.INCOMPLETE)
            return
        self._last_block = (block, request.message.payload)
        self._watch_push(attempt)
        self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        if not block.more:
            yield from self._verify()

    def _watch_push(self, attempt: int) -> None:
        """A server that falls silent in the middle of a PUSH must not block the device for ever."""

        def silent() -> None:
            if attempt == self._attempt and self.state == DOWNLOADING:
                self._machine.cpu.spawn(self._drop_package("download failed", CONNECTION_LOST))

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

    # ---- PULL

    def _write_uri(self, uri: str) -> int:
        if not uri:
            if self.state == UPDATING:
                return coap.NOT_ALLOWED
            self.uri = ""
            self._machine.cpu.spawn(self._drop_package("reset"))
            return coap.CHANGED
        if len(uri.encode()) > MAX_URI:
            return coap.BAD_REQUEST
        if self.state != IDLE:
            return coap.NOT_ALLOWED
        self.uri = uri
        source, failure = _parse_uri(uri)
        self._attempt += 1
        self._push_source = None
        # the answer to the Write goes out first
        if source is None:
            self._machine.cpu.after(0.0, lambda: self._refuse(failure))
        else:
            self._event("started")
            self._machine.cpu.spawn(self._pull(source, self._attempt))
        return coap.CHANGED

    def _refuse(self, failure: int) -> None:
        if self.state == IDLE:
            self._event("started")
            self._machine.cpu.spawn(self._drop_package("download failed", failure))

    def _pull(self, source: Source, attempt: int) -> Steps:
        assert self.engine is not None
        yield from self._keep()
        yield from self._prepare_slot()
        download = Download(self.engine, self._machine, source, self._slots.capacity)
        while attempt == self._attempt:
            block = yield from download.next_block()
            if attempt != self._attempt:
                return
            if download.failure is not None:
                result = {NO_SUCH_PACKAGE: INVALID_URI, TOO_LARGE: NO_FLASH}.get(
                    download.failure, CONNECTION_LOST
                )
                yield from self._drop_package("download failed", result)
                return
            if download.restarted:
                yield from self._prepare_slot()
            yield from self._store(block)
            if download.complete:
                break
        if attempt == self._attempt:
            yield from self._verify()

    # ---- Update

    def _execute_update(self, arguments: bytes) -> int:
        if self.state != DOWNLOADED:
            return coap.NOT_ALLOWED
        self._event("update")
        self._machine.cpu.spawn(self._install())
        return coap.CHANGED

    def _install(self) -> Steps:
        self._tried = False
        yield from self._keep()
        yield from self._slots.request_upgrade()
        yield RESTART_DELAY
        self._machine.reset("soft")
        yield 0.0


def _fills(block: Block, payload: bytes) -> bool:
    """Whether the payload has the size its block option says (RFC 7959, 2.2)."""
    return len(payload) == block.size if block.more else len(payload) <= block.size


def _parse_uri(uri: str) -> tuple[Source | None, int]:
    """Where to fetch from, or None and the result that says why not."""
    try:
        parts = urllib.parse.urlsplit(uri)
        port = parts.port
    except ValueError:
        return None, INVALID_URI
    if not parts.scheme or not parts.netloc:
        return None, INVALID_URI
    if parts.scheme != "coap":
        return None, UNSUPPORTED_PROTOCOL
    try:
        host = str(ipaddress.ip_address(parts.hostname or ""))
    except ValueError:
        return None, INVALID_URI
    path = tuple(urllib.parse.unquote(part) for part in parts.path.split("/")[1:])
    query = tuple(parts.query.split("&")) if parts.query else ()
    return Source((host, port or COAP_PORT), path, query), 0
