"""A board's serial console: every byte kept, every line stamped, and something to wait on.

One daemon thread per console owns the port: it opens it, reads it, notices that it vanished (a USB
adapter that was unplugged or reset) and opens it again. Lines go to the timeline as they arrive
(source "NAME.console"), under these kinds:

- "line": one line as it came, control characters and all, without its line end. Bytes that are not UTF-8
  appear as `\\xNN`.
- "partial": text without a line end yet, after a silence or when the port went away. When the rest
  of it arrives, the "line" holds the whole of it and carries `data["was_partial"] = True`.
- "flood": how many bytes have not become lines, because there were more than `FLOOD` in a second.
- "sent": what the bench wrote.
- "port": "open", "closed", "lent", "taken back", "port vanished", "port returned".

A line ends at LF, CR, or any mixture of them. Patterns are matched with what is left of it without control
characters (`bench.terminal_text`).
"""

from __future__ import annotations

import codecs
import contextlib
import re
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import serial
from serial.tools import list_ports

from bench.clock import Clock
from bench.dut.serial_port import RELEASED, Lines, hold, open_port
from bench.errors import ConsoleError, ConsoleTimeout, WaitTimeout
from bench.terminal_text import plain, search, visible
from bench.timeline import Timeline

RAW_IN_MEMORY = 4 * 2**20
"""Bytes of raw console output kept in memory; beyond this they go to a temporary file."""

READ_TIMEOUT = 0.5
"""Wall seconds one blocking read lasts. Only how soon the thread notices `close` where a port cannot
cancel a read."""

REOPEN_INTERVAL = 0.1
"""Wall seconds between attempts to open a port that vanished."""

SILENCE = 1.0
"""Bench seconds after which text without a line end is shown on the timeline as "partial"."""

MAX_LINE = 65536
"""Characters after which text without a line end is taken for a line."""

OVERLAP = 1024
"""Characters of such a line that a pattern may reach back to from the next one."""

FLOOD, LINE_COST = 2_000_000, 100
"""Bytes a bench second that become lines, and what each line counts beside its own bytes. Of a flood
beyond that only the raw bytes are kept. (A serial port at 921600 baud gives 92,160 bytes a second.)"""

LAST_LINES = 10

_LINE_END = re.compile(rb"([\r\n])")

_PORT_FAULTS = (serial.SerialException, OSError)


class Position(NamedTuple):
    """A place in the console's output: line number from 0, and column within it, as it was sent.

    `gaps` counts the times before it at which something may have been missed.
    """

    line: int
    column: int
    gaps: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """`time`: bench seconds at which its first byte arrived. `ended`: whether its line end came.

    `raw` is the line as it was sent, bytes that are no UTF-8 as lone surrogates; `before` the end of the
    line that it continues, where that was too long to be kept whole.
    """

    time: float
    raw: str
    ended: bool = True
    before: str = ""

    @property
    def text(self) -> str:
        """Without control characters, as a terminal would show it; bytes that are no UTF-8 as `\\xNN`."""
        return plain(self.raw)

    def search(self, pattern: str | re.Pattern[str]) -> re.Match[str] | None:
        """The first match of a regular expression, whatever control characters the line holds."""
        found = self.find(pattern)
        return None if found is None else found[0]

    def find(self, pattern: str | re.Pattern[str], start: int = 0) -> tuple[re.Match[str], int] | None:
        """The first match beyond column `start`, and the column of its end."""
        behind = len(self.before)
        found = search(pattern, self.before + self.raw, behind + start if start else 0, beyond=behind)
        return None if found is None else (found[0], found[1] - behind)


class Console:
    """One serial port of one board.

    `url` is a device ("/dev/ttyACM0", "COM7") or any URL pyserial knows ("socket://host:port").
    `lines` are the states in which DTR and RTS are held. `opened_port` gives something else that reads and
    writes like a serial port; `url` is its name then.

    The port is opened once and kept: who flashes the board through it borrows it (`lend`, `take_back`).
    """

    def __init__(
        self,
        name: str,
        url: str,
        clock: Clock,
        timeline: Timeline,
        *,
        baud: int = 115200,
        lines: Lines = RELEASED,
        opened_port: Callable[[], Any] | None = None,
    ) -> None:
        self.name = name
        self.url = url
        self.baud = baud
        self.source = f"{name}.console"
        self._clock = clock
        self._timeline = timeline
        self._held = lines
        self._open_port = opened_port or self._open_serial
        self._port: Any = None
        self._heard = self._was_open = False
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._lent: dict[str, Any] | None = None  # the port's settings while it is lent
        self._read_before = False
        self._vanished_at: float | None = None
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._partial = _PartialLine()
        self._after_cr = False
        self._gaps: list[str] = []  # why something may have been missed, each time
        self._silence_watched = False
        self._second, self._room, self._left_out = -1, FLOOD, 0
        self._cursor = Position(0, 0)
        self._raw = tempfile.SpooledTemporaryFile(max_size=RAW_IN_MEMORY)  # noqa: SIM115 - lives as long as we do

    # ---- opening and closing

    @property
    def is_open(self) -> bool:
        """Whether the console is being read; stays true while a vanished port is looked for."""
        return self._thread is not None and self._thread.is_alive()

    def open(self) -> None:
        """Open the port and read it from now on. Idempotent. Call before power on: then no boot byte is lost.

        Raises `ConsoleError` when the port is missing, in use, or lent to a flasher.
        """
        if self._lent is not None:
            raise self._is_lent("cannot be opened")
        if self.is_open:
            return
        self._stop = threading.Event()
        opened = threading.Event()
        faults: list[Exception] = []
        self._thread = threading.Thread(
            target=self._read_port, args=(self._stop, opened, faults), name=self.source, daemon=True
        )
        self._thread.start()
        opened.wait()
        if faults:
            self._thread.join()
            self._thread = None
            raise self._cannot_open(faults[0]) from faults[0]

    def close(self) -> None:
        """Take what has arrived so far and give the port back. Idempotent."""
        self._stop_reading()
        self._lent = None
        if self._port is not None:
            self._note("closed")
            self._close_port()

    def lend(self) -> Any:
        """The port, open, for somebody else until `take_back`; nobody reads it here meanwhile.

        Raises `ConsoleError` when it is lent already, missing, in use or stuck.
        """
        if self._lent is not None:
            raise self._is_lent("cannot be lent again")
        self._read_before = self.is_open
        self._stop_reading()
        self._take_the_rest()
        if self._port is None:
            try:
                self._port = self._open_port()
            except (ValueError, *_PORT_FAULTS) as fault:
                raise self._cannot_open(fault) from fault
        self._lent = self._port.get_settings()
        self._note("lent")
        return self._port

    def _take_the_rest(self) -> None:
        """Leave nothing in the port for its borrower, nor what is left of cancelling the reader."""
        port = self._port
        if port is None:
            return
        try:
            port.timeout = 0
            self._receive(port.read(1) + self._waiting())
            port.timeout = READ_TIMEOUT
        except _PORT_FAULTS:  # gone, and perhaps back by now
            self._close_port()

    def take_back(self) -> None:
        """End a `lend`: settings and lines are as before, and the port is read again if it was. Idempotent.

        Raises `ConsoleError` when the port is gone.
        """
        settings, self._lent = self._lent, None
        if settings is None:
            return
        port = self._port
        try:
            if port.is_open:
                port.apply_settings(settings)
                hold(port, self._held)
        except _PORT_FAULTS:
            self._close_port()
        self._note("taken back")
        self._note_gap("its port was lent in between")
        if not port.is_open:  # gone, or closed by the borrower
            self._port = None
        if self._read_before:
            self.open()
        else:
            self.close()

    def _stop_reading(self) -> None:
        """End the reader thread; the port stays open."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stop.set()
        with contextlib.suppress(AttributeError, *_PORT_FAULTS):  # not every port can cancel a read
            self._port.cancel_read()
        thread.join(READ_TIMEOUT * 10)
        if thread.is_alive():
            raise ConsoleError(
                f"{self.name}: console port {self.url} does not come back from a read",
                help="unplug the serial adapter; its driver is stuck",
            )

    def _is_lent(self, what: str) -> ConsoleError:
        return ConsoleError(
            f"{self.name}: console port {self.url} is lent to the flasher and {what}",
            help="leave the flash access first",
        )

    def _cannot_open(self, fault: Exception) -> ConsoleError:
        present = sorted(port.device for port in list_ports.comports())
        return ConsoleError(
            f"{self.name}: cannot open console port {self.url}: {fault}",
            help=f"close other programs that use it, or name one of the ports present: "
            f"{', '.join(present) or 'none'}",
        )

    # ---- the reader thread

    def _read_port(self, stop: threading.Event, opened: threading.Event, faults: list[Exception]) -> None:
        # while it reads the port is this thread's: closing it under a blocked read crashes some drivers
        try:
            if self._port is None:
                self._port = self._open_port()
                self._note("open")
                if self._was_open:
                    self._note_gap("its port was closed for a while")
                self._was_open = True
            self._vanished_at = None
            self._receive(self._waiting())
        except (ValueError, *_PORT_FAULTS) as fault:
            self._close_port()
            faults.append(fault)
            return
        finally:
            opened.set()
        while not stop.is_set():
            try:
                self._receive(self._read_some())
            except _PORT_FAULTS as fault:
                if stop.is_set():
                    break
                self._lose_port(fault)
                if not self._find_port(stop):
                    return
        with contextlib.suppress(*_PORT_FAULTS):
            self._receive(self._waiting())
        self._end_partial()
        self._tell_flood()

    def _waiting(self) -> bytes:
        """What has arrived and not been read, without waiting for more."""
        waiting = self._port.in_waiting
        data: bytes = self._port.read(waiting) if waiting else b""
        return data

    def _read_some(self) -> bytes:
        data: bytes = self._port.read(1)
        if data and (more := self._port.in_waiting):
            data += self._port.read(more)
        return data

    def _open_serial(self) -> Any:
        return open_port(self.url, self.baud, self._held, read_timeout=READ_TIMEOUT)

    def _close_port(self) -> None:
        port, self._port = self._port, None
        if port is not None:
            with contextlib.suppress(*_PORT_FAULTS):
                port.close()

    def _lose_port(self, fault: Exception) -> None:
        self._end_partial()
        self._vanished_at = self._clock.now()
        self._note("port vanished", reason=str(fault))
        self._close_port()

    def _find_port(self, stop: threading.Event) -> bool:
        """Try until the port is there again; False when the console is closed first."""
        while not stop.is_set():
            try:
                self._port = self._open_port()
            except _PORT_FAULTS:
                stop.wait(REOPEN_INTERVAL)
                continue
            self._vanished_at = None
            self._note("port returned")
            self._note_gap("its port was gone for a while")
            return True
        return False

    def _receive(self, chunk: bytes) -> None:
        if not chunk:
            return
        now = self._clock.now()
        self._heard = True
        with self._lock:
            self._raw.write(chunk)
        pieces = _LINE_END.split(chunk)
        for piece, end in zip(pieces[::2], pieces[1::2], strict=False):
            if piece:
                self._after_cr = False
                with self._lock:
                    self._partial.add(piece, now)
            if not self._ends_line(end):
                continue
            if self._has_room(self._partial.size, now):
                self._end_line(now)
            else:
                self._drop_partial()
        if rest := pieces[-1]:
            self._after_cr = False
            with self._lock:
                self._partial.add(rest, now)
                length = len(self._partial.raw)
            if length > MAX_LINE:
                if self._has_room(length, now):
                    self._break_line()
                else:
                    self._drop_partial()
            self._watch_silence()
            self._clock.changed()

    def _ends_line(self, end: bytes) -> bool:
        """Whether a CR or LF ends a line, or belongs to the end before it: CR LF, CR CR LF, LF CR."""
        if end == b"\r":
            if self._partial.empty:
                return False
            self._after_cr = True
            return True
        swallowed, self._after_cr = self._after_cr, False
        return not swallowed

    def _end_line(self, now: float) -> None:
        with self._lock:
            time, raw, shown, before = self._partial.end(now)
            self._lines.append(Line(time, raw, before=before))
        more = {} if shown is None else {"was_partial": True}
        self._timeline.record(self.source, "line", visible(raw), at=time, **more)

    def _has_room(self, size: int, now: float) -> bool:
        """Whether this second's `FLOOD` still allows for a line of so many bytes."""
        second = int(now)
        if second != self._second:
            self._tell_flood()
            self._second, self._room = second, FLOOD
        if self._room < size:
            self._left_out += size
            return False
        self._room -= size + LINE_COST
        return True

    def _tell_flood(self) -> None:
        if self._left_out:
            self._timeline.record(self.source, "flood", f"{self._left_out} bytes left out")
            self._left_out = 0

    def _drop_partial(self) -> None:
        with self._lock:
            self._partial.end(0.0)
        self._note_gap("more was printed than could be taken")

    def _break_line(self) -> None:
        """Go on with a new line in the midst of one that does not end; patterns may still reach across."""
        with self._lock:
            tail = (self._partial.before + self._partial.raw)[-OVERLAP:]
        self._end_partial()
        with self._lock:
            self._partial.before = tail

    def _end_partial(self) -> None:
        """Nothing will continue this text: it becomes a line without an end."""
        with self._lock:
            if self._partial.empty:
                return
            time, raw, shown, before = self._partial.end(0.0)
            self._lines.append(Line(time, raw, ended=False, before=before))
        if shown != raw:
            self._timeline.record(self.source, "partial", visible(raw), at=time)

    def _note_gap(self, why: str) -> None:
        with self._lock:
            self._gaps.append(why)

    def _watch_silence(self) -> None:
        if not self._silence_watched and not self._clock.loop.is_closed():
            self._silence_watched = True
            self._clock.loop.call_soon_threadsafe(self._look_at_silence)

    def _look_at_silence(self) -> None:
        # on the clock's loop, so that silence is counted in bench time
        with self._lock:
            if self._partial.empty or self._partial.shown == self._partial.raw:
                self._silence_watched = False
                return
            left = self._partial.last + SILENCE - self._clock.now()
            if left > 0:
                self._clock.loop.call_later(left, self._look_at_silence)
                return
            self._silence_watched = False
            time, raw = self._partial.first, self._partial.raw
            self._partial.shown = raw
        self._timeline.record(self.source, "partial", visible(raw), at=time)

    def _note(self, text: str, **data: Any) -> None:
        self._timeline.record(self.source, "port", text, url=self.url, **data)

    # ---- using it

    def send(self, text: str, *, shown: str | None = None) -> None:
        """Write `text`, as it is, in UTF-8; `shown` is recorded in its place where it holds a secret.

        Raises `ConsoleError` when the port is not open or is gone.
        """
        if self._lent is not None:
            raise self._is_lent("cannot be written to")
        port = self._port
        if port is None:
            raise self._gone("cannot send")
        try:
            port.write(text.encode("utf-8"))
        except _PORT_FAULTS as fault:
            raise ConsoleError(
                f"{self.name}: cannot send to console port {self.url}: {fault}",
                help="check the cable and the board's supply",
            ) from fault
        self._timeline.record(self.source, "sent", (text if shown is None else shown).rstrip("\r\n"))

    def mark(self) -> Position:
        """Where the output ends now; pass it to `expect` or `lines`."""
        with self._lock:
            return Position(len(self._lines), len(self._partial.raw), len(self._gaps))

    def lines(self, since: Position | None = None) -> list[Line]:
        """What was printed from `since` (default: the first byte ever) on, an unfinished line included."""
        start = since or Position(0, 0)
        with self._lock:
            found = self._lines[start.line :]
            if not self._partial.empty and start.line <= len(self._lines):
                found.append(self._partial.as_line())
        if found and start.column:
            first = found[0]
            found[0] = Line(first.time, first.raw[start.column :], first.ended)
        return found

    def missed(self, since: Position) -> str | None:
        """Why something printed from `since` on may not be among `lines`; None when all of it is."""
        if not self.is_open:
            return "its port is lent" if self._lent is not None else "its port is not open"
        if self._vanished_at is not None:
            return f"its port vanished at {self._vanished_at:.3f} s and has not returned"
        with self._lock:
            return next(iter(self._gaps[since.gaps :]), None)

    def raw(self) -> bytes:
        """Every byte received so far, as it came."""
        with self._lock:
            self._raw.seek(0)
            return self._raw.read()  # leaves the position at the end, where the next chunk belongs

    def save_raw(self, path: Path) -> None:
        """Write every byte received so far to a file."""
        path.write_bytes(self.raw())

    def expect(
        self, pattern: str | re.Pattern[str], *, timeout: float, since: Position | None = None
    ) -> re.Match[str]:
        """Wait until a line matches the regular expression, and consume the output up to the match's end.

        Looks at the output not yet consumed (or from `since` on), line by line; the unfinished last
        line counts too, so a prompt can be expected. `timeout` is bench seconds.

        Raises `ConsoleTimeout` with the last lines seen; `ConsoleError` when the port is not open,
        or vanished and did not return in that time.
        """
        regex = re.compile(pattern) if isinstance(pattern, str) else pattern
        looked = _Search(regex, self._cursor, 0) if since is None else _Search(regex, since, since.column)
        if not self.is_open and self._step(looked) is None:
            raise self._gone(f"cannot wait for {regex.pattern!r}")
        if looked.match is None:
            try:
                self._clock.wait_for(
                    lambda: self._step(looked),
                    timeout=timeout,
                    reason=f"{self.name} to print {regex.pattern!r}",
                )
            except WaitTimeout:
                raise self._not_seen(regex.pattern, timeout, looked.start) from None
        assert looked.match is not None
        self._cursor = looked.position
        return looked.match

    def _step(self, looked: _Search) -> re.Match[str] | None:
        with self._lock:
            return looked.over(self._lines, None if self._partial.empty else self._partial.as_line())

    @property
    def silence(self) -> str | None:
        """That nothing at all has come from this port since it was opened, and how it was held; else None."""
        if self._heard:
            return None
        return (
            f"console port {self.url} has been silent since it was opened, at {self.baud} baud, "
            f"with {self._held}"
        )

    @property
    def silence_cure(self) -> str:
        """What to change about a port that is silent."""
        if self._held.dtr:
            lines = (
                "set `dtr = false` and `rts = false` in [console] of the board file where they are wired to "
                "reset and boot mode; set `rts = true` where the firmware waits for it (flow control)"
            )
        else:
            lines = (
                "set `dtr = true` in [console] of the board file: USB bridges of Nordic's kits and of many "
                "debug probes pass nothing on until DTR is on"
            )
        return f"{lines}. Else check supply, RX and TX, and that this is the right port: kits have several"

    def _gone(self, what: str) -> ConsoleError:
        if self._vanished_at is not None and self.is_open:
            return ConsoleError(
                f"{self.name}: {what}: console port {self.url} vanished at {self._vanished_at:.3f} s "
                "and has not returned",
                help="check the cable, the USB hub and the board's supply",
            )
        return ConsoleError(
            f"{self.name}: {what}: console port {self.url} is not open", help="call open() first"
        )

    def _not_seen(self, pattern: str, timeout: float, start: Position) -> ConsoleError | ConsoleTimeout:
        if self._vanished_at is not None:
            return self._gone(f"cannot wait for {pattern!r}")
        if (silence := self.silence) is not None:
            return ConsoleTimeout(
                f"{self.name}: {pattern!r} not printed within {timeout:g} s: {silence}",
                help=self.silence_cure,
            )
        seen = self.lines(start)
        where = "the last lines since then"
        if not seen:
            seen, where = self.lines(), "nothing since then; the last lines before"
        tail = "\n".join(f"    {line.time:10.3f}  {line.text}" for line in seen[-LAST_LINES:])
        return ConsoleTimeout(
            f"{self.name}: {pattern!r} not printed within {timeout:g} s; {where}:\n{tail or '    (none)'}",
            help="compare the pattern with the lines above; the whole log is on the timeline",
        )


class _PartialLine:
    """Bytes since the last line end."""

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        # incremental: a character cut in two by a chunk boundary is not an error
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.raw = ""
        self.before = ""
        self.size = 0
        self.first = 0.0
        self.last = 0.0
        self.empty = True
        self.shown: str | None = None

    def add(self, data: bytes, now: float) -> None:
        if self.empty:
            self.first = now
        self.last = now
        self.empty = False
        self.size += len(data)
        self.raw += self._decoder.decode(data)

    def as_line(self) -> Line:
        """As far as it has come."""
        return Line(self.first, self.raw, ended=False, before=self.before)

    def end(self, now: float) -> tuple[float, str, str | None, str]:
        """Time of the first byte (`now` without any), the text, what of it was shown as "partial", and what
        it continues; then start over."""
        time = now if self.empty else self.first
        result = time, self.raw + self._decoder.decode(b"", True), self.shown, self.before
        self._reset()
        return result


class _Search:
    """A regular expression moving along the output; each ended line is looked at once.

    Its first line begins at column `begin`: there `^` matches.
    """

    def __init__(self, regex: re.Pattern[str], start: Position, begin: int) -> None:
        self._regex = regex
        self._begin = Position(start.line, begin)
        self.start = start
        self.position = start
        self.match: re.Match[str] | None = None

    def over(self, lines: list[Line], partial: Line | None) -> re.Match[str] | None:
        while self.match is None and self.position.line < len(lines):
            if not self._try(lines[self.position.line]):
                self.position = Position(self.position.line + 1, 0)
        if self.match is None and self.position.line == len(lines) and partial is not None:
            self._try(partial)
        return self.match

    def _try(self, line: Line) -> bool:
        begin = self._begin.column if self.position.line == self._begin.line else 0
        if begin:
            line = Line(line.time, line.raw[begin:])
        found = line.find(self._regex, self.position.column - begin)
        if found is None:
            return False
        self.match = found[0]
        self.position = Position(self.position.line, begin + found[1])
        return True
