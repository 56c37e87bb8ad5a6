"""The rows of the catalogue, with the testcases that show them and those that were seen to pass."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.requirements import CATALOGUE, Requirement, Strength
from bench.requirements.testcases import TESTCASES

NOT_COVERED = "NOT COVERED"
NOT_PASSED = "NOT SEEN TO PASS"
NOT_TESTABLE = "not testable"
SHOWN = 4
"""Testcases named in a row of a table; nobody reads eighty."""
WIDTH = 100
"""Columns of a terminal."""


@dataclass(frozen=True, slots=True)
class ShownBy:
    """`marked` are the testcases that carry the row's ID, `passed` those that have passed with it."""

    requirement: Requirement
    marked: tuple[str, ...]
    passed: tuple[str, ...]

    @property
    def testcases(self) -> tuple[str, ...]:
        return tuple(sorted({*self.marked, *self.passed}))

    @property
    def is_gap(self) -> bool:
        return not (self.testcases or self.requirement.not_testable)

    @property
    def why_not(self) -> str:
        """Why no testcase that passed is named, or empty."""
        if self.passed:
            return ""
        if self.marked:
            return NOT_PASSED
        return (
            f"{NOT_TESTABLE}: {self.requirement.not_testable}"
            if self.requirement.not_testable
            else NOT_COVERED
        )


def requirements_shown(
    passed: Iterable[tuple[str, Sequence[str]]],
    catalogue: Mapping[str, Requirement] = CATALOGUE,
    testcases: Mapping[str, Sequence[str]] = TESTCASES,
) -> list[ShownBy]:
    """A row for each requirement; `passed` are testcases that passed, each with the IDs that it carries."""
    seen: dict[str, set[str]] = {}
    for name, ids in passed:
        for requirement in ids:
            seen.setdefault(requirement, set()).add(name)
    carried: dict[str, list[str]] = {}
    for name, ids in testcases.items():
        for requirement in ids:
            carried.setdefault(requirement, []).append(name)
    return [
        ShownBy(wanted, tuple(sorted(carried.get(name, ()))), tuple(sorted(seen.get(name, ()))))
        for name, wanted in catalogue.items()
    ]


@dataclass(frozen=True, slots=True)
class Count:
    """How many rows of a source there are, by strength and by what shows them."""

    source: str
    rows: int
    must: int
    should: int
    may: int
    shown: int
    passed: int
    not_testable: int
    gaps: int
    """Rows that are testable and that no testcase shows."""
    must_gaps: int


def count(source: str, rows: Iterable[ShownBy]) -> Count:
    rows = list(rows)

    def of(strength: Strength) -> int:
        return sum(row.requirement.strength is strength for row in rows)

    gaps = [row for row in rows if row.is_gap]
    return Count(
        source=source,
        rows=len(rows),
        must=of(Strength.MUST),
        should=of(Strength.SHOULD),
        may=of(Strength.MAY),
        shown=sum(bool(row.testcases) for row in rows),
        passed=sum(bool(row.passed) for row in rows),
        not_testable=sum(bool(row.requirement.not_testable) for row in rows),
        gaps=len(gaps),
        must_gaps=sum(row.requirement.strength is Strength.MUST for row in gaps),
    )


def by_source(rows: Iterable[ShownBy]) -> Iterator[tuple[str, list[ShownBy]]]:
    """In the catalogue's order, which keeps the rows of one source together."""
    for source, mine in groupby(rows, lambda row: row.requirement.source):
        yield source, list(mine)


HEADINGS = (
    "rows",
    "must",
    "should",
    "may",
    "with testcases",
    "passed",
    "not testable",
    NOT_COVERED,
    "of it must",
)


def counts(rows: Sequence[ShownBy]) -> list[Count]:
    """One a source, and one for all."""
    return [*(count(source, mine) for source, mine in by_source(rows)), count("all", rows)]


def _figures(one: Count) -> tuple[int, ...]:
    return (
        one.rows,
        one.must,
        one.should,
        one.may,
        one.shown,
        one.passed,
        one.not_testable,
        one.gaps,
        one.must_gaps,
    )


# ---- text


def as_lines(rows: Sequence[ShownBy], limit: int = SHOWN) -> list[str]:
    """For a terminal of `WIDTH` columns: the figures, then every row under its source."""
    lines = ["Requirements", *_summary(counts(rows))]
    for source, mine in by_source(rows):
        lines += ["", *textwrap.wrap(source, WIDTH)]
        for row in mine:
            lines += _row_lines(row, limit)
    return [*lines, ""]


def _summary(found: Sequence[Count]) -> Iterator[str]:
    heads = ("rows", "must", "should", "may", "tested", "passed", "untestable", "NOT COVERED")
    width = WIDTH - sum(len(head) + 2 for head in heads)
    yield " " * width + "".join(f"  {head}" for head in heads)
    for one in found:
        figures = _figures(one)[: len(heads) - 1]
        last = f"{one.gaps} ({one.must_gaps} must)" if one.must_gaps else f"{one.gaps}"
        name = textwrap.shorten(one.source, width, placeholder="…")
        cells = [f"{figure:>{len(head) + 2}}" for head, figure in zip(heads, figures, strict=False)]
        yield f"{name:<{width}}{''.join(cells)}{last:>{len(heads[-1]) + 2}}"


def _row_lines(row: ShownBy, limit: int) -> Iterator[str]:
    wanted = row.requirement
    head = f"  {wanted.id} ({wanted.strength})" + (f", {wanted.clause}" if wanted.clause else "")
    yield from textwrap.wrap(head, WIDTH, subsequent_indent="    ")
    for text in (wanted.text, _named(row, limit)):
        yield from textwrap.wrap(text, WIDTH, initial_indent="      ", subsequent_indent="      ")


def _named(row: ShownBy, limit: int) -> str:
    names = row.passed or row.marked
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ": ".join(part for part in (row.why_not, ", ".join(names[:limit]) + more) if part)


# ---- markdown


def as_markdown_lines(rows: Sequence[ShownBy]) -> list[str]:
    """For the docs: the figures, then a table for each source."""
    lines = ["## Requirements", "", f"| source | {' | '.join(HEADINGS)} |", "|---|" + "---|" * len(HEADINGS)]
    for one in counts(rows):
        lines.append(f"| {_cell(one.source)} | {' | '.join(map(str, _figures(one)))} |")
    for source, mine in by_source(rows):
        lines += [
            "",
            f"### {source}",
            "",
            "| requirement | strength | clause | testcases |",
            "|---|---|---|---|",
        ]
        for row in mine:
            wanted = row.requirement
            requirement = f"`{wanted.id}`<br>{_cell(wanted.text)}"
            lines.append(
                f"| {requirement} | {wanted.strength} | {_cell(wanted.clause)} | {_shown_cell(row)} |"
            )
    return [*lines, ""]


def _shown_cell(row: ShownBy) -> str:
    names = row.passed or row.marked
    more = ["and others"] if len(names) > SHOWN else []
    why = row.why_not
    emphasis = why if why.startswith(NOT_TESTABLE) else f"**{why}**"
    return "<br>".join([*([emphasis] if why else []), *(f"`{name}`" for name in names[:SHOWN]), *more])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
