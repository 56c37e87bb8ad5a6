"""How the ESP32's ROM inflates a compressed download: miniz' tinfl over a window of 32 KiB.

* Output is collected in the window, which goes to the flash when it is full and in the last announced block
  (not where the stream ends, if that is earlier). It goes whole: behind the end of a short stream the flash
  gets what the window held before (zeros at first).
* In the last announced block, bytes that are missing are taken for zeros, so that a stream cut short ends in
  a wrong checksum.
* A failure stays: each further block reports it again. Behind the end of a stream the loop over the block's
  bytes never ends.

Sources: recordings of the mask ROM; states and checks are those of miniz (tinfl_decompress). That the whole
window is written is recorded for the first 8 KiB of it.
"""

from __future__ import annotations

import zlib

DEFLATE_ERROR = 0x0B
ADLER_ERROR = 0x0C

WINDOW = 0x8000
_HEADER, _TRAILER = 2, 4
_DEFLATE, _PRESET_DICTIONARY, _LARGEST_WINDOW = 8, 0x20, 7
_ZEROS = bytes(64)


class EndlessLoop(Exception):
    """There are bytes behind the end of the stream: the ROM does not come back."""


class RomInflater:
    """One inflater, used for one stream after the other (`reset`)."""

    def __init__(self) -> None:
        self._window = bytearray(WINDOW)
        self.reset()

    def reset(self) -> None:
        """Begin a stream; the window keeps its contents."""
        self._raw = zlib.decompressobj(-zlib.MAX_WBITS)
        self._header = b""
        self._trailer = b""
        self._adler = zlib.adler32(b"")
        self._filled = 0
        self._error = 0
        self._done = False

    def feed(self, data: bytes, *, last: bool) -> tuple[list[bytes], int]:
        """Take one block. Gives the windows to write, one after another, and an error (0 for none).

        Raises EndlessLoop.
        """
        windows: list[bytes] = []
        if not data or self._error:
            return windows, self._error if data else 0
        if self._done:
            raise EndlessLoop
        rest = self._take(data, windows)
        while last and not (self._done or self._error):
            full = len(windows)
            self._take(_ZEROS, windows)
            rest = b""
            if len(windows) > full:
                break  # a full window returns to the loop over the block, which has no bytes left
        if self._done and rest:
            raise EndlessLoop
        if last and self._filled and not self._error:
            self._emit(windows)
        return windows, self._error

    def _take(self, data: bytes, windows: list[bytes]) -> bytes:
        """Consume `data` as far as the stream goes; what is behind its end comes back."""
        missing = _HEADER - len(self._header)
        self._header, data = self._header + data[:missing], data[missing:]
        if len(self._header) < _HEADER:
            return b""
        if not self._header_holds():
            self._error = DEFLATE_ERROR
            return b""
        while not self._raw.eof:
            try:
                before = self._raw.copy()
                out = self._raw.decompress(data, WINDOW - self._filled)
            except zlib.error:
                self._keep(_output_before_failure(before, data))
                self._error = DEFLATE_ERROR
                return b""
            data = self._raw.unused_data if self._raw.eof else self._raw.unconsumed_tail
            self._adler = zlib.adler32(out, self._adler)
            self._keep(out)
            if self._filled == WINDOW:
                self._emit(windows)
            elif not self._raw.eof and not data:
                return b""
        missing = _TRAILER - len(self._trailer)
        self._trailer, data = self._trailer + data[:missing], data[missing:]
        if len(self._trailer) == _TRAILER:
            if int.from_bytes(self._trailer, "big") == self._adler:
                self._done = True
            else:
                self._error = ADLER_ERROR
        return data

    def _header_holds(self) -> bool:
        method, flags = self._header
        return (
            int.from_bytes(self._header, "big") % 31 == 0
            and not flags & _PRESET_DICTIONARY
            and method & 0x0F == _DEFLATE
            and method >> 4 <= _LARGEST_WINDOW
        )

    def _keep(self, out: bytes) -> None:
        self._window[self._filled : self._filled + len(out)] = out
        self._filled += len(out)

    def _emit(self, windows: list[bytes]) -> None:
        windows.append(bytes(self._window))
        self._filled = 0


def _output_before_failure(stream: zlib._Decompress, data: bytes) -> bytes:
    """What a failing call had put out: zlib drops it, the window keeps it."""
    out = b""
    try:
        for i in range(len(data)):
            out += stream.decompress(data[i : i + 1])
    except zlib.error:
        return out[:WINDOW]
    return out[:WINDOW]
