"""One ordered record of a run: serial lines, CoAP messages, SCPI commands, SWD operations, steps, states."""

from __future__ import annotations

import contextlib
import json
import pickle
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clock import Clock
from bench.safe_text import safe, safe_data

IN_MEMORY = 10 << 20
"""Bytes of entries at hand, some 30,000; half of them are packed when there are more."""
PUT_AWAY = 16 << 20
"""Bytes of packed entries, some millions: ten entries in the room of one."""
OVERHEAD = 300
"""Bytes that an entry costs beside its text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    `time` is bench seconds; `source` names who saw it ("nrf9160.console", "server", "psu");
    `kind` is one word ("line", "coap", "scpi", "swd", "step", "state", "power", ...); `text` is for
    people; `data` holds JSON-able details. No text in it acts on who shows it (`bench.safe_text`).
    """

    time: float
    seq: int
    source: str
    kind: str
    text: str
    data: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> str:
        """The entry without its sequence number, which depends on thread scheduling."""
        row = {"t": round(self.time, 6), "source": self.source, "kind": self.kind, "text": self.text}
        if self.data:
            row["data"] = self.data
        return json.dumps(row, ensure_ascii=False, sort_keys=True)


class Timeline:
    """Append-only, safe from any thread. The latest entries are at hand, older ones packed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._size = 0
        self._first = 0
        """The position of the first entry in memory."""
        self._older = _Older()
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Entry], None]] = []

    def now(self) -> float:
        """Bench seconds, as an entry recorded at this moment would bear."""
        return self._clock.now()

    def record(self, source: str, kind: str, text: str, *, at: float | None = None, **data: Any) -> Entry:
        """Append an entry stamped now (or `at`, bench seconds, when the moment is known better)."""
        time = self._clock.now() if at is None else at
        text, data = safe(text), safe_data(data)
        with self._lock:
            entry = Entry(time, self._first + len(self._entries), source, kind, text, data)
            self._entries.append(entry)
            self._size += OVERHEAD + len(text)
            if self._size > IN_MEMORY:
                self._put_away()
        for listener in tuple(self._listeners):
            listener(entry)
        self._clock.changed()
        return entry

    def listen(self, listener: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `listener` with each new entry, on the recording thread. Returns the way to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @contextlib.contextmanager
    def step(self, source: str, title: str) -> Iterator[None]:
        """A phase of a run: one entry when it begins and one when it ends, well or not."""
        self.record(source, "step", title, phase="begin")
        outcome = "broken"
        try:
            yield
            outcome = "passed"
        except AssertionError:
            outcome = "failed"
            raise
        finally:
            self.record(source, "step", title, phase="end", outcome=outcome)

    def _put_away(self) -> None:
        half = len(self._entries) // 2
        self._older.add(self._entries[:half])
        del self._entries[:half]
        self._first += half
        self._size = sum(OVERHEAD + len(entry.text) for entry in self._entries)

    @property
    def dropped(self) -> int:
        """Entries that are no more: the oldest of a run that has filled the room for them."""
        return self._older.dropped

    def mark(self) -> int:
        """A position; pass it to `since`."""
        return self._first + len(self._entries)

    def since(self, mark: int = 0, *, source: str | None = None, kind: str | None = None) -> list[Entry]:
        """Entries from `mark` on, in bench-time order; ties go by source, then by arrival."""
        with self._lock:
            held = self._entries[max(0, mark - self._first) :]
            if mark < self._first:
                held = [*self._older.since(mark), *held]
        return _in_order(held, source, kind)

    def latest(self, *, source: str | None = None, kind: str | None = None) -> list[Entry]:
        """Those in memory, which are tens of thousands: for questions about what has happened just now."""
        with self._lock:
            held = list(self._entries)
        return _in_order(held, source, kind)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.since())

    def dump(self, path: Path, mark: int = 0) -> None:
        """Write the entries from `mark` on as JSON lines."""
        with path.open("w", encoding="utf-8", newline="\n") as out:
            if self.dropped > mark:
                missing = f"the first {self.dropped} entries were dropped: there was no room for them"
                out.write(Entry(0.0, 0, "bench", "dropped", missing).as_json() + "\n")
            out.writelines(e.as_json() + "\n" for e in self.since(mark))


def _in_order(entries: Iterable[Entry], source: str | None, kind: str | None) -> list[Entry]:
    rows = [e for e in entries if (source is None or e.source == source) and (kind is None or e.kind == kind)]
    return sorted(rows, key=lambda e: (e.time, e.source, e.seq))


class _Older:
    """Entries put away, packed, batch by batch; of too many the oldest go."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int, bytes]] = deque()
        self._size = 0
        self.dropped = 0

    def add(self, entries: list[Entry]) -> None:
        rows = [(e.time, e.seq, e.source, e.kind, e.text, e.data) for e in entries]
        packed = zlib.compress(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL), 1)
        self._batches.append((entries[0].seq, len(entries), packed))
        self._size += len(packed)
        while self._size > PUT_AWAY and len(self._batches) > 1:
            _, count, gone = self._batches.popleft()
            self._size -= len(gone)
            self.dropped += count

    def since(self, mark: int) -> Iterator[Entry]:
        for first, count, packed in self._batches:
            if first + count > mark:
                for row in pickle.loads(zlib.decompress(packed)):
                    if row[1] >= mark:
                        yield Entry(*row)
