"""Past runs in SQLite: how often each test passed, failed or changed its mind.

A run is imported once it has ended; importing it again changes nothing. A ledger that is not the one that
was imported under its name is told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import LedgerError
from bench.evidence.ledger import FILE, RUNS
from bench.evidence.raw_results import places_of, sha256
from bench.outside_files import why_not_regular
from bench.signoff.run import Run, read_run
from bench.signoff.tests import rows_of

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, ledger TEXT NOT NULL, began REAL NOT NULL, decision TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS results (
    run TEXT NOT NULL REFERENCES runs (id), node TEXT NOT NULL, serial TEXT NOT NULL,
    firmware TEXT NOT NULL, verdict TEXT NOT NULL, attempts INTEGER NOT NULL,
    PRIMARY KEY (run, node, serial)
);
"""
FLAKES = """
WITH told AS (
    SELECT node, serial, firmware, verdict, attempts,
           LAG(verdict) OVER (PARTITION BY node, serial, firmware ORDER BY began, runs.id) AS former
    FROM results JOIN runs ON runs.id = results.run
    WHERE verdict NOT IN ('NOT_RUN', 'NOT_APPLICABLE')
)
SELECT node, serial, COUNT(*), SUM(verdict = 'PASSED'), SUM(verdict = 'FAILED'),
       SUM(verdict = 'FLAKY_PASS'), SUM(former IS NOT NULL AND former <> verdict), SUM(attempts > 1)
FROM told GROUP BY node, serial
"""


@dataclass(frozen=True, slots=True)
class Past:
    """All runs of one test on one board. `changes` are changes of verdict from one run to the next with the
    same firmware; `repeated` are runs in which it was repeated after a fault of the bench, or by a plug-in.
    """

    node: str
    serial: str
    runs: int
    passed: int
    failed: int
    flaky: int
    changes: int
    repeated: int

    @property
    def steady(self) -> bool:
        return self.runs == self.passed and not self.repeated


class History:
    """Use as a context manager. Raises `LedgerError` when the file is no history, or is in use."""

    def __init__(self, path: Path) -> None:
        self.path = path
        why = why_not_regular(path)
        if why:  # a pipe would be waited for
            raise self._fault(OSError(f"it {why}"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, timeout=30)
            self._base.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as fault:
            raise self._fault(fault) from None

    def _fault(self, fault: Exception) -> LedgerError:
        return LedgerError(
            f"{self.path}: the history of runs cannot be used: {fault}",
            help="remove it and it is made again from the runs that are still there, or give --history FILE",
        )

    def __enter__(self) -> History:
        return self

    def __exit__(self, *raised: object) -> None:
        self._base.close()

    def add(self, runs: Iterable[Run]) -> list[str]:
        """Import runs that have ended; returns what does not fit, one line each."""
        try:
            with self._base:
                return [text for run in runs if run.verdict.finished for text in self._add(run)]
        except sqlite3.Error as fault:
            raise self._fault(fault) from None

    def _add(self, run: Run) -> Iterator[str]:
        digest = sha256(run.places.ledger)
        known = self._base.execute("SELECT ledger FROM runs WHERE id = ?", (run.id,)).fetchone()
        if known is not None:
            if known[0] != digest:
                yield f"run {run.id}: the history holds another ledger of this name: one of them was changed"
            return
        self._base.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?)",
            (run.id, digest, run.began.timestamp(), str(run.verdict.decision)),
        )
        self._base.executemany(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)",
            [
                (run.id, row.node, row.serial, row.firmware, row.verdict.value, row.attempts)
                for row in rows_of([run])
            ],
        )

    def past(self) -> list[Past]:
        """Every test on every board, in the order of their names."""
        try:
            found = [Past(*row) for row in self._base.execute(FLAKES)]
            return sorted(found, key=lambda one: (one.node, one.serial))
        except sqlite3.Error as fault:
            raise self._fault(fault) from None


def neighbours(run: Path) -> list[Run]:
    """All runs of the results folder that a run lies in, those apart that cannot be read."""
    found = []
    if run.parent.name == RUNS:
        for ledger in sorted(run.parent.glob(f"*/{FILE}")):
            with contextlib.suppress(LedgerError):
                found.append(read_run(places_of(ledger.parent, None)))
    return found
