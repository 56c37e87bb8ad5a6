"""In which order testcases meet a mutant: its own hints, those of its area, those of all, then the rest."""

from __future__ import annotations

import pathlib
import types
from typing import Any

import pytest

from bench.virtual.defects.defect import Defect
from bench.virtual.mutants.job import Job, job_of, read, write
from fixtures.mutant_run import ordered


def defect(name: str, area: str, *hints: str, equivalent: str = "") -> Defect:
    return Defect(name, area, "Text.", "own", (), hints=hints, equivalent=equivalent)


MINE = defect("mine", "near", "test_mine")
KNOWN = [
    MINE,
    defect("one", "near", "test_seldom"),
    defect("two", "near", "test_near", "test_mine"),
    defect("three", "near", "test_near"),
    *(defect(f"far-{n}", "far", "test_far", "test_seldom") for n in range(5)),
    defect("odd", "far", "test_odd"),
]


def test_own_hints_then_those_of_the_area_then_what_finds_most() -> None:
    job = job_of(MINE, KNOWN, thorough=False)
    assert job.first == ("test_mine",)
    assert job.then == ("test_near", "test_seldom", "test_far", "test_odd")
    assert job.rest


def test_one_argued_to_be_equivalent_meets_its_neighbours_testcases_unless_asked_for() -> None:
    same = defect("same", "near", "test_mine", equivalent="it is")
    job = job_of(same, KNOWN, thorough=False)
    assert (job.then, job.rest) == (("test_near", "test_seldom"), False)
    job = job_of(same, KNOWN, thorough=True)
    assert (job.then, job.rest) == (("test_near", "test_seldom", "test_far", "test_odd"), True)


def test_jobs_are_read_as_they_were_written(tmp_path: pathlib.Path) -> None:
    jobs = [job_of(one, KNOWN, thorough=False) for one in KNOWN]
    write(jobs, tmp_path / "jobs")
    assert read(tmp_path / "jobs") == jobs


def item(name: str, *fixtures: str) -> Any:
    return types.SimpleNamespace(nodeid=f"testcases/test_file.py::{name}", fixturenames=fixtures)


ITEMS = [item("test_rest"), item("test_sweep", "cut_everywhere"), item("test_far"), item("test_mine")]


@pytest.mark.parametrize(
    ("job", "order"),
    [
        (Job("d", (), ("test_mine",), ("test_sweep", "test_far"), True), "mine far rest sweep"),
        (Job("d", (), ("test_sweep", "test_mine"), ("test_far",), True), "sweep mine far rest"),
        (Job("d", (), ("test_mine",), ("test_sweep", "test_far"), False), "mine far"),
        (Job("d", (), ("test_sweep",), (), False), "sweep"),
    ],
    ids=["sweep-last", "sweep-hinted", "no-rest", "no-rest-nor-others"],
)
def test_a_sweep_is_last_unless_the_defect_itself_names_it(job: Job, order: str) -> None:
    names = [one.nodeid.rpartition("::test_")[2] for one in ordered(ITEMS, job)]
    assert names == order.split()
