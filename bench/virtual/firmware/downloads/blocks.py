"""What every download does alike: it hands on block after block, tries again, begins anew, and fails once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Block, Message
from bench.virtual.firmware.downloads.source import (
    ATTEMPTS,
    LONGEST_WAIT,
    LOST,
    MAX_RESTARTS,
    NO_SUCH_PACKAGE,
    PAUSE,
    TOO_LARGE,
    Means,
    Source,
)
from bench.virtual.firmware.downloads.stream import Stream
from bench.virtual.process import Steps


class BlockwiseDownload(ABC):
    """See `Download`. `_offset` is how much was handed on; `_stream` the connection, where it has one."""

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        self._means, self._source, self._capacity = means, source, capacity
        self._stream: Stream | None = None
        self._arrived = bytearray()
        self._offset = 0
        self._restarts = self._tries = 0
        self.etag = b""
        self.complete = False
        self.restarted = False
        self.failure: str | None = None

    def resume(self, offset: int, etag: bytes) -> None:
        """Go on at `offset` of a package that was known by `etag`; block sizes must divide `offset`."""
        self._offset, self.etag = offset, etag

    @abstractmethod
    def next_block(self) -> Steps:
        """The next bytes of the package; b"" with `failure` set when there are none."""

    def _locate(self) -> Steps:
        """Find out where the host is; the value is whether it is known."""
        source = self._source
        if not source.ip:
            found = yield from self._means.modem.resolve(source.host)
            if found is None:
                self._fail(NO_SUCH_PACKAGE)
                return False
            self._source = replace(source, ip=found)
        return True

    def _begin_anew(self) -> bool:
        """Another package stands under the same name. False, and failed, when that happens too often."""
        if self._restarts >= MAX_RESTARTS:
            self._fail(LOST)
            return False
        self._restarts += 1
        self._offset = 0
        return True

    def _fail(self, why: str) -> bytes:
        self.failure = why
        self._drop()
        return b""

    def _drop(self) -> None:
        """The connection, and what came over it and was not handed on."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._arrived.clear()

    def _try_again(self, wait: float | None = None) -> Steps:
        """After a pause (each longer than the last, or `wait` seconds); too many fruitless tries fail."""
        self._drop()
        self._tries += 1
        if self._tries >= ATTEMPTS or (wait or 0.0) > LONGEST_WAIT:
            self._fail(LOST)
        else:
            yield PAUSE * self._tries if wait is None else wait


class CoapBlocks(BlockwiseDownload):
    """Block2 (RFC 7959) over whatever carries CoAP: a request is answered by `_ask`, or None is."""

    first_exponent: int
    """Block size asked for at first: 2 ** (it + 4) bytes."""

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        super().__init__(means, source, capacity)
        self._exponent = self.first_exponent

    @abstractmethod
    def _ask(self) -> Steps:
        """Ask for the block at `_offset`: its answer, or None when this try gave none."""

    def next_block(self) -> Steps:
        self.restarted = False
        while self.failure is None:
            if not (yield from self._locate()):
                break
            answer = yield from self._ask()
            if answer is None or answer.code == coap.UNAVAILABLE:
                # when to try again (RFC 7252, 5.9.3.4)
                yield from self._try_again(None if answer is None else answer.uint(coap.MAX_AGE))
                continue
            self._tries = 0
            if answer.code != coap.CONTENT:
                return self._fail(NO_SUCH_PACKAGE if answer.code == coap.NOT_FOUND else LOST)
            etag = answer.first(coap.ETAG) or b""
            if self._is_another(etag):
                self.restarted = self._begin_anew()
                continue
            self.etag = etag
            return self._taken(answer)
        return b""

    def _is_another(self, etag: bytes) -> bool:
        """Whether what the server has under this name is no longer what the download began with."""
        return bool(self._offset) and etag != self.etag

    def _taken(self, answer: Message) -> bytes:
        block = Block.of(answer, coap.BLOCK2) or Block(0, False, 6)
        end = block.offset + len(answer.payload)
        if max(answer.uint(coap.SIZE2) or 0, end) > self._capacity:
            return self._fail(TOO_LARGE)
        if block.offset != self._offset or (block.more and len(answer.payload) != block.size):
            return self._fail(LOST)
        self._exponent = min(self._exponent, block.exponent)
        self._offset = end
        if not block.more:
            self.complete = True
            self._drop()
        return answer.payload

    def _request(self, token: bytes = b"") -> Message:
        message = Message(coap.CON, coap.GET, token=token)
        if self._source.host != self._source.ip:
            message.add_text(coap.URI_HOST, self._source.host)
        for part in self._source.path:
            message.add_text(coap.URI_PATH, part)
        for item in self._source.query:
            message.add_text(coap.URI_QUERY, item)
        number = self._offset >> (self._exponent + 4)
        message.add_uint(coap.BLOCK2, Block(number, False, self._exponent).value)
        return message
