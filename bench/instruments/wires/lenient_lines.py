"""An instrument over VISA that is careless with the ends of its lines.

Empty lines between its replies, or before the first, mean nothing; neither does a line feed after the
carriage return that ends a reply. Firmware versions of one instrument differ in both.
"""

from __future__ import annotations

import socket
import time

from bench.instruments.wires.transport import Transport

LINE_ENDS = b"\r\n"


class LenientLines(Transport):
    """A `Transport` that skips empty lines; a reply is never empty."""

    def _receive(self) -> str:
        end = time.monotonic() + self._timeout
        while not (line := super()._receive().strip()):
            if time.monotonic() > end:
                raise TimeoutError(f"nothing but empty lines for {self._timeout:g} s")
        return line

    def _unasked(self, wire: socket.socket) -> str:
        held = getattr(self._session(), "_pending_buffer", None)  # what was read beyond the last reply
        if held and not held.strip(LINE_ENDS):
            held.clear()
        while (state := super()._unasked(wire)) == "bytes" and not self._unread():
            waiting = wire.recv(4096, socket.MSG_PEEK)
            ends = len(waiting) - len(waiting.lstrip(LINE_ENDS))
            if not ends:
                break
            wire.recv(ends)
        return state
