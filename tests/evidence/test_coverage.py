"""The table of what a run covered: only what passed, and only what was seen."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from bench.errors import ConfigError
from bench.evidence.coverage import Covered, Step, as_markdown, as_text, load, requirements, tables

CYCLE = [Step("1.0", 0, 1, 0), Step("1.0", 1, 2, 0), Step("1.0", 2, 3, 0), Step("1.0", 3, 0, 1)]
ID = "LightweightM2M-1.0-int-770"


def shown(runs: list[Covered], requirement: str) -> tuple[str, ...]:
    return next(row.passed for row in requirements(runs) if row.requirement.id == requirement)


def row(runs: list[Covered], title: str, beginning: str) -> list[str]:
    table = next(t for t in tables(runs) if t.title.startswith(title))
    return next(names for name, names in table.rows if name.startswith(beginning))


def test_only_passed_testcases_count() -> None:
    runs = [Covered("a", "passed", [ID], CYCLE), Covered("b", "failed", [ID], CYCLE)]
    assert shown(runs, ID) == ("a",)
    assert row(runs, "Results", "1 Success") == ["a"]
    assert row(runs, "Transitions of object 5 v1.0", "Updating to Idle, result 1") == ["a"]
    assert [t.title for t in tables(runs) if "v1." in t.title] == ["Transitions of object 5 v1.0"]


@pytest.mark.parametrize("outcome", ["failed", "skipped", "not applicable", "not run"])
def test_nothing_else_covers(outcome: str) -> None:
    runs = [Covered("a", outcome, [ID], CYCLE)]
    assert all(table.gaps == [name for name, _ in table.rows] for table in tables(runs))
    assert {row.passed for row in requirements(runs)} == {()}


def test_a_failure_too_quick_for_downloading_covers_its_result() -> None:
    runs = [Covered("a", "passed", [], [Step("1.0", 0, 0, 6)])]
    assert row(runs, "Transitions of object 5 v1.0", "Downloading to Idle, result 6") == ["a"]


def test_gaps_are_named_in_both_forms() -> None:
    runs = [Covered("a", "passed", [ID], CYCLE)]
    assert "NOT COVERED" in as_text(runs)
    told = as_markdown(runs)
    assert f"| `{ID}`<br>successful update, package delivered over CoAP | must |  | `a` |" in told
    assert "| 4 Connection lost | **NOT COVERED** |" in told


def test_a_record_is_read_back(tmp_path: Path) -> None:
    runs = [Covered("a", "passed", [ID], CYCLE)]
    file = tmp_path / "coverage.json"
    file.write_text(json.dumps([asdict(run) for run in runs]))
    assert load(file) == runs


@pytest.mark.parametrize(
    "content", ["", "{}x", '[{"name": 1}]', '[{"name": "a", "outcome": "b", "steps": [{}]}]']
)
def test_a_bad_record_is_an_error_with_a_cure(tmp_path: Path, content: str) -> None:
    file = tmp_path / "coverage.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"coverage\.json"):
        load(file)
