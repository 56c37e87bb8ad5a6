"""PULL over CoAP over TCP (RFC 8323): one connection, blocks of 1024 bytes, its own framing."""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Block
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
from bench.virtual.firmware.downloads.stream import Broken, Stream
from bench.virtual.process import Steps

CSM, PING, PONG = 0xE1, 0xE2, 0xE3
EXPONENT = 6


class CoapTcpDownload:
    """See `Download`."""

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        self._means, self._source, self._capacity = means, source, capacity
        self._stream: Stream | None = None
        self._arrived = bytearray()
        self._offset = 0
        self._exponent = EXPONENT
        self._restarts = self._tries = 0
        self._token = 0
        self.etag = b""
        self.complete = False
        self.restarted = False
        self.failure: str | None = None

    def resume(self, offset: int, etag: bytes) -> None:
        self._offset, self.etag = offset, etag

    def next_block(self) -> Steps:
        """The next bytes of the package; b"" with `failure` set when there are none."""
        self.restarted = False
        while self.failure is None:
            try:
                answer = yield from self._ask()
            except Broken:
                yield from self._try_again()
                continue
            if answer.code == coap.UNAVAILABLE:
                yield from self._try_again()
                continue
            if answer.code != coap.CONTENT:
                return self._fail(NO_SUCH_PACKAGE if answer.code == coap.NOT_FOUND else LOST)
            etag = answer.first(coap.ETAG) or b""
            if self._offset and etag != self.etag:
                if self._restarts >= MAX_RESTARTS:
                    return self._fail(LOST)
                self._restarts += 1
                self._offset, self.restarted = 0, True
                continue
            self._tries, self.etag = 0, etag
            return self._taken(answer)
        return b""

    def _taken(self, answer: coap.Message) -> bytes:
        block = Block.of(answer, coap.BLOCK2) or Block(0, False, EXPONENT)
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

    def _fail(self, why: str) -> bytes:
        self.failure = why
        self._drop()
        return b""

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream = None
        self._arrived.clear()

    def _try_again(self) -> Steps:
        self._drop()
        self._tries += 1
        if self._tries >= ATTEMPTS:
            self._fail(LOST)
        else:
            yield PAUSE * self._tries

    # ---- messages

    def _ask(self) -> Steps:
        if self._stream is None:
            self._stream = Stream(self._means, self._source.address, secure=False)
            self._stream.send(_framed(coap.Message(coap.CON, CSM)))
        self._token = (self._token + 1) & 0xFFFF
        request = coap.Message(coap.CON, coap.GET, token=self._token.to_bytes(2, "big"))
        for part in self._source.path:
            request.add_text(coap.URI_PATH, part)
        for item in self._source.query:
            request.add_text(coap.URI_QUERY, item)
        number = self._offset >> (self._exponent + 4)
        request.add_uint(coap.BLOCK2, Block(number, False, self._exponent).value)
        self._stream.send(_framed(request))
        while True:
            message = _unframed(self._arrived)
            if message is None:
                data = yield from self._stream.receive()
                if not data:
                    raise Broken("closed by the server")
                self._arrived += data
            elif message.code == PING:
                self._stream.send(_framed(coap.Message(coap.CON, PONG, token=message.token)))
            elif message.code < 0xE0 and message.token == request.token:
                return message


def _framed(message: coap.Message) -> bytes:
    """RFC 8323, 3.2: length of options and payload, code, token, options, payload."""
    plain = coap.encode(message)  # the UDP form: 4 bytes, token, options and payload
    token, rest = message.token, plain[4 + len(message.token) :]
    size = len(rest)
    if size < 13:
        nibble, more = size, b""
    elif size < 269:
        nibble, more = 13, bytes([size - 13])
    elif size < 65805:
        nibble, more = 14, (size - 269).to_bytes(2, "big")
    else:
        nibble, more = 15, (size - 65805).to_bytes(4, "big")
    return bytes([nibble << 4 | len(token)]) + more + bytes([message.code]) + token + rest


def _unframed(arrived: bytearray) -> coap.Message | None:
    """Take one message from the front, or None when it is not all there. Raises `Broken`."""
    if not arrived:
        return None
    nibble, token_length = arrived[0] >> 4, arrived[0] & 15
    width = {13: 1, 14: 2, 15: 4}.get(nibble, 0)
    head = 1 + width + 1 + token_length
    if len(arrived) < head:
        return None
    size = nibble
    if width:
        size = int.from_bytes(arrived[1 : 1 + width], "big") + {1: 13, 2: 269, 4: 65805}[width]
    if len(arrived) < head + size:
        return None
    code, token = arrived[1 + width], bytes(arrived[2 + width : head])
    rest = bytes(arrived[head : head + size])
    del arrived[: head + size]
    try:
        return coap.decode(bytes([0x40 | len(token), code, 0, 0]) + token + rest)
    except ValueError as error:
        raise Broken(f"no CoAP: {error}") from None
