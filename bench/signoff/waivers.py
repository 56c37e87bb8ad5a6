"""Waivers: failures that somebody answers for, by name, for one board and one firmware, until a day.

Data in TOML; see docs/signoff.md. A waiver that is not exactly right is refused, with its reason: it never
covers more than it says.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from bench.config.table import Table
from bench.errors import ConfigError
from bench.outside_files import read_toml
from bench.requirements import Requirement
from bench.signoff.tests import TestRow

HELP = "docs/signoff.md says what a waiver file holds"
LONGEST = datetime.timedelta(days=366)
"""For how long somebody can answer for a failure, from the day of the sign-off."""
NOBODY = frozenset(
    {
        *("x", "xx", "xxx", "n/a", "na", "none", "nobody", "unknown", "tbd", "todo", "test", "-", "?"),
        *("me", "you", "somebody", "someone", "anonymous", "admin", "root", "approver", "manager", "team"),
    }
)

"""What stands in a form when no one has signed it."""
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Waiver(Table):
    """`test` is a whole node ID, or `requirement` an ID; `firmware` is the SHA-256 of the update image."""

    id: Text
    test: Text | None = None
    requirement: Text | None = None
    serial: Text
    firmware: str = Field(pattern=r"^[0-9a-f]{64}$")
    approver: Text
    expires: datetime.date
    reason: Text

    @model_validator(mode="after")
    def _exact(self) -> Self:
        if (self.test is None) == (self.requirement is None):
            raise ValueError("give one of test and requirement")
        if self.approver.casefold().strip(" .!") in NOBODY or sum(map(str.isalpha, self.approver)) < 3:
            raise ValueError(f"approver {self.approver!r} is nobody: give a person's name")
        words = [word for word in re.split(r"\W+", self.reason) if len(word) > 1]
        if len(words) < 3:
            raise ValueError(f"reason {self.reason!r} says nothing: say what fails, and why that is harmless")
        for value in (self.test, self.requirement, self.serial):
            if value is not None and re.search(r"[*?]", value):
                raise ValueError(f"{value!r} is a pattern: a waiver names one thing, on one board")
        return self

    @property
    def scope(self) -> str:
        return self.test or self.requirement or ""


class State(StrEnum):
    USED = "used"
    NOT_NEEDED = "not needed"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a waiver. `waiver` is None where it could not even be read."""

    id: str
    state: State
    why: str
    waiver: Waiver | None = None


def load(path: Path) -> list[Judged | Waiver]:
    """The waivers of a file; those that are no waivers are refused. Raises `ConfigError` for no such file."""
    content = read_toml(path, "a list of waivers", help=HELP)
    rows = content.pop("waiver", [])
    if content or not isinstance(rows, list):
        raise ConfigError(f"{path}: only [[waiver]] tables may be in it, not {sorted(content)}", help=HELP)
    found = [_read(row) for row in rows]
    counted = Counter(one.id for one in found)
    return [
        Judged(one.id, State.REFUSED, "several waivers have this ID") if counted[one.id] > 1 else one
        for one in found
    ]


def _read(row: Mapping[str, Any]) -> Judged | Waiver:
    try:
        if type(row.get("expires")) is not datetime.date:
            raise ValueError("expires: a day is needed, such as expires = 2027-03-31")
        return Waiver.model_validate(row)
    except ValidationError as fault:
        why = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'waiver'}: {one['msg'].removeprefix('Value error, ')}"
            for one in fault.errors()
        )
    except ValueError as fault:
        why = str(fault)
    return Judged(str(row.get("id") or "without ID"), State.REFUSED, why)


def judge(
    waivers: Sequence[Judged | Waiver],
    tests: Sequence[TestRow],
    uncovered: Mapping[str, frozenset[tuple[str, str]]],
    requirements: Mapping[str, Requirement],
    day: datetime.date,
) -> list[Judged]:
    """What becomes of each on `day`.

    `uncovered` maps a requirement to the (serial, firmware) of the boards that do not cover it.
    """
    return [
        one if isinstance(one, Judged) else _judge(one, tests, uncovered, requirements, day)
        for one in waivers
    ]


def _judge(
    waiver: Waiver,
    tests: Sequence[TestRow],
    uncovered: Mapping[str, frozenset[tuple[str, str]]],
    requirements: Mapping[str, Requirement],
    day: datetime.date,
) -> Judged:
    def refused(why: str) -> Judged:
        return Judged(waiver.id, State.REFUSED, why, waiver)

    if waiver.expires < day:
        return refused(f"it expired on {waiver.expires}")
    if waiver.expires > day + LONGEST:
        return refused(f"it holds until {waiver.expires}: a year is the longest")
    if waiver.requirement is not None:
        if waiver.requirement not in requirements:
            return refused(f"there is no requirement {waiver.requirement!r}")
        boards = {(row.serial, row.firmware) for row in tests}
        if (waiver.serial, waiver.firmware) not in boards:
            return refused("no board with this serial number and firmware is in the runs")
        if (waiver.serial, waiver.firmware) in uncovered.get(waiver.requirement, frozenset()):
            return Judged(waiver.id, State.USED, "not covered", waiver)
        return Judged(waiver.id, State.NOT_NEEDED, "the requirement has tests of its own", waiver)
    of_test = [row for row in tests if row.node == waiver.test]
    if not of_test:
        return refused(f"no test {waiver.test!r} is in the runs")
    of_board = [row for row in of_test if row.serial == waiver.serial]
    if not of_board:
        return refused(f"the test did not run on a board with serial number {waiver.serial!r}")
    mine = [row for row in of_board if row.firmware == waiver.firmware]
    if not mine:
        return refused("it is for another firmware than was tested")
    wrong = [row for row in mine if not row.verdict.counts and not row.verdict.speaks_against_product]
    if wrong:
        return refused(f"a waiver covers a failure of the product, not {wrong[0].verdict}")
    failed = [row for row in mine if row.verdict.speaks_against_product]
    if not failed:
        return Judged(waiver.id, State.NOT_NEEDED, f"the test is {mine[0].verdict}", waiver)
    return Judged(waiver.id, State.USED, f"the test is {failed[0].verdict}", waiver)
