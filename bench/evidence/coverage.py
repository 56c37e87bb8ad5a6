"""Which requirements, transitions and results of object 5 a run covered, by which testcases.

A row counts as covered only when a testcase that passed shows the requirement by its ID, or was
seen to take the device through the transition; what a testcase says it does is not enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import FileError
from bench.evidence.covered_requirements import (
    NOT_COVERED,
    SHOWN,
    ShownBy,
    as_lines,
    as_markdown_lines,
    requirements_shown,
)
from bench.firmware_update.expected import (
    COMPONENT_ROWS,
    COMPONENTS,
    FAILED_UPDATE,
    FAILURES_OF_DOWNLOAD,
    MACHINES,
    Row,
)
from bench.firmware_update.states import Result, State
from bench.outside_files import read_json

FIRST = "run `pytest testcases/` first"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A step of /5 as seen, in numbers: version of the object, states, result after it."""

    version: str
    source: int
    target: int
    result: int


@dataclass(frozen=True)
class Covered:
    """One run of one testcase: its name, how it ended, and what it covered."""

    name: str
    outcome: str
    requirements: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """A table of coverage: title, what each row is called, and the testcases that cover it."""

    title: str
    heading: str
    rows: list[tuple[str, list[str]]]

    @property
    def gaps(self) -> list[str]:
        return [name for name, testcases in self.rows if not testcases]


def load(path: Path) -> list[Covered]:
    """Read the file that a run of testcases has left. Raises `FileError`."""
    rows = read_json(path, "a record of coverage", help=FIRST)
    try:
        return [Covered(**{**row, "steps": [Step(**step) for step in row["steps"]]}) for row in rows]
    except (ValueError, TypeError, KeyError) as error:
        raise FileError(path, f"is no record of coverage: {error}", help=FIRST) from None


def tables(runs: Iterable[Covered]) -> list[Table]:
    """Transitions of each version of object 5 and of object 33629, and results."""
    passed = [run for run in runs if run.outcome == "passed"]
    seen = {step.version for run in passed for step in run.steps}
    return [
        # of versions that no board has there is nothing to cover
        *(_transitions(passed, version) for version in MACHINES if version in seen),
        Table(
            f"Transitions that object {COMPONENTS} adds",
            "transition",
            _rows(passed, COMPONENTS, COMPONENT_ROWS),
        ),
        _results(passed),
    ]


def requirements(runs: Iterable[Covered]) -> list[ShownBy]:
    """A row for each requirement of the bench's catalogue."""
    return requirements_shown((run.name, run.requirements) for run in runs if run.outcome == "passed")


def _results(passed: Sequence[Covered]) -> Table:
    rows = [
        (
            f"{result.value} {_words(result.name)}",
            _names(run for run in passed if any(step.result == result for step in run.steps)),
        )
        for result in Result
    ]
    return Table("Results", "result", rows)


def _transitions(passed: Sequence[Covered], version: str) -> Table:
    failed = {
        Step(version, int(row.source), int(row.target), int(result))
        for row in FAILED_UPDATE.values()
        for result in row.results
    }
    rows = [
        *_rows(passed, version, MACHINES[version]),
        (
            "Updating to Idle or Downloaded (the board's profile says which), result 8",
            _seeing(passed, failed),
        ),
    ]
    return Table(f"Transitions of object 5 v{version}", "transition", rows)


def _rows(passed: Sequence[Covered], version: str, machine: Iterable[Row]) -> list[tuple[str, list[str]]]:
    rows = []
    for row in machine:
        if row.tolerated:
            continue
        for result in sorted(row.results):
            wanted = {Step(version, int(row.source), int(row.target), int(result))}
            if result in FAILURES_OF_DOWNLOAD:  # it may fail before Downloading could be told
                wanted.add(Step(version, int(State.IDLE), int(State.IDLE), int(result)))
            title = f"{_words(row.source.name)} to {_words(row.target.name)}, result {result.value}"
            rows.append((f"{title}: {row.trigger}", _seeing(passed, wanted)))
    return rows


def _seeing(runs: Iterable[Covered], steps: set[Step]) -> list[str]:
    return _names(run for run in runs if not steps.isdisjoint(run.steps))


def _names(runs: Iterable[Covered]) -> list[str]:
    return sorted({run.name for run in runs})


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def as_text(runs: Sequence[Covered], limit: int = SHOWN) -> str:
    """For a terminal: each row with the first few of its testcases."""
    lines = as_lines(requirements(runs), limit)
    for table in tables(runs):
        done = len(table.rows) - len(table.gaps)
        lines.append(f"{table.title}: {done} of {len(table.rows)}")
        for name, testcases in table.rows:
            more = f" and {len(testcases) - limit} more" if len(testcases) > limit else ""
            lines.append(f"  {name}")
            lines.append(f"      {', '.join(testcases[:limit]) + more if testcases else NOT_COVERED}")
        lines.append("")
    return "\n".join(lines)


def as_markdown(runs: Sequence[Covered]) -> str:
    """For the docs: one table each."""
    lines = ["# What the testcases cover", "", INTRODUCTION, "", *as_markdown_lines(requirements(runs))]
    for table in tables(runs):
        lines += [f"## {table.title}", "", f"| {table.heading} | testcases |", "|---|---|"]
        for name, testcases in table.rows:
            named = [f"`{testcase}`" for testcase in testcases[:SHOWN]]
            more = ["and others"] if len(testcases) > SHOWN else []
            cell = "<br>".join(named + more) or f"**{NOT_COVERED}**"
            lines.append(f"| {name} | {cell} |")
        lines.append("")
    return "\n".join(lines)


INTRODUCTION = """Written by `bench coverage --markdown` from a run of `pytest testcases/` on the
virtual bench. A requirement is covered by a testcase that carries its ID; a transition or a result by
a testcase during which it was seen. Only testcases that passed count: NOT SEEN TO PASS names those that
carry the ID and did not pass in that run, NOT COVERED has none. A row names the first four;
`results/coverage.json` has all. [How the catalogue is made](requirements.md)"""
