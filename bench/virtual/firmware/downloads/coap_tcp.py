"""PULL over CoAP over TCP (RFC 8323): one connection, blocks of 1024 bytes, its own framing."""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.firmware.downloads.source import Means, Source
from bench.virtual.firmware.downloads.stream import Broken, Stream
from bench.virtual.process import Steps

CSM, PING, PONG = 0xE1, 0xE2, 0xE3


class CoapTcpDownload(CoapBlocks):
    """Blocks of 1024 bytes over one connection; an answer that does not come breaks it."""

    first_exponent = 6

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        super().__init__(means, source, capacity)
        self._token = 0

    def _ask(self) -> Steps:
        try:
            return (yield from self._exchange())
        except Broken:
            return None

    def _exchange(self) -> Steps:
        if self._stream is None:
            self._stream = Stream(self._means, self._source.address)
            self._stream.send(_framed(coap.Message(coap.CON, CSM)))
        self._token = (self._token + 1) & 0xFFFF
        request = self._request(self._token.to_bytes(2, "big"))
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
