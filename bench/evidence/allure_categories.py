"""How Allure sorts what did not pass: the product's failures apart from the bench's, and from the rest.

Read from what Allure knows of a result: its status, the message (type and text of the exception) and the
trace (which the bench begins with `BENCH ERROR` where it failed itself). The first category that matches
takes a result. The patterns are searched for, as Allure 3 does, and also match as a whole with `.` taking
line ends, as Allure 2 wants it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

FILE = "categories.json"


@dataclass(frozen=True, slots=True)
class Category:
    """`message` and `trace` are patterns; "" takes every text."""

    name: str
    statuses: tuple[str, ...]
    message: str = ""
    trace: str = ""

    def as_row(self) -> dict[str, Any]:
        """A row of `categories.json`."""
        row: dict[str, Any] = {"name": self.name, "matchedStatuses": list(self.statuses)}
        if self.message:
            row["messageRegex"] = self.message
        if self.trace:
            row["traceRegex"] = self.trace
        return row


PRODUCT = "Product failures"
BENCH = "Bench errors"
INTERRUPTED = "Interrupted"
INCONCLUSIVE = "Inconclusive"
XPASS = "Passed, though a failure was expected"
NOT_APPLICABLE = "Not applicable"
NOT_RUN = "Not run"

CATEGORIES = (
    Category(INTERRUPTED, ("failed", "broken", "unknown", "skipped"), message=r"^interrupted:.*"),
    Category(BENCH, ("failed", "broken"), trace=r"^BENCH ERROR during.*"),
    Category(PRODUCT, ("failed",)),
    Category(PRODUCT, ("skipped",), message=r"^XFAIL.*"),  # no failure of the product is excused
    Category(XPASS, ("broken",), message=r"^XPASS.*"),
    Category(INCONCLUSIVE, ("broken", "unknown")),
    Category(XPASS, ("passed",), message=r"^XPASS.*"),
    Category(NOT_APPLICABLE, ("skipped",), message=r"^bench\.errors\.NotApplicable.*"),
    Category(NOT_RUN, ("skipped",)),
)


def as_json() -> str:
    """The text of `categories.json`."""
    return json.dumps([category.as_row() for category in CATEGORIES], indent=1) + "\n"
