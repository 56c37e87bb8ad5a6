"""The output of a program as a serial port would give it, over pipes or a pseudo-terminal.

One port serves every start of the program: what the next one prints follows what the last one did.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from typing import IO, Any

from bench.errors import ConfigError

MAX_WAITING = 1 << 20
"""Bytes kept for the reader; a program that prints faster is held up, as by a slow terminal."""


class ProgramPort:
    """`read`, `write`, `in_waiting` and `cancel_read` as pyserial has them."""

    def __init__(self, timeout: float = 0.5) -> None:
        self.timeout = timeout
        self._buffer = bytearray()
        self._condition = threading.Condition()
        self._feed: IO[bytes] | None = None
        self._closed = False
        self._cancelled = False

    # ---- the program's side

    def attach(self, source: IO[bytes], feed: IO[bytes]) -> threading.Thread:
        """Take everything from `source` until it ends; `write` goes to `feed` until then.

        Both are closed at the end. Returns the thread that does it.
        """
        self._feed = feed
        thread = threading.Thread(target=self._pump, args=(source, feed), name="program-output", daemon=True)
        thread.start()
        return thread

    def _pump(self, source: IO[bytes], feed: IO[bytes]) -> None:
        descriptor = source.fileno()
        with contextlib.suppress(OSError, ValueError):  # a pseudo-terminal ends with an error
            while data := os.read(descriptor, 65536):
                with self._condition:
                    self._condition.wait_for(lambda: self._closed or len(self._buffer) < MAX_WAITING)
                    if self._closed:
                        continue  # nobody reads; the program must not block on it
                    self._buffer += data
                    self._condition.notify_all()
        if self._feed is feed:
            self._feed = None
        for stream in (source, feed):
            with contextlib.suppress(OSError):
                stream.close()

    # ---- the reader's side

    @property
    def in_waiting(self) -> int:
        with self._condition:
            return len(self._buffer)

    def read(self, size: int = 1) -> bytes:
        with self._condition:
            self._condition.wait_for(lambda: self._buffer or self._cancelled, self.timeout)
            self._cancelled = False
            data = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._condition.notify_all()
            return data

    def cancel_read(self) -> None:
        with self._condition:
            self._cancelled = True
            self._condition.notify_all()

    def write(self, data: bytes) -> int:
        """Raises `OSError` when no program runs."""
        feed = self._feed
        if feed is None:
            raise OSError("the program is not running")
        try:
            feed.write(data)
        except ValueError:  # closed in this moment
            raise OSError("the program has just ended") from None
        return len(data)

    def open(self) -> None:
        with self._condition:
            self._closed = False

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()


def open_pipes(command: list[str], **how: Any) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Start with pipes. Returns the process, its output, its input."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0, **how
    )
    assert process.stdout is not None
    assert process.stdin is not None
    return process, process.stdout, process.stdin


def open_terminal(command: list[str], **how: Any) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """Start on a pseudo-terminal, for programs that print nothing promptly into a pipe."""
    try:
        import pty
        import tty
    except ImportError:
        raise ConfigError(
            "pty = true: this operating system has no pseudo-terminals",
            help="set pty = false in the board file",
        ) from None
    ours, theirs = pty.openpty()
    tty.setraw(theirs)  # no echo, no line ends of the terminal's own
    try:
        process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **how)
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    output = os.fdopen(ours, "rb", buffering=0)
    return process, output, os.fdopen(os.dup(ours), "wb", buffering=0)
