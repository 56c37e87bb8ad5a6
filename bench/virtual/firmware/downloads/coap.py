"""PULL: the device fetches a package block by block (RFC 7959, Block2), patiently, minding the ETag."""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Block, Message
from bench.virtual.firmware.downloads.source import (
    ATTEMPTS,
    LOST,
    MAX_RESTARTS,
    NO_SUCH_PACKAGE,
    PAUSE,
    TOO_LARGE,
    Means,
    Source,
)
from bench.virtual.process import Signal, Steps

EXPONENT = 5
"""Asks for blocks of 512 bytes, as Zephyr's client does."""


class CoapDownload:
    """Call `next_block` until `complete` or `failure`; `restarted` says that the bytes begin anew."""

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        self._engine, self._source = means.engine, source
        self._capacity = capacity
        self._offset = 0
        self._exponent = EXPONENT
        self.etag: bytes = b""
        self._restarts = 0
        self.complete = False
        self.restarted = False
        self.failure: str | None = None

    def resume(self, offset: int, etag: bytes) -> None:
        """Go on at `offset` of a package that was known by `etag`; block sizes must divide `offset`."""
        self._offset, self.etag = offset, etag

    def next_block(self) -> Steps:
        """The next bytes of the package; b"" with `failure` set when there are none."""
        self.restarted = False
        while True:
            answer = yield from self._ask_patiently()
            if answer is None:
                return self._fail(LOST)
            if answer.code == coap.NOT_FOUND:
                return self._fail(NO_SUCH_PACKAGE)
            if answer.code != coap.CONTENT:
                return self._fail(LOST)
            etag = answer.first(coap.ETAG) or b""
            if self._is_another(etag):
                if self._restarts >= MAX_RESTARTS:
                    return self._fail(LOST)
                self._restarts += 1
                self._offset, self.restarted = 0, True
                continue
            self.etag = etag
            return self._taken(answer)

    def _is_another(self, etag: bytes) -> bool:
        """Whether what the server has under this name is no longer what the download began with."""
        return bool(self._offset) and etag != self.etag

    def _taken(self, answer: Message) -> bytes:
        size = answer.uint(coap.SIZE2)
        block = Block.of(answer, coap.BLOCK2) or Block(0, False, 6)
        end = block.offset + len(answer.payload)
        if max(size or 0, end) > self._capacity:
            return self._fail(TOO_LARGE)
        if block.offset != self._offset or (block.more and len(answer.payload) != block.size):
            return self._fail(LOST)
        self._exponent = min(self._exponent, block.exponent)
        self._offset = end
        self.complete = not block.more
        return answer.payload

    def _fail(self, why: str) -> bytes:
        self.failure = why
        return b""

    def _ask_patiently(self) -> Steps:
        for attempt in range(ATTEMPTS):
            if attempt:
                yield PAUSE * attempt
            answered = Signal()
            self._engine.request(self._message(), self._source.address, answered.send)
            answer = yield answered
            if answer is not None and answer.code != coap.UNAVAILABLE:
                return answer
        return None

    def _message(self) -> Message:
        message = Message(coap.CON, coap.GET)
        for part in self._source.path:
            message.add_text(coap.URI_PATH, part)
        for item in self._source.query:
            message.add_text(coap.URI_QUERY, item)
        number = self._offset >> (self._exponent + 4)
        message.add_uint(coap.BLOCK2, Block(number, False, self._exponent).value)
        return message
