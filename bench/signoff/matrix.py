"""Requirement -> testcases -> results, for each product; what no test shows is NOT COVERED."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.evidence.verdict import Verdict
from bench.requirements import Requirement, Strength
from bench.signoff.run import Product
from bench.signoff.tests import TestRow


class Status(StrEnum):
    PASSED = "PASSED"
    NOT_APPLICABLE = "NOT APPLICABLE"
    WAIVED = "WAIVED"
    FAILED = "FAILED"
    NOT_PROVED = "NOT PROVED"
    NOT_MET = "NOT MET"
    """Only recommended, and a test that passed has found it not met."""
    NOT_COVERED = "NOT COVERED"
    NOT_TESTABLE = "NOT TESTABLE"


@dataclass(frozen=True, slots=True)
class Cell:
    """What the tests of one product show of one requirement."""

    requirement: Requirement
    product: Product
    status: Status
    tests: tuple[TestRow, ...]

    @property
    def is_missing(self) -> bool:
        """Whether nothing shows what a device must do, though something could have.

        A clause that no testcase of the bench is about is told, on the first page, as what the bench does
        not test: no run could show it.
        """
        asked = self.requirement.strength is Strength.MUST and not self.requirement.gap
        return self.status is Status.NOT_COVERED and asked


def matrix(
    requirements: Mapping[str, Requirement],
    products: Collection[Product],
    tests: Sequence[TestRow],
    waived: Collection[TestRow] = (),
    let_off: Collection[tuple[str, Product]] = (),
) -> list[Cell]:
    """A cell for each requirement and product; `let_off` are those whose lack of a test is waived."""
    cells = []
    for name, wanted in requirements.items():
        for product in sorted(products):
            mine = tuple(row for row in tests if row.product == product and name in row.requirements)
            status = _status(wanted, mine, waived)
            if status is Status.NOT_COVERED and (name, product) in let_off:
                status = Status.WAIVED
            cells.append(Cell(wanted, product, status, mine))
    return cells


ORDER = (
    Status.FAILED,
    Status.NOT_PROVED,
    Status.WAIVED,
    Status.NOT_MET,
    Status.PASSED,
    Status.NOT_APPLICABLE,
)
"""From the worst on."""


def _status(wanted: Requirement, tests: Sequence[TestRow], waived: Collection[TestRow]) -> Status:
    """The worst that is true; a test that does not apply shows nothing."""
    found = {Status.WAIVED if row in waived else _of(row.verdict) for row in tests}
    if any(wanted.id in row.unmet for row in tests):
        found.add(Status.NOT_MET)
    bare = Status.NOT_TESTABLE if wanted.not_testable else Status.NOT_COVERED
    return next((status for status in ORDER if status in found), bare)


def _of(verdict: Verdict) -> Status:
    if verdict.speaks_against_product:
        return Status.FAILED
    if verdict is Verdict.PASSED:
        return Status.PASSED
    return Status.NOT_APPLICABLE if verdict is Verdict.NOT_APPLICABLE else Status.NOT_PROVED
