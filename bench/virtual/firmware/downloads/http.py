"""PULL over HTTP/1.1 or HTTPS (RFC 9110, 9112): resumes by Range, minds the ETag, follows redirects."""

from __future__ import annotations

import re
import urllib.parse
from email.utils import parsedate_to_datetime

from bench.virtual.firmware.downloads import source as sources
from bench.virtual.firmware.downloads.blocks import BlockwiseDownload
from bench.virtual.firmware.downloads.chunked import Dechunker
from bench.virtual.firmware.downloads.source import LOST, NO_SUCH_PACKAGE, TOO_LARGE, Means, Source
from bench.virtual.firmware.downloads.stream import Broken, Stream
from bench.virtual.process import Steps

CHUNK = 4096
MAX_REDIRECTS = 3
MAX_HEADER = 8192
PORTS = {"http": 80, "https": 443}


class HttpDownload(BlockwiseDownload):
    """Chunks of 4096 bytes, the last one shorter; `_arrived` holds what came of the body."""

    def __init__(self, means: Means, source: Source, capacity: int) -> None:
        super().__init__(means, source, capacity)
        self._left: int | None = None  # bytes of the body still to come; None: until the end
        self._redirects = 0
        self._begins_anew = False
        self._more = False  # behind the part that is coming
        self._chunks: Dechunker | None = None

    def next_block(self) -> Steps:
        self.restarted = False
        while self.failure is None:
            try:
                if self._stream is None:
                    if (yield from self._locate()):
                        yield from self._ask()
                    continue
                block = yield from self._chunk()
            except Broken:
                yield from self._try_again()
                continue
            self._tries = 0
            self._offset += len(block)
            self.restarted, self._begins_anew = self._begins_anew, False
            if self._offset > self._capacity:
                return self._fail(TOO_LARGE)
            return block
        return b""

    # ---- the request

    def _ask(self) -> Steps:
        source = self._source
        host = source.host if source.scheme == "https" else None
        stream = self._stream = Stream(self._means, source.address, host)
        yield from stream.shake_hands()
        lines = [f"GET {source.target} HTTP/1.1", f"Host: {source.authority}", "Connection: close"]
        lines += self._range()
        stream.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = bytearray()
        while b"\r\n\r\n" not in head:
            data = yield from stream.receive()
            if not data or len(head) > MAX_HEADER:
                raise Broken("no HTTP response")
            head += data
        text, _, body = bytes(head).partition(b"\r\n\r\n")
        status, headers = _parsed(text)
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self._chunks = Dechunker() if chunked else None
        if chunked:
            headers.pop("content-length", None)  # does not count then (RFC 9112, 6.3)
        self._arrived = bytearray()
        self._come(body)
        yield from self._judge(status, headers)

    def _range(self) -> list[str]:
        """The headers that ask for the rest; only a strong ETag proves that it is the same package."""
        if not self._offset or not self.etag.startswith(b'"'):
            return []
        return [f"Range: bytes={self._offset}-", f"If-Range: {self.etag.decode()}"]

    def _continues(self, headers: dict[str, str]) -> bool:
        """Whether a partial response is the rest of the package."""
        return _part_of(headers)[0] == self._offset and headers.get("etag", "").encode() == self.etag

    def _judge(self, status: int, headers: dict[str, str]) -> Steps:
        etag = headers.get("etag", "").encode()
        length = headers.get("content-length", "")
        self._left = int(length) if length.isdigit() else None
        self._more = False
        if status == 206 and self._continues(headers):
            _, end, size = _part_of(headers)
            self._more = end + 1 < size
        elif status == 200:
            if self._offset:
                if not self._begin_anew():
                    return
                self._begins_anew = True
            self.etag = etag
        elif status in (301, 302, 307, 308):
            self._redirect(headers.get("location", ""))
            return
        elif status in (404, 410):
            self._fail(NO_SUCH_PACKAGE)
            return
        elif status == 503:
            yield from self._try_again(_retry_after(headers))
            return
        else:
            self._fail(LOST)
            return
        if self._left is not None and self._offset + self._left > self._capacity:
            self._fail(TOO_LARGE)

    def _redirect(self, location: str) -> None:
        self._drop()
        self._redirects += 1
        try:  # it may be relative (RFC 9110, 10.2.2)
            whole = urllib.parse.urljoin(self._source.uri, location) if location else ""
            target = sources.parse(whole, PORTS)
        except (KeyError, ValueError):
            target = None
        if target is None or self._redirects > MAX_REDIRECTS:
            self._fail(LOST)
        else:
            self._source = target

    # ---- the body

    def _chunk(self) -> Steps:
        """A full chunk, or the rest of the body."""
        assert self._stream is not None
        while len(self._arrived) < CHUNK and (self._left is None or len(self._arrived) < self._left):
            if self._chunks is not None and self._chunks.complete:
                self._left = len(self._arrived)
                break
            data = yield from self._stream.receive()
            if not data:
                if self._left is not None or self._chunks is not None:
                    raise Broken("the body is shorter than announced")
                self._left = len(self._arrived)
                break
            self._come(data)
        size = min(CHUNK, len(self._arrived) if self._left is None else self._left)
        block = bytes(self._arrived[:size])
        del self._arrived[:size]
        if self._left is not None:
            self._left -= size
            if self._left == 0:
                self.complete = not self._more
                self._drop()
        return block

    def _come(self, data: bytes) -> None:
        """Bytes of the body, or of the chunks that it comes in."""
        self._arrived += data if self._chunks is None else self._chunks.take(data)


def _retry_after(headers: dict[str, str]) -> float | None:
    """Seconds that Retry-After asks for (RFC 9110, 10.2.3), None where it does not.

    A date counts from that of the response: the device has no clock of its own.
    """
    after = headers.get("retry-after", "")
    if after.isdigit():
        return float(after)
    try:
        due, now = (parsedate_to_datetime(text) for text in (after, headers.get("date", "")))
        return max(0.0, (due - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers by lower-case name. Raises `Broken`."""
    first, *rest = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit():
        raise Broken("no HTTP response")
    pairs = (line.partition(":") for line in rest)
    return int(parts[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _part_of(headers: dict[str, str]) -> tuple[int, int, int]:
    """First and last byte of a partial response, and the size of the whole (RFC 9110, 14.4).

    The first is -1 when it does not say; the size is 0 when it is not known.
    """
    said = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", headers.get("content-range", ""))
    if said is None:
        return -1, -1, 0
    return int(said[1]), int(said[2]), 0 if said[3] == "*" else int(said[3])
