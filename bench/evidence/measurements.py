"""Measured figures of a test with their limits, as they go to the record and to people."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

from bench.timeline import Entry, Timeline

KIND = "measurement"
FAR = -1.0
"""A margin from which on it is told how many times the limit was reached."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """`limit` is the most that is allowed (None: for information)."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def within(self) -> bool:
        return self.limit is None or self.value <= self.limit

    @property
    def margin(self) -> float | None:
        """Share of the limit that is left; negative beyond it. Of nothing there is no share."""
        return None if not self.limit else 1 - self.value / self.limit

    def __str__(self) -> str:
        text = f"{self.name}: {quantity(self.value, self.unit)}"
        if self.limit is None:
            return text
        text += f", limit {quantity(self.limit, self.unit)}"
        if self.margin is None:
            return text
        far = self.margin <= FAR
        return f"{text} ({in_words(self.margin)})" if far else f"{text} ({in_words(self.margin)} margin)"

    def record(self, timeline: Timeline, source: str) -> None:
        """Put it on the timeline."""
        timeline.record(
            source, KIND, str(self), name=self.name, value=self.value, unit=self.unit, limit=self.limit
        )


PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
"""Of the SI (brochure, 9th edition, table 7), by the power of ten."""
SCALED = frozenset({"A", "V", "W", "J", "C", "Hz", "Wh", "Ah"})
"""Units that people read with a prefix; seconds, bytes and shares they do not."""


def quantity(value: float, unit: str) -> str:
    """For people: `20 µA`, not `2e-05 A`.

    >>> quantity(2e-05, "A")
    '20 µA'
    """
    if unit not in SCALED or not value or not math.isfinite(value):
        return f"{value:.4g} {unit}"
    value = float(f"{value:.4g}")
    power = min(max(3 * math.floor(math.log10(abs(value)) / 3), min(PREFIXES)), max(PREFIXES))
    return f"{value / 10**power:.4g} {PREFIXES[power]}{unit}"


def in_words(margin: float) -> str:
    """`+25%`; far beyond the limit a percentage says nothing, and it is `600 x limit`."""
    return f"{margin:+.0%}" if margin > FAR else f"{1 - margin:.3g} x limit"


def measurements(entries: Iterable[Entry]) -> list[Measurement]:
    """Those that were recorded, in order."""
    return [
        Measurement(e.data["name"], e.data["value"], e.data["unit"], e.data["limit"])
        for e in entries
        if e.kind == KIND
    ]


def as_csv(found: Iterable[Measurement]) -> str:
    """A table for spreadsheets: name, value, unit, limit, margin in percent, verdict; "" without any."""
    rows = list(found)
    if not rows:
        return ""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["name", "value", "unit", "limit", "margin %", "within"])
    for row in rows:
        margin = "" if row.margin is None else f"{100 * row.margin:.1f}"
        limit = "" if row.limit is None else f"{row.limit:.6g}"
        within = "" if row.limit is None else "yes" if row.within else "NO"
        table.writerow([row.name, f"{row.value:.6g}", row.unit, limit, margin, within])
    return out.getvalue()
