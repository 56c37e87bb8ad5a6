"""Running again until it is green: the record of the bench knows every attempt at the same thing."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
import sqlite3

import pytest
from made_runs import TESTS, UPDATE, board
from made_runs import made as made_run
from others import of

from bench.errors import LedgerError
from bench.evidence.attempt import content_key, contents, is_mended
from bench.evidence.bench_record import BenchRecord, record_beside
from bench.evidence.ledger import FILE, Ledger, Record, latest_run, uptime
from bench.signoff.record import _other_attempts, about_record

CLEAN = {"git_revision": "a" * 40, "git_dirty": False}


@pytest.fixture
def record(tmp_path):
    made = BenchRecord(record_beside(tmp_path / "bench.toml"))
    for number in range(3):
        made.append("begin", run=f"run-{number}")
    return made


def tamper(record, *statements):
    with contextlib.closing(sqlite3.connect(record.path)) as base, base:
        for statement in statements:
            base.execute(statement)


def test_record_is_only_ever_added_to(record):
    for statement in ("DELETE FROM lines WHERE seq = 2", "UPDATE lines SET text = '' WHERE seq = 2"):
        with pytest.raises(sqlite3.IntegrityError, match="append only"):
            tamper(record, statement)
    assert not record.read().faults


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM lines WHERE seq = 2",
        "UPDATE lines SET text = replace(text, 'run-1', 'run-9') WHERE seq = 2",
        "UPDATE lines SET seq = 9 WHERE seq = 1",
    ],
)
def test_line_taken_out_of_the_record_is_seen(record, statement):
    tamper(record, "DROP TRIGGER no_edit", "DROP TRIGGER no_removal", statement)
    assert record.read().faults


def test_record_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "bench.runs.sqlite").write_text("no database" * 100)
    with pytest.raises(LedgerError, match="the record of the bench cannot be used"):
        BenchRecord(tmp_path / "bench.runs.sqlite").append("begin", run="x")


@pytest.mark.parametrize(
    ("now", "mended"),
    [
        (CLEAN, False),  # another commit or title, the same content
        ({**CLEAN, "git_dirty": True, "bench_content": "other"}, False),  # a file changed for once
        ({**CLEAN, "git_revision": None, "bench_content": "other"}, False),
        ({**CLEAN, "bench_content": "other"}, True),
        ({**CLEAN, "content": {"test_a.py": "other"}}, True),
        ({**CLEAN, "content": {}}, False),
    ],
)
def test_what_is_another_attempt(now, mended):
    told = {**CLEAN, "bench_content": "bench", "content": {"test_a.py": "a"}}
    assert is_mended(told, {**told, **now}, "test_a.py::test_update[one]") is mended


def test_comment_in_a_testcase_makes_no_other_attempt(tmp_path):
    file = tmp_path / "test_a.py"
    file.write_text("def test_a():\n    assert 1\n")
    before = contents(tmp_path, ["test_a.py::test_a", "test_a.py::test_b"])
    file.write_text("# tried again\r\n\r\ndef test_a(): assert 1  # once more\r\n")
    assert contents(tmp_path, ["test_a.py::test_a"]) == before
    file.write_text("def test_a(): assert 2\n")
    assert content_key(file) != before["test_a.py"]


# ---- which run is the latest


def run(results, name, *, since_boot, record=None, boot="this"):
    here = uptime()
    told = {"boot": here["boot"] if boot == "this" else boot, "uptime": here["uptime"] - since_boot}
    with Ledger(results / "runs" / name) as ledger:
        ledger.write("begin", run=name, record=record, **told)
    return results / "runs" / name


def place(number):
    return {"id": "the record", "seq": number}


def test_latest_by_the_record_though_a_clock_was_ahead(tmp_path):
    run(tmp_path, "20990101T000000.000Z-aaaaaa", since_boot=50, record=place(1))
    now = run(tmp_path, "20260101T000000.000Z-bbbbbb", since_boot=5, record=place(2))
    assert latest_run(tmp_path) == now


def test_run_of_before_does_not_pass_for_one_since(tmp_path):
    """Its clock was ahead, so its name says that it began after the job did."""
    now = datetime.datetime.now(datetime.UTC)
    name = f"{now - datetime.timedelta(seconds=1):%Y%m%dT%H%M%S}.000Z-aaaaaa"
    began = run(tmp_path, name, since_boot=600)
    if uptime()["boot"] is None:
        pytest.skip("this system does not name its start")
    with pytest.raises(LedgerError, match="no run has begun since"):
        latest_run(tmp_path, now - datetime.timedelta(seconds=60))
    assert latest_run(tmp_path, now - datetime.timedelta(seconds=700)) == began


def test_run_of_another_start_of_the_pc_from_the_future(tmp_path):
    run(tmp_path, "20990101T000000.000Z-aaaaaa", since_boot=600, boot="another")
    with pytest.raises(LedgerError, match="no run has begun since"):
        latest_run(tmp_path, datetime.datetime(2020, 1, 1))


# ---- with a bench


BENCH = """
[bench]
name = "host programs"
[server]
port = 0
[boards.one]
type = "host"
serial = "SN-1"
endpoint = "host-1"
"""
"""One program; what its testcases say is written for each test."""


@pytest.fixture
def bench(suite):
    of("process", "host_image").write_bench(suite.folder / "bench", restart="exit")
    (suite.folder / "bench" / "bench.toml").write_text(BENCH)
    return suite


def test_failure_is_in_the_record_though_the_run_is_killed_and_its_results_are_gone(bench):
    bench.write(
        """
        import os
        def test_fails(dut): assert dut.installed is None, "it is not as it should be"
        def test_dies(dut): os._exit(0)
        """
    )
    ended = bench.run("--bench", "bench/bench.toml", "--pictures=none", ledger=False)
    assert ended.status == 0, ended.output
    begin = json.loads((ended.run / FILE).read_text().splitlines()[0])
    shutil.rmtree(bench.folder / "results")
    record = BenchRecord(bench.folder / "bench" / "bench.runs.sqlite").read()
    kinds = [(line["kind"], line.get("run")) for line in record.lines]
    assert kinds == [("made", None), *((kind, begin["run"]) for kind in ("begin", "attached", "failed"))]
    assert record.lines[2]["boards"]["one"]["images"]["update"]
    assert record.lines[3]["node"] == "test_suite.py::test_fails[one]"
    assert begin["record"]["seq"] == 1
    assert begin["record"]["id"] == record.lines[0]["sha"]


# ---- another file of the same build


def recorded(*attached):
    """The record of a bench: a run that failed, of an update with these hashes, and then the one named."""
    lines = [
        {"kind": "made"},
        {"kind": "begin", "run": "before"},
        *(
            {
                "kind": "attached",
                "run": "before",
                "virtual": False,
                "boards": {"one": {"images": {"update": file}, "content": content}},
            }
            for file, content in attached
        ),
        {"kind": "failed", "run": "before", "node": f"testcases/{TESTS[0]}[one]"},
        {"kind": "end", "run": "before"},
        {"kind": "begin", "run": "named", "seq": 5},
    ]
    return Record(tuple(lines))


def named(content):
    boards = {"one": board("SN-1"), "two": board("SN-2")}
    for one in boards.values():
        one["images"]["update"]["content"] = content
    return made_run("named", boards=boards)


@pytest.mark.parametrize(
    ("before", "seen"),
    [
        ((UPDATE, ""), True),
        (("9" * 64, "7" * 64), True),  # one byte more behind it, or signed anew
        (("9" * 64, "8" * 64), False),
        (("9" * 64, ""), False),
    ],
    ids=["the same file", "the same build", "another build", "nobody can tell"],
)
def test_a_byte_behind_the_image_makes_no_other_attempt(before, seen):
    doubts, _ = _other_attempts(named("7" * 64), recorded(before), {"named"})
    assert (
        any("run before is not named, and the same firmware failed in it" in text for text in doubts) == seen
    )


def test_a_record_made_anew_says_that_it_knows_nothing_before(tmp_path):
    record = BenchRecord(tmp_path / "new.runs.sqlite")
    text = "the record of the bench, new.runs.sqlite, begins with run named: it knows nothing before"
    run = made_run("named", begin={"record": {"file": str(record.path), "seq": 1, "id": ""}})
    record.append("begin", run="named")
    _, known = about_record([run], lambda place: record.read())
    assert text in known
    other = made_run("later", begin={"record": {"file": str(record.path), "seq": 2, "id": ""}})
    record.append("begin", run="later")
    _, known = about_record([other], lambda place: record.read())
    assert not any("knows nothing before" in text for text in known)
