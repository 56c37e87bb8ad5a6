"""What others count as green: Allure's results, JUnit's XML and the report say what the ledger says."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree

import pytest

from bench.errors import ReportError
from bench.evidence.ledger import read
from bench.report.render import results_in

ALL_KINDS = """
    import pytest
    from bench.errors import InstrumentError, NotApplicable, WaitTimeout
    tried = []
    def once(name):
        tried.append(name)
        return tried.count(name) == 1
    def test_passes(): pass
    def test_fails(): assert "1.0.0" == "1.1.0"
    @pytest.mark.xfail
    def test_expected(): assert 0, "known for years"
    @pytest.mark.xfail(strict=False)
    def test_unexpected(): pass
    def test_bench(): raise InstrumentError("psu: no answer")
    def test_silent_once():
        if once("silent"): raise WaitTimeout("it did not register")
    def test_elsewhere(): raise NotApplicable("no radio")
    def test_odd(): raise ValueError("odd")
"""


def statuses(ended):
    """Test -> what Allure shows of it in the end."""
    rows = [json.loads(f.read_text()) for f in (ended.folder / "results" / "allure").glob("*-result.json")]
    rows.sort(key=lambda row: row["start"])
    return {row["name"].partition(":")[0]: row["status"] for row in rows}


def cases(ended):
    """Test -> the tags that tell how it ended; each once."""
    root = xml.etree.ElementTree.parse(ended.folder / "junit.xml").getroot()
    found = [
        (one.get("name"), [x.tag for x in one if x.tag != "properties"]) for one in root.iter("testcase")
    ]
    assert len(dict(found)) == len(found), "a repeated test is one case"
    (suite,) = root.iter("testsuite")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute)) == sum(tag in tags for _, tags in found)
    assert int(suite.get("tests")) == len(found)
    return dict(found)


def test_every_kind_of_verdict(replay):
    ended = replay(ALL_KINDS, "--junitxml=junit.xml")
    assert ended.status == 1, ended.output
    assert not [text for text in ended.found.why if "Allure" in text]
    assert statuses(ended) == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_expected": "failed",
        "test_unexpected": "broken",
        "test_bench": "broken",
        "test_silent_once": "broken",
        "test_elsewhere": "skipped",
        "test_odd": "broken",
        "run verdict": "failed",
    }
    assert cases(ended) == {
        "test_passes": [],
        "test_fails": ["failure"],
        "test_expected": ["failure"],
        "test_unexpected": ["error"],
        "test_bench": ["error"],
        "test_silent_once": ["error"],
        "test_elsewhere": ["skipped"],
        "test_odd": ["error"],
        "run verdict": ["failure"],
    }


def test_repeated_until_green_by_a_plug_in(replay):
    pytest.importorskip("pytest_rerunfailures")
    ended = replay(
        "tried = []\ndef test_a():\n    tried.append(1)\n    assert len(tried) == 2\n",
        "--reruns=3",
        "--junitxml=junit.xml",
    )
    assert ended.verdicts() == {"test_a": "FLAKY_PASS"}, ended.output
    assert statuses(ended) == {"test_a": "failed", "run verdict": "failed"}
    assert cases(ended) == {"test_a": ["failure"], "run verdict": ["failure"]}


def test_selection_is_not_green(replay):
    ended = replay("def test_a(): pass\ndef test_b(): pass\n", "-k", "test_a", "--junitxml=junit.xml")
    assert ended.status == 6, ended.output
    assert cases(ended) == {"test_a": [], "test_b": ["skipped"], "run verdict": ["error"]}
    assert statuses(ended)["run verdict"] == "broken"
    lines = ended.output.splitlines()
    said = next(n for n, line in enumerate(lines) if line.startswith("SELECTION"))
    assert said < next(n for n, line in enumerate(lines) if line.startswith("INCONCLUSIVE  run"))


def test_named_one_by_one_is_said_first(replay):
    ended = replay("def test_a(): pass\ndef test_b(): assert 0\n", "test_suite.py::test_a")
    assert ended.found.first == ("SELECTION: 1 tests were named one by one",), ended.output


def test_seeded_defect_is_said_first(replay):
    ended = replay("def test_a(): pass\n", "--defect=some")
    assert ended.found.first == ("SEEDED DEFECT some: the testcases are judged, no product",)
    environment = (ended.folder / "results" / "allure" / "environment.properties").read_text()
    assert environment.startswith("SEEDED\\ DEFECT\\ some")


def test_go_is_green_everywhere(replay):
    ended = replay("def test_a(): pass\n", "--junitxml=junit.xml", "-n1")
    assert ended.status == 0, ended.output
    assert statuses(ended) == {"test_a": "passed", "run verdict": "passed"}
    assert cases(ended) == {"test_a": [], "run verdict": []}


@pytest.fixture
def failed(replay):
    ended = replay("def test_a(): assert 0\ndef test_b(): pass\n")
    assert results_in(ended.folder / "results").verdict is not None
    return ended


def of_test(ended, name):
    for file in (ended.folder / "results" / "allure").glob("*-result.json"):
        if json.loads(file.read_text())["name"] == name:
            return file
    raise AssertionError(name)


def repaint(ended):
    file = of_test(ended, "test_a")
    file.write_text(file.read_text().replace('"failed"', '"passed"'))


def take_out(ended):
    of_test(ended, "test_a").unlink()


def add_greener(ended):
    file = of_test(ended, "test_a")
    row = json.loads(file.read_text()) | {"status": "passed", "start": 9e12}
    file.with_name("later-result.json").write_text(json.dumps(row))


@pytest.mark.parametrize("how", [repaint, take_out, add_greener])
def test_report_of_changed_results_is_refused(failed, how):
    how(failed)
    with pytest.raises(ReportError, match="differs from the ledger"):
        results_in(failed.folder / "results")


def test_report_of_a_run_that_was_killed_is_compared_too(failed):
    lines = failed.ledger.read_bytes().splitlines(keepends=True)
    failed.ledger.write_bytes(b"".join(line for line in lines[:-3] if b'"kind":"results"' not in line))
    repaint(failed)
    with pytest.raises(ReportError, match="differs from the ledger"):
        results_in(failed.folder / "results")


def test_results_without_their_ledger_have_no_verdict(failed):
    shutil.rmtree(failed.run)
    assert results_in(failed.folder / "results").title.endswith("no ledger, no verdict")


def test_no_control_sequence_is_in_the_ledger(replay):
    ended = replay(
        r"""
        def test_a(): assert 0, "\x1b[31mred\x1b[0m \x9b1m\x07 \u202egreen\u202c \x00"
        """,
        "--color=yes",
        "-vv",
    )
    assert ended.verdicts() == {"test_a": "FAILED"}
    assert not read(ended.ledger).faults
    for line in ended.ledger.read_text().splitlines():
        said = json.dumps(json.loads(line), ensure_ascii=False)
        assert not [c for c in said if not c.isprintable()], said
        assert not any(code in line for code in ("\\u001b", "\\u009b", "\\u202e", "\\u0000")), line
