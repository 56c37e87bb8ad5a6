"""A failure is not undone by running again and naming the run that passed."""

from __future__ import annotations

import pytest
from signoff_rig import FAILS, sign_off

from bench.signoff.decision import Decision


def told(found):
    return [text for text in found.why if "is not named, and the same firmware failed in it" in text]


@pytest.fixture(scope="module")
def passed_at_last(rig):
    """A run that failed on board two, and one after it that passed, in one results folder."""
    first = rig.run(results="results-until-green", env={FAILS: "two"})
    second = rig.run("--clean-alluredir", results="results-until-green")
    return first, second


def test_run_until_it_passed(passed_at_last, tmp_path):
    first, second = passed_at_last
    found = sign_off(second, tmp_path / "out")
    assert found.decision is Decision.INCONCLUSIVE
    assert told(found) == [
        f"run {first.name} is not named, and the same firmware failed in it: "
        "FAILED: test_suite.py::test_version[two]"
    ]
    assert found.why == tuple(told(found))


def test_failure_that_was_left_out_of_the_plan(passed_at_last, rig, tmp_path):
    first, _ = passed_at_last
    results = str(first.parent.parent)
    node = "test_suite.py::test_installed"
    run = rig.run("--clean-alluredir", f"{node}[one]", f"{node}[two]", results=results)
    assert told(sign_off(run, tmp_path / "out"))


def test_named_as_well_it_is_a_failure(passed_at_last, tmp_path):
    found = sign_off(passed_at_last, tmp_path / "out")
    assert found.decision is Decision.NO_GO
    assert not told(found)


def test_another_commit_of_the_same_makes_no_other_attempt(passed_at_last, rig, tmp_path):
    first, _ = passed_at_last
    rig.commit()
    run = rig.run("--clean-alluredir", results=str(first.parent.parent))
    assert told(sign_off(run, tmp_path / "out"))


def test_another_results_folder_makes_no_other_attempt(passed_at_last, rig, tmp_path):
    first, _ = passed_at_last
    env = {"RIG_RECORD": str(first.parent.parent / "bench.runs.sqlite")}
    run = rig.run(results="results-elsewhere", env=env)
    assert told(sign_off(run, tmp_path / "out"))


def test_record_that_is_gone_is_told(rig, tmp_path):
    run = rig.run(results="results-forgotten")
    (run.parent.parent / "bench.runs.sqlite").unlink()
    found = sign_off(run, tmp_path / "out")
    assert found.decision is Decision.INCONCLUSIVE
    assert [text for text in found.why if "cannot be seen" in text] == list(found.why)


def test_testcases_that_were_mended_are_others(passed_at_last, rig, tmp_path):
    first, _ = passed_at_last
    suite = rig.folder / "test_suite.py"
    suite.write_text(suite.read_text() + "\nMENDED = True\n")
    rig.commit()
    run = rig.run("--clean-alluredir", results=str(first.parent.parent))
    assert sign_off(run, tmp_path / "out").decision is Decision.GO
