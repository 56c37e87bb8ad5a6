"""One ordered record of a run: serial lines, CoAP messages, SCPI commands, SWD operations, steps, states."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.clock import Clock


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened.

    `time` is bench seconds; `source` names who saw it ("nrf9160.console", "server", "psu");
    `kind` is one word ("line", "coap", "scpi", "swd", "step", "state", "power", ...); `text` is for
    people; `data` holds JSON-able details.
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
    """Append-only, safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._listeners: list[Callable[[Entry], None]] = []

    def now(self) -> float:
        """Bench seconds, as an entry recorded at this moment would bear."""
        return self._clock.now()

    def record(self, source: str, kind: str, text: str, *, at: float | None = None, **data: Any) -> Entry:
        """Append an entry stamped now (or `at`, bench seconds, when the moment is known better)."""
        time = self._clock.now() if at is None else at
        with self._lock:
            entry = Entry(time, len(self._entries), source, kind, text, data)
            self._entries.append(entry)
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

    def mark(self) -> int:
        """A position; pass it to `since`."""
        return len(self._entries)

    def since(self, mark: int = 0, *, source: str | None = None, kind: str | None = None) -> list[Entry]:
        """Entries from `mark` on, in bench-time order; ties go by source, then by arrival."""
        rows = [
            e
            for e in self._entries[mark:]
            if (source is None or e.source == source) and (kind is None or e.kind == kind)
        ]
        return sorted(rows, key=lambda e: (e.time, e.source, e.seq))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.since())

    def dump(self, path: Path, mark: int = 0) -> None:
        """Write the entries from `mark` on as JSON lines."""
        with path.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines(e.as_json() + "\n" for e in self.since(mark))
