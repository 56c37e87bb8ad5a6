"""The one terminal line while an update runs: board, /5 state, percent, bytes per second, time left."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TextIO

from bench.evidence.attachments import STATES
from bench.timeline import Entry

BAR = 24
MIN_INTERVAL = 0.1
"""Wall seconds between two drawings: a terminal is slower than the virtual bench."""


def format_line(
    board: str,
    state: str,
    *,
    done: int = 0,
    total: int = 0,
    rate: float = 0.0,
    width: int = 100,
) -> str:
    """The line, at most `width` characters. `done` and `total` in bytes, `rate` in bytes per second.

    >>> format_line("nrf9160", "Downloading", done=50_000, total=200_000, rate=10_000)
    'nrf9160  Downloading  [######------------------]   25 %  10.0 kB/s  0:15 left'
    """
    parts = [board, f"{state:<11}"]
    if total > 0:
        share = min(1.0, max(0.0, done / total))
        full = int(share * BAR)
        parts.append(f"[{'#' * full}{'-' * (BAR - full)}]")
        parts.append(f"{int(share * 100):3d} %")
        if rate > 0 and done < total:
            parts += [_rate(rate), f"{_duration((total - done) / rate)} left"]
    return "  ".join(parts).rstrip()[:width]


def _rate(rate: float) -> str:
    return f"{rate / 1000:.1f} kB/s" if rate >= 1000 else f"{rate:.0f} B/s"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class ProgressLine:
    """Keeps the line up to date on `stream`; silent where that is no terminal. Safe from any thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        try:
            self._live = stream.isatty()
        except (AttributeError, ValueError):  # captured, or closed already
            self._live = False
        self._lock = threading.Lock()
        self._shown = 0
        self._drawn = -MIN_INTERVAL
        self._state: dict[str, str] = {}
        self._progress: dict[str, tuple[int, int, float]] = {}

    def show(self, entry: Entry) -> None:
        """Take in a timeline entry of kind "state" or "progress"; others do nothing."""
        if not self._live or entry.kind not in ("state", "progress"):
            return
        with self._lock:
            before = self._state.get(entry.source)
            value = entry.data.get("state")
            state = STATES.get(value, "") if isinstance(value, int) else ""
            self._state[entry.source] = state
            if entry.kind == "progress":
                data = entry.data
                self._progress[entry.source] = (
                    int(data.get("done", 0)),
                    int(data.get("total", 0)),
                    float(data.get("rate", 0.0)),
                )
            if state not in ("Idle", "Downloading"):  # the transfer is over; its figures would mislead
                self._progress.pop(entry.source, None)
            now = time.monotonic()
            if state != before or now - self._drawn >= MIN_INTERVAL:
                self._drawn = now
                self._draw(entry.source)

    def clear(self) -> None:
        """Wipe the line, so that the terminal is as before."""
        with self._lock:
            if self._shown:
                self._write("")

    def _draw(self, source: str) -> None:
        done, total, rate = self._progress.get(source, (0, 0, 0.0))
        width = shutil.get_terminal_size().columns - 1
        state = self._state[source]
        self._write(format_line(source, state, done=done, total=total, rate=rate, width=width))

    def _write(self, line: str) -> None:
        # padded with blanks, not erased by a control sequence, which some consoles would print
        padding = " " * max(0, self._shown - len(line))
        self._shown = len(line)
        try:
            self._stream.write(f"\r{line}{padding}" + ("" if line else "\r"))
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone; the run is not about it
            self._live = False
