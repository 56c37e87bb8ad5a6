"""A failure is not undone by running again and naming the run that passed."""

from __future__ import annotations

import datetime
import shutil

import pytest
from signoff_rig import FAILS, sign_off

from bench.evidence.bench_record import BenchRecord
from bench.signoff import make, manifest
from bench.signoff.decision import Decision
from bench.signoff.folder import RECORDS
from bench.signoff.verify import verify


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


# ---- elsewhere, where nobody has the record of the bench; before the runs below clean Allure's results


def differences(folder):
    manifest.write(folder)  # who changes a file can list it anew
    return verify(folder, None, datetime.datetime.now(datetime.UTC)).differences


@pytest.fixture
def hushed(passed_at_last, tmp_path, monkeypatch):
    """A sign-off made GO by keeping quiet about the run that failed, with every hash in it right."""
    monkeypatch.setattr(make, "failed_elsewhere", lambda runs, beside: [])

    def quiet(runs, find):
        for run in runs:
            find(run.begin["record"])
        return [], []

    monkeypatch.setattr(make, "about_record", quiet)
    found = sign_off(passed_at_last[1], tmp_path / "out")
    assert found.decision is Decision.GO
    return tmp_path / "out"


def test_record_goes_into_the_sign_off(passed_at_last, tmp_path):
    first, second = passed_at_last
    sign_off(second, tmp_path / "out")
    (kept,) = (tmp_path / "out" / RECORDS).iterdir()
    record = BenchRecord(first.parent.parent / "bench.runs.sqlite")
    assert kept.read_text("utf-8").splitlines() == record.texts()
    assert kept.name == f"{record.read().lines[0]['sha'][:16]}.jsonl"
    assert differences(tmp_path / "out") == ()


def test_failure_that_is_kept_quiet_is_seen_in_the_record(passed_at_last, hushed):
    (found, *_) = differences(hushed)
    assert found.startswith("records/: the record of the bench says, and the sign-off does not: ")
    assert f"run {passed_at_last[0].name} is not named, and the same firmware failed in it" in found


def test_record_that_was_taken_out_is_missed(passed_at_last, hushed):
    shutil.rmtree(hushed / RECORDS)
    assert differences(hushed) == (
        f"records/: run {passed_at_last[1].name}: the record of its bench, bench.runs.sqlite, "
        "cannot be seen: how often the same was tried is not known (--record FILE names it)",
    )


def test_line_that_was_taken_out_of_the_record_is_missed(hushed):
    (kept,) = (hushed / RECORDS).iterdir()
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join(line for line in lines if b'"kind":"failed"' not in line))
    assert any("was changed" in text for text in differences(hushed))


# ---- what makes no other attempt


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
