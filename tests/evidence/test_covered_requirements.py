"""The requirement tables: what carries a row's ID, what has passed with it, and what is a gap."""

from __future__ import annotations

import re

import pytest

from bench.evidence.covered_requirements import (
    WIDTH,
    as_lines,
    as_markdown_lines,
    counts,
    requirements_shown,
)
from bench.requirements import Requirement, Strength

ROWS = (
    Requirement("A-1", "the lamp is green", "a", Strength.MUST, "Spec A", "section 1"),
    Requirement("A-2", "the lamp is bright", "a", Strength.SHOULD, "Spec A", "section 2"),
    Requirement("A-3", "the lamp is round", "a", Strength.MUST, "Spec A", "section 3|4"),
    Requirement("B-1", "the lamp lasts", "b", Strength.MUST, "Spec B", "", (), "no test lasts for ever"),
    Requirement("B-2", "the lamp is loud", "b", Strength.MAY, "Spec B", "section 9"),
)
CATALOGUE = {row.id: row for row in ROWS}
CARRIED = {"t.py::test_colour": ("A-1", "A-2"), "t.py::test_form": ("A-1",)}


@pytest.fixture
def rows():
    """`test_colour` has passed, but for the test of it that shows A-2."""
    return requirements_shown([("t.py::test_colour", ["A-1"])], CATALOGUE, CARRIED)


def test_what_shows_a_row(rows):
    found = {row.requirement.id: row for row in rows}
    assert found["A-1"].passed == ("t.py::test_colour",)
    assert found["A-1"].testcases == ("t.py::test_colour", "t.py::test_form")
    assert [found[name].why_not for name in CATALOGUE] == [
        "",
        "NOT SEEN TO PASS",
        "NOT COVERED",
        "not testable: no test lasts for ever",
        "NOT COVERED",
    ]


def test_testcase_of_the_project_counts_though_it_is_in_no_list():
    (row,) = (r for r in requirements_shown([("own.py::t", ["A-3"])], CATALOGUE, CARRIED) if r.passed)
    assert (row.requirement.id, row.testcases, row.why_not) == ("A-3", ("own.py::t",), "")


def test_figures(rows):
    first, second, everything = counts(rows)
    assert (first.source, first.rows, first.must, first.should, first.may) == ("Spec A", 3, 2, 1, 0)
    assert (first.shown, first.passed, first.not_testable, first.gaps, first.must_gaps) == (2, 1, 0, 1, 1)
    assert (second.source, second.not_testable, second.gaps, second.must_gaps) == ("Spec B", 1, 1, 0)
    assert (everything.source, everything.rows, everything.gaps, everything.must_gaps) == ("all", 5, 2, 1)


def test_in_a_terminal(rows):
    lines = as_lines(rows)
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert "A-1 (must), section 1" in text
    assert "NOT SEEN TO PASS: t.py::test_colour" in text
    assert re.search(r"^all +5 +3 +1 +1 +2 +1 +1 +2 \(1 must\)$", text, re.M)


def test_the_whole_catalogue_fits_a_terminal():
    assert max(map(len, as_lines(requirements_shown([])))) <= WIDTH


def test_for_the_docs(rows):
    lines = as_markdown_lines(rows)
    assert "| Spec A | 3 | 2 | 1 | 0 | 2 | 1 | 0 | 1 | 1 |" in lines
    assert lines.index("### Spec A") < lines.index("### Spec B")
    assert "| `A-3`<br>the lamp is round | must | section 3\\|4 | **NOT COVERED** |" in lines
    assert (
        "| `A-2`<br>the lamp is bright | should | section 2 | **NOT SEEN TO PASS**<br>`t.py::test_colour` |"
        in lines
    )
    assert "| `B-1`<br>the lamp lasts | must |  | not testable: no test lasts for ever |" in lines
    columns = {line.count(" | ") for line in lines if line.startswith("| `")}
    assert columns == {3}
