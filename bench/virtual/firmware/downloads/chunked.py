"""The chunked transfer coding (RFC 9112, section 7.1): a body whose length is not known beforehand."""

from __future__ import annotations

import re

from bench.virtual.firmware.downloads.stream import Broken

LONGEST_LINE = 4096
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")


class Dechunker:
    """Takes what comes as it comes; `complete` once the last chunk and its trailer are there."""

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._left = 0  # bytes of this chunk still to come
        self._ends = False  # the end of line behind a chunk is still to come
        self._last = False
        self.complete = False

    def take(self, data: bytes) -> bytes:
        """The part of the body in it. Raises `Broken` for what is no chunked body."""
        self._arrived += data
        body = bytearray()
        while not self.complete:
            if self._left:
                part = self._arrived[: self._left]
                del self._arrived[: len(part)]
                self._left -= len(part)
                body += part
                if self._left:
                    break
            line = self._line()
            if line is None:
                break
            self._read(line)
        return bytes(body)

    def _line(self) -> bytes | None:
        end = self._arrived.find(b"\r\n")
        if end < 0:
            if len(self._arrived) > LONGEST_LINE:
                raise Broken("no chunk")
            return None
        line = bytes(self._arrived[:end])
        del self._arrived[: end + 2]
        return line

    def _read(self, line: bytes) -> None:
        if self._last:  # a line of the trailer; an empty one ends it
            self.complete = not line
        elif self._ends:
            if line:
                raise Broken("a chunk is longer than it says")
            self._ends = False
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise Broken("no chunk")
            self._left = int(size[1], 16)
            self._last = not self._left
            self._ends = not self._last
