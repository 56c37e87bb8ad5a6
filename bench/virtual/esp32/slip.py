"""SLIP framing (RFC 1055) as Espressif's loaders use it: one END before and one after each packet."""

from __future__ import annotations

END = b"\xc0"
_ESCAPED_END = b"\xdb\xdc"
_ESC = b"\xdb"
_ESCAPED_ESC = b"\xdb\xdd"


def encode(packet: bytes) -> bytes:
    return END + packet.replace(_ESC, _ESCAPED_ESC).replace(END, _ESCAPED_END) + END


class SlipDecoder:
    """Collects bytes into packets. Bytes before the first END, and empty packets, are dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets completed by `data`, unescaped."""
        self._buffer += data
        packets: list[bytes] = []
        while True:
            start = self._buffer.find(END)
            if start < 0:
                self._buffer.clear()
                return packets
            end = self._buffer.find(END, start + 1)
            if end < 0:
                del self._buffer[:start]
                return packets
            body = bytes(self._buffer[start + 1 : end])
            if body:
                packets.append(body.replace(_ESCAPED_END, END).replace(_ESCAPED_ESC, _ESC))
                del self._buffer[: end + 1]
            else:  # two ENDs in a row: the second one opens the next packet
                del self._buffer[:end]
