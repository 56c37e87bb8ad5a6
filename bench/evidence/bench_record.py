"""The record of a bench: every run on its boards, in the order in which they began, whatever became of them.

An SQLite file beside the bench file (or where `record` of its `[bench]` says), of sealed lines as a ledger's:
each holds the hash of the one before, so a line that is removed, moved or edited is seen. Lines are only ever
added. A failure of the product is in it as soon as it is seen: killing the run, another results folder or
another commit does not undo it.

Kinds of lines: `made` (once), `begin`, `attached` (the boards, and the SHA-256 of what they are updated to),
`failed` (a test that spoke against the product), `end` (the decision, and the hash of the ledger).
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import LedgerError
from bench.evidence.ledger import FIRST, Line, Record, parse, plain_data, seal
from bench.outside_files import why_not_regular

SUFFIX = ".runs.sqlite"
BUSY = 30.0
"""Wall seconds to wait for another run that is writing."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (seq INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS no_edit BEFORE UPDATE ON lines BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER IF NOT EXISTS no_removal BEFORE DELETE ON lines BEGIN SELECT RAISE(ABORT, 'append only'); END;
"""


def record_beside(bench_file: Path, given: Path | None = None) -> Path:
    """Where the record of a bench is."""
    return given or bench_file.with_name(f"{bench_file.stem}{SUFFIX}")


class BenchRecord:
    """Each call opens the file and closes it again: several runs may write. All raise `LedgerError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _fault(self, fault: Exception) -> LedgerError:
        return LedgerError(
            f"{self.path}: the record of the bench cannot be used: {fault}",
            help="let the folder of the bench file be written to, or name another file: record in [bench]",
        )

    @contextlib.contextmanager
    def _open(self, *, new: bool) -> Iterator[sqlite3.Connection]:
        why = why_not_regular(self.path)
        if why:  # a pipe would be waited for
            raise self._fault(OSError(f"it {why}"))
        try:
            mode = "rwc" if new else "ro"
            base = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY)
            try:
                yield base
            finally:
                base.close()
        except (OSError, sqlite3.Error) as fault:
            raise self._fault(fault) from None

    def append(self, kind: str, **data: Any) -> tuple[int, str]:
        """Add a line; returns its number, and the identity of the record (the hash of its first line)."""
        with self._open(new=True) as base:
            base.isolation_level = None
            base.executescript(SCHEMA)
            base.execute("PRAGMA synchronous = FULL")
            base.execute("BEGIN IMMEDIATE")
            first = base.execute("SELECT text FROM lines ORDER BY seq LIMIT 1").fetchone()
            last = base.execute("SELECT seq, text FROM lines ORDER BY seq DESC LIMIT 1").fetchone()
            if last is None:
                text, _ = seal({"seq": 0, "kind": "made", "nonce": secrets.token_hex(16), "prev": FIRST})
                base.execute("INSERT INTO lines VALUES (0, ?)", (text,))
                first, last = (text,), (0, text)
            number, before = last[0] + 1, _sha(last[1])
            text, _ = seal({"seq": number, "kind": kind, **plain_data(data), "prev": before})
            base.execute("INSERT INTO lines VALUES (?, ?)", (number, text))
            base.execute("COMMIT")
            return number, _sha(first[0])

    def texts(self) -> list[str]:
        """All lines as they stand there."""
        with self._open(new=False) as base:
            return [str(row[0]) for row in base.execute("SELECT text FROM lines ORDER BY seq")]

    def read(self) -> Record:
        """All lines, up to the first that is not as it was written."""
        return parse("".join(f"{text}\n" for text in self.texts()).encode("utf-8", "replace"))


def _sha(text: str) -> str:
    return text[-66:-2]


def identity_of(record: Record) -> str:
    """The hash of its first line; "" for an empty one."""
    return str(record.lines[0]["sha"]) if record.lines else ""


def lines_of(record: Record, run: str) -> list[Line]:
    """What a record says of one run."""
    return [line for line in record.lines if line.get("run") == run]
