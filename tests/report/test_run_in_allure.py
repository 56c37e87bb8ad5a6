"""What Allure is told of a run, read from the result files of runs."""

from __future__ import annotations

import json
import re
import signal
import textwrap

import pytest

from bench.evidence import allure_categories as sorts
from bench.evidence import allure_verdict
from bench.evidence.allure_run import as_properties, environment, executor

SORTED = """
    import pytest
    from bench.errors import InstrumentError, NotApplicable
    def test_passes(): pass
    def test_product(): assert 1 == 2
    def test_pytest_fail(): pytest.fail("the product")
    def test_bench(): raise InstrumentError("psu: no answer", help="look at its cable")
    def test_stray(): raise ValueError("BENCH ERROR is only in the message")
    def test_not_applicable(): raise NotApplicable("no such thing on this board")
    def test_skipped(): pytest.skip("not today")
    @pytest.mark.xfail
    def test_expected_to_fail(): assert 1 == 2
    @pytest.mark.xfail(strict=False)
    def test_xpass(): pass
    @pytest.fixture
    def broken(): raise InstrumentError("psu: gone")
    def test_bench_in_setup(broken): pass
    @pytest.fixture
    def left(): yield; raise InstrumentError("psu: gone")
    def test_bench_in_teardown(left): pass
    def test_interrupted(): raise KeyboardInterrupt
"""
EXPECTED = {
    "test_passes": None,
    "test_product": sorts.PRODUCT,
    "test_pytest_fail": sorts.PRODUCT,
    "test_bench": sorts.BENCH,
    "test_stray": sorts.INCONCLUSIVE,
    "test_not_applicable": sorts.NOT_APPLICABLE,
    "test_skipped": sorts.NOT_RUN,
    "test_expected_to_fail": sorts.PRODUCT,
    "test_xpass": sorts.XPASS,
    "test_bench_in_setup": sorts.BENCH,
    "test_bench_in_teardown": sorts.BENCH,
    "test_interrupted": sorts.INTERRUPTED,
}


def results(run) -> list[dict]:
    """Of the tests: that of the run's verdict is not among them."""
    found = [json.loads(file.read_text("utf-8")) for file in (run.results / "allure").glob("*-result.json")]
    return [result for result in found if not result["name"].startswith(allure_verdict.NAME)]


def matches(row: dict, result: dict) -> bool:
    """As Allure does it."""
    details = result.get("statusDetails") or {}
    texts = {"messageRegex": details.get("message"), "traceRegex": details.get("trace")}
    fits = (key not in row or (text and re.search(row[key], text, re.DOTALL)) for key, text in texts.items())
    return result["status"] in row["matchedStatuses"] and all(fits)


def test_each_kind_of_ending_has_its_category(testcases):
    run = testcases(SORTED, "--bench-retries=0")
    rows = json.loads((run.results / "allure" / "categories.json").read_text("utf-8"))
    found = {
        result["name"]: next((row["name"] for row in rows if matches(row, result)), None)
        for result in results(run)
    }
    assert found == EXPECTED, run.output
    (stopped,) = [result for result in results(run) if result["name"] == "test_interrupted"]
    assert stopped["statusDetails"]["message"] == "interrupted: KeyboardInterrupt"


def test_time_limit_is_a_bench_error_and_no_interruption(testcases):
    run = testcases(
        "import time\ndef test_hangs():\n    while True: time.sleep(0.1)\n",
        "--test-timeout=1",
        "--bench-retries=0",
    )
    (result,) = results(run)
    assert result["statusDetails"]["trace"].startswith("BENCH ERROR during call"), result


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or not hasattr(signal, "SIGALRM"), reason="POSIX signals")
def test_asked_to_end_is_interrupted_and_says_by_what(testcases):
    run = testcases(
        """
        import os, signal, time
        def test_ended():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        """
    )
    (result,) = results(run)
    assert (result["status"], result["statusDetails"]["message"]) == ("broken", "interrupted: SIGTERM")
    assert "Allure" not in run.output


def test_cases_that_look_alike_to_allure_are_told_apart(testcases):
    run = testcases(
        """
        import allure, pytest
        class Odd:
            def __repr__(self): return "the same"
        @pytest.mark.parametrize("update", [Odd(), Odd()], ids=["one", "two"])
        def test_odd(update): allure.dynamic.parameter("update", "1.1.0")
        """
    )
    kept = [
        {p["name"]: p["value"] for p in result["parameters"] if not p.get("excluded")}
        for result in results(run)
    ]
    assert sorted(one["case"] for one in kept) == ["one", "two"]


def test_parameters_are_the_same_in_every_run(testcases):
    text = """
        import pytest
        def quickly(): pass
        @pytest.mark.parametrize("how", [quickly, object(), 3.5, "slowly"])
        def test_done(how): pass
        """
    first = sorted(str(result["parameters"]) for result in results(testcases(text)))
    again = sorted(str(result["parameters"]) for result in results(testcases(text)))
    assert first == again
    assert "0x" not in str(first)


def test_run_is_described_though_it_was_killed(testcases):
    run = testcases("import os, signal\ndef test_killed(): os._exit(9)\n")
    assert run.status == 9
    folder = run.results / "allure"
    told = (folder / "environment.properties").read_text("utf-8")
    assert re.search(r"^run = \d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}$", told, re.MULTILINE)
    assert re.search(r"^pytest = \d", told, re.MULTILINE)
    (held,) = folder.glob("*-globals.json")
    (row,) = json.loads(held.read_text("utf-8"))["attachments"]
    assert row["name"] == "provenance"
    provenance = json.loads((folder / row["source"]).read_text("utf-8"))
    assert {"run", "git_revision", "git_dirty", "packages", "seed"} <= provenance.keys()


LATE_WORKER = """
    import os, pathlib, time
    import pytest
    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(config):
        if os.environ.get("PYTEST_XDIST_WORKER") != "gw1":
            return
        folder = pathlib.Path(config.option.allure_report_dir)
        latest = time.monotonic() + 60
        while not list(folder.glob("*-globals.json")):
            assert time.monotonic() < latest, "the controller has not told Allure of the run"
            time.sleep(0.01)
"""


def test_described_once_by_the_process_that_keeps_the_ledger(testcases, tmp_path):
    pytest.importorskip("xdist")
    (tmp_path / "conftest.py").write_text(textwrap.dedent(LATE_WORKER), encoding="utf-8")
    run = testcases("def test_a(): pass\ndef test_b(): pass\n", "-n2")
    assert run.status == 0, run.output
    assert len(list((run.results / "allure").glob("*-globals.json"))) == 1
    assert (run.results / "allure" / "categories.json").exists()


def test_environment_names_boards_and_a_changed_checkout():
    lines = [
        {"kind": "begin", "run": "R", "git_revision": "a" * 40, "git_dirty": True, "seed": 7, "packages": {}},
        {
            "kind": "plan",
            "tests": [
                {"node": "test_a", "board": "dk1", "serial": "960"},
                {"node": "test_b", "board": "", "serial": ""},
                {"node": "test_c", "board": "dk2", "serial": "961", "deselected": True},
            ],
        },
    ]
    rows = environment(lines)
    assert [row for row in rows.items() if row[0].startswith("board")] == [("board dk1", "serial 960")]
    assert rows["testcases"] == "aaaaaaaaaaaa, with changes that are not committed"
    assert as_properties({"a b": "c:\\d"}) == "a\\ b = c:\\\\d\n"


def test_executor_of_each_ci_without_what_may_be_secret():
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "us/bench",
        "GITHUB_RUN_ID": "7",
        "GITHUB_RUN_NUMBER": "12",
        "GITHUB_WORKFLOW": "nightly",
        "GITHUB_TOKEN": "ghs_secret",
    }
    told = executor(github)
    assert told["buildUrl"] == "https://github.com/us/bench/actions/runs/7"
    assert told["buildName"] == "nightly #12"
    gitlab = {"GITLAB_CI": "true", "CI_JOB_URL": "https://ci:tok3n@git.example/j/1?private_token=tok3n"}
    assert executor(gitlab)["buildUrl"] == "https://git.example/j/1"
    jenkins = {"JENKINS_URL": "http://ci/", "BUILD_URL": "http://ci:8080/job/a/3/", "BUILD_NUMBER": "3"}
    assert executor(jenkins)["buildUrl"] == "http://ci:8080/job/a/3/"
    assert executor({"HOME": "/root"}) == {"name": "local", "type": "local", "buildName": "run by hand"}
    assert "secret" not in json.dumps(executor(github)) + json.dumps(executor(gitlab))
