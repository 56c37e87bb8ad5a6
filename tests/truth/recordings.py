"""Recordings of real programs, and how far something agrees with them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"


def records(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Agreement:
    """Counts cases by what was compared; says "boots: 12 of 13" and names the first that differ."""

    def __init__(self) -> None:
        self._cases: dict[str, int] = {}
        self._wrong: dict[str, list[str]] = {}

    def compare(self, what: str, case: str, found: object, recorded: object) -> None:
        self._cases[what] = self._cases.get(what, 0) + 1
        if found != recorded:
            self._wrong.setdefault(what, []).append(f"{case}: {found!r}, recorded {recorded!r}")

    def differences(self, what: str) -> list[str]:
        return self._wrong.get(what, [])

    def lines(self) -> Iterable[str]:
        for what, cases in self._cases.items():
            wrong = self.differences(what)
            yield f"{what}: {cases - len(wrong)} of {cases}"
            yield from (f"  {difference}" for difference in wrong[:3])

    def whole(self) -> None:
        """Print the count, and fail unless everything agrees."""
        print(*self.lines(), sep="\n")
        assert self._cases, "nothing was compared"
        assert not self._wrong, "\n".join(self.lines())
