"""Every way in which a run can go wrong and look right, replayed with real processes: none is GO."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from bench.evidence.ledger import BEGAN, read
from bench.evidence.run_verdict import Decision

ROOT = pathlib.Path(__file__).parents[2]

POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

WAITS = """
    import pathlib, time
    def test_before():
        pass
    def test_waits():
        pathlib.Path("here").touch()
        time.sleep(60)
    def test_after():
        pass
"""


def test_all_passed_or_not_applicable_is_go(replay):
    ended = replay(
        """
        from bench.errors import NotApplicable
        def test_ok(): pass
        def test_elsewhere(): raise NotApplicable("no radio here")
        """
    )
    assert ended.status == 0, ended.output
    assert ended.found.decision is Decision.GO, ended.found.why
    assert ended.verdicts() == {"test_ok": "PASSED", "test_elsewhere": "NOT_APPLICABLE"}
    assert "GO  run" in ended.output.splitlines()[-4]


@POSIX
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_ended_by_a_signal(suite, number):
    suite.write(WAITS)
    ended = suite.signalled(getattr(signal, number))
    assert ended.status == (-signal.SIGKILL if number == "SIGKILL" else 2), ended.output
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert ended.verdicts() == {"test_before": "PASSED", "test_waits": "INTERRUPTED", "test_after": "NOT_RUN"}
    assert ended.found.exit_status == 2
    if number != "SIGKILL":
        assert "INCONCLUSIVE  run" in ended.output


@pytest.mark.parametrize("status", [None, 0, 3])
def test_pytest_exit(replay, status):
    ended = replay(
        f"""
        import pytest
        def test_before(): pass
        def test_leaves(): pytest.exit("enough", returncode={status})
        """
    )
    assert ended.status == 2, ended.output
    assert ended.verdicts() == {"test_before": "PASSED", "test_leaves": "INTERRUPTED"}
    assert "pytest.exit: enough" in ended.output


def test_process_that_leaves_with_status_0(replay):
    ended = replay("import os\ndef test_leaves(): os._exit(0)\n")
    assert ended.status == 0, "nothing can be done about that; the verdict is asked for by `bench verdict`"
    assert ended.found.decision is Decision.INCONCLUSIVE
    asked = subprocess.run(
        [sys.executable, "-c", "from bench.cli import main; main()", "verdict", str(ended.run)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 2, asked.stdout + asked.stderr
    assert "INTERRUPTED" in asked.stdout


def test_run_that_never_began_is_not_the_one_before(suite):
    """A bench PC keeps its results folder, and CI asks for the latest run."""
    suite.write("def test_a(): pass\n")
    first = suite.run()
    assert first.status == 0, first.output
    assert suite.run("--bench-retries=many").status == 4
    began = first.run.name[:15]
    after = f"{datetime.datetime.strptime(began, BEGAN) + datetime.timedelta(seconds=1):{BEGAN}}"
    for since, status in ((began, 0), (after, 3), ("", 2)):
        asked = subprocess.run(
            [sys.executable, "-c", "from bench.cli import main; main()", "verdict", "--since", since],
            cwd=suite.folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
            capture_output=True,
            text=True,
        )
        assert asked.returncode == status, asked.stdout + asked.stderr


def test_worker_that_crashes(replay):
    ended = replay(
        """
        import os
        def test_ok(): pass
        def test_dies(): os._exit(0)
        def test_other(): pass
        """,
        "-n1",
    )
    assert ended.status == 2, ended.output
    assert ended.verdicts() == {"test_ok": "PASSED", "test_dies": "INTERRUPTED", "test_other": "PASSED"}


def test_workers_reports_reach_the_ledger(replay):
    ended = replay(
        """
        import pytest
        from bench.errors import InstrumentError
        tried = []
        @pytest.mark.parametrize("n", range(3))
        def test_ok(n): pass
        def test_once():
            tried.append(1)
            if len(tried) == 1:
                raise InstrumentError("psu: no answer")
        """,
        "-n2",
    )
    assert ended.status == 0, ended.output
    assert ended.found.tests["test_suite.py::test_once"].attempts == 2


@pytest.mark.parametrize("workers", [(), ("-n1",)])
def test_time_out_in_call_and_in_teardown(replay, workers):
    ended = replay(
        """
        import pytest, time
        from bench.clock import WallClock
        @pytest.fixture
        def slow():
            yield
            time.sleep(30)
        def test_hangs():
            while True:
                time.sleep(0.01)
        def test_teardown_hangs(slow): pass
        def test_catches():
            try:
                time.sleep(30)
            except BaseException:
                pass
        def test_after(): pass
        """,
        "--test-timeout=0.5",
        "--bench-retries=0",
        *workers,
    )
    assert ended.status == 3, ended.output
    assert ended.verdicts() == {
        "test_hangs": "BENCH_ERROR",
        "test_teardown_hangs": "PASSED_TEARDOWN_BAD",
        "test_catches": "BENCH_ERROR",
        "test_after": "PASSED",
    }
    assert "took more than 0.5 s of wall time, in test_suite.py" in ended.output


def test_process_that_cannot_be_interrupted_ends_itself(replay):
    ended = replay(
        """
        import time
        import fixtures.time_limit
        fixtures.time_limit.GRACE = 0.3
        def test_hangs():
            while True:
                try:
                    time.sleep(30)
                except BaseException:
                    pass
        """,
        "--test-timeout=0.5",
    )
    assert ended.status == 3, ended.output
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert ended.verdicts() == {"test_hangs": "INTERRUPTED"}


@pytest.mark.parametrize("options", [(), ("--bench-retries=3",)])
def test_pass_after_a_failure_is_no_pass(replay, options):
    pytest.importorskip("pytest_rerunfailures")
    ended = replay(
        """
        tried = []
        def test_flaky():
            tried.append(1)
            assert len(tried) == 2
        """,
        "--reruns=3",
        *options,
    )
    assert ended.status == 1, ended.output
    assert ended.verdicts() == {"test_flaky": "FLAKY_PASS"}
    assert ended.found.decision is Decision.NO_GO


def test_product_failure_is_not_repeated(replay):
    ended = replay(
        """
        import pathlib
        def test_fails():
            with open("tries", "a") as tries: tries.write("x")
            assert False, "version is 1.0.0"
        """,
        "--bench-retries=3",
    )
    assert (ended.folder / "tries").read_text() == "x"
    assert ended.status == 1
    assert ended.found.tests["test_suite.py::test_fails"].reason.startswith("call: version is 1.0.0")


def test_device_that_was_silent_once_does_not_pass_by_being_repeated(replay):
    """A brick is silent too, and a repetition flashes the board anew."""
    ended = replay(
        """
        import pytest
        from bench.errors import WaitTimeout
        tried = []
        def once(name):
            tried.append(name)
            if tried.count(name) == 1:
                raise WaitTimeout("dev did not register within 60 s")
        @pytest.fixture
        def baseline(): once("setup")
        def test_silent_before(baseline): pass
        def test_silent_after_the_update(): once("call")
        """
    )
    assert ended.status == 3, ended.output
    assert ended.verdicts() == {"test_silent_before": "PASSED", "test_silent_after_the_update": "BENCH_ERROR"}
    assert {judged.attempts for judged in ended.found.tests.values()} == {2}
    assert "does not show that the device was not to blame" in ended.output


def test_assertion_that_a_clean_up_covers(replay):
    ended = replay(
        """
        from bench.errors import NotApplicable, ServerError
        tried = []
        def test_covered():
            tried.append(1)
            try:
                assert len(tried) > 1, "version is 1.0.0"
            finally:
                if len(tried) == 1: raise ServerError("the observation cannot be cancelled")
        def test_let_off():
            try:
                assert 0
            finally:
                raise NotApplicable("it cannot be reset")
        """
    )
    assert ended.verdicts() == {"test_covered": "FAILED", "test_let_off": "FAILED"}
    assert ended.status == 1, ended.output
    assert "version is 1.0.0" in ended.found.tests["test_suite.py::test_covered"].reason


@pytest.mark.parametrize("optimize", ["1", "2"])
def test_python_that_leaves_assertions_out(suite, monkeypatch, optimize):
    """What a helper, or the bench itself, asserts of a board is then not even looked at."""
    monkeypatch.setenv("PYTHONOPTIMIZE", optimize)
    suite.write("def check(version): assert version == '1.1.0'\n", "helper.py")
    suite.write("import helper\ndef test_version(): helper.check('1.0.0')\n")
    ended = suite.run()
    assert ended.verdicts() == {"test_version": "PASSED"}
    assert ended.status == 6, ended.output
    assert any("without assertions" in text for text in ended.found.why)


def test_bench_error_is_repeated_as_often_as_allowed(replay):
    ended = replay(
        """
        from bench.errors import InstrumentError
        def test_bench():
            with open("tries", "a") as tries: tries.write("x")
            raise InstrumentError("psu: no answer", help="switch it on")
        def test_other(): pass
        """,
        "--bench-retries=2",
    )
    assert (ended.folder / "tries").read_text() == "xxx"
    assert ended.status == 3, ended.output
    assert ended.verdicts() == {"test_bench": "BENCH_ERROR", "test_other": "PASSED"}
    # each attempt, and the verdict of the run
    assert len(list((ended.folder / "results" / "allure").glob("*-result.json"))) == 4 + 1
    assert not [text for text in ended.found.why if "Allure" in text]


@pytest.mark.parametrize("strict", [False, True])
def test_unexpected_pass(replay, strict):
    ended = replay(
        f"import pytest\n@pytest.mark.xfail(strict={strict})\ndef test_x(): pass\ndef test_y(): pass\n"
    )
    assert ended.status == 6, ended.output
    assert ended.verdicts() == {"test_x": "XPASS", "test_y": "PASSED"}


def test_expected_failure_is_a_failure(replay):
    ended = replay("import pytest\n@pytest.mark.xfail\ndef test_x(): assert 0\ndef test_y(): pass\n")
    assert ended.status == 1, ended.output


def test_teardown_error(replay):
    ended = replay(
        """
        import pytest
        @pytest.fixture
        def bad():
            yield
            raise ValueError("not closed")
        def test_bad(bad): pass
        """
    )
    assert ended.status == 6, ended.output
    assert ended.verdicts() == {"test_bad": "PASSED_TEARDOWN_BAD"}


def test_what_a_teardown_asserts_is_about_the_product(replay):
    ended = replay(
        """
        import pytest
        @pytest.fixture
        def judged():
            yield
            assert 0, "the factory area has changed"
        def test_bad(judged): pass
        """
    )
    assert ended.status == 1, ended.output
    assert ended.verdicts() == {"test_bad": "FAILED"}


def test_same_test_on_two_boards(replay):
    ended = replay(
        """
        import pytest
        @pytest.mark.parametrize("board", ["a", "b"])
        def test_update(board): assert board == "b"
        """
    )
    assert ended.verdicts() == {"test_update[a]": "FAILED", "test_update[b]": "PASSED"}
    assert ended.status == 1


@POSIX
def test_disk_full(replay):
    """A limit on the size of files is the full disk that a test can make without being root."""
    ended = replay(
        """
        import glob, os, resource
        def test_before(): pass
        def test_fills():
            size = os.path.getsize(glob.glob("results/runs/*/ledger.jsonl")[0])
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, resource.RLIM_INFINITY))
        def test_after(): pass
        """
    )
    assert ended.status == 3, ended.output
    assert "the ledger cannot be written" in ended.output
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert read_lines(ended) > 3


def read_lines(ended):
    return len(ended.ledger.read_bytes().splitlines())


@pytest.mark.parametrize("by", [-3600, 3600])
def test_clock_stepped(replay, by):
    ended = replay(
        f"""
        import time
        true = time.time
        def test_before(): pass
        def test_steps(): time.time = lambda: true() + {by}
        """
    )
    assert ended.status == 6, ended.output
    assert any("clock was stepped" in text for text in ended.found.why)


def test_results_folder_used_again(suite):
    suite.write("def test_a(): assert 0\n")
    first = suite.run()
    assert first.status == 1
    suite.write("def test_a(): pass\n")
    second = suite.run()
    assert second.run != first.run
    assert second.status == 6, second.output
    assert any("is of another run" in text for text in second.found.why)


def test_deselected_test(replay):
    text = "def test_a(): pass\ndef test_b(): pass\n"
    assert replay(text, "-k", "test_a").status == 6
    ended = replay(text, "-k", "test_a", "--clean-alluredir")
    assert ended.verdicts() == {"test_a": "PASSED", "test_b": "NOT_RUN"}
    assert ended.status == 6, ended.output
    assert replay(text, "--deselect", "test_suite.py::test_b", "--clean-alluredir").status == 6
    assert replay(text, "--clean-alluredir").status == 0


@pytest.mark.parametrize("option", ["python_functions=test_a", "python_files = test_s*.py"])
def test_tests_that_are_none_for_once(suite, option):
    suite.write("def test_a(): pass\n")
    suite.write("def test_b(): pass\n", "test_other.py")
    ended = suite.run("-o", option)
    assert ended.status == 6, ended.output
    assert any("left out tests that are in no plan" in text for text in ended.found.why)


@pytest.mark.parametrize("option", ["--power-cuts=0", "--soak=0", "--soak=-1", "--power-cuts=some"])
def test_nothing_done_is_no_pass(replay, option):
    """A testcase that repeats something no time at all would be green."""
    ended = replay("def test_a(soak, power_cuts): pass\n", option)
    assert ended.status == 4, ended.output
    assert option.partition("=")[0] in ended.output


def test_one_cut_is_no_sweep(replay):
    ended = replay("def test_a(): pass\n", "--cut=3")
    assert ended.status == 6, ended.output
    assert "only this cut was done" in ended.output


def test_a_part_of_a_sweep_is_none(replay):
    ended = replay("def test_a(): pass\n", "--sweep-part=3/8")
    assert ended.status == 6, ended.output
    assert "--sweep-part 3/8: of every 8 flash operations the sweeps cut one" in ended.output


def test_the_one_part_of_one_is_the_sweep(replay):
    assert replay("def test_a(): pass\n", "--sweep-part=1/1").status == 0


@pytest.mark.parametrize("part", ["0/8", "9/8", "3", "3/0", "x/y", ""])
def test_what_is_no_part_is_told_before_anything_runs(replay, part):
    ended = replay("def test_a(): pass\n", f"--sweep-part={part}")
    assert ended.status == 4, ended.output
    assert "is no part of a sweep" in ended.output


def test_sweeps_come_last(replay):
    ended = replay(
        """
        import pytest
        @pytest.fixture
        def cut_everywhere(): pass
        def test_sweep(cut_everywhere): pass
        def test_a(): pass
        """
    )
    assert "the bench's fixture 'cut_everywhere' is replaced" in ended.output  # and so it proves nothing
    starts = [line["node"] for line in read(ended.ledger).lines if line["kind"] == "start"]
    assert [node.rpartition("::")[2] for node in starts] == ["test_a", "test_sweep"]


def test_ended_at_the_first_failure(replay):
    ended = replay("def test_a(): raise ValueError('x')\ndef test_b(): pass\n", "-x")
    assert ended.verdicts() == {"test_a": "INCONCLUSIVE", "test_b": "NOT_RUN"}
    assert ended.status == 6


def test_file_that_skips_itself(suite):
    suite.write("def test_a(): pass\n")
    suite.write("import pytest\npytest.skip('not today', allow_module_level=True)\n", "test_other.py")
    ended = suite.run()
    assert ended.status == 6, ended.output
    assert "not collected (skipped): test_other.py" in ended.output


def test_skipped_test_was_not_run(replay):
    ended = replay("import pytest\ndef test_a(): pytest.skip('later')\ndef test_b(): pass\n")
    assert ended.verdicts() == {"test_a": "NOT_RUN", "test_b": "PASSED"}
    assert ended.status == 6


def test_report_painted_green(suite):
    suite.write(
        """
        import pytest
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report
        """,
        "conftest.py",
    )
    suite.write("def test_a(): assert 0\n")
    ended = suite.run()
    assert ended.status == 1, ended.output
    assert ended.verdicts() == {"test_a": "FAILED"}


def test_tampered_ledger(replay):
    ended = replay("def test_a(): pass\ndef test_b(): raise ValueError('odd')\n")
    whole = ended.ledger.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in (
        whole.replace(b'"cause":"other"', b'"cause":"none"'),
        b"".join(line for line in lines if b"test_b" not in line),
        b"".join(lines[:4] + lines[5:]),
        whole + lines[-1],
        whole + b"{",
        b"",
    ):
        ended.ledger.write_bytes(changed)
        assert ended.found.decision is not Decision.GO
        assert ended.found.exit_status != 0


def test_allure_result_removed_or_repainted(replay):
    """What Allure shows is compared while the run ends; here it is changed by the last teardown."""
    ended = replay(
        """
        import json, pathlib, pytest
        def test_a(): pass
        def test_b():
            for file in pathlib.Path("results/allure").glob("*-result.json"):
                file.write_text(file.read_text().replace('"status": "passed"', '"status": "failed"'))
        """
    )
    assert ended.status == 6, ended.output
    assert any("test_a is PASSED, Allure shows failed" in text for text in ended.found.why)


def test_junit_has_the_requirements(replay):
    known = "LightweightM2M-1.0-int-776"
    ended = replay(
        f"import pytest\n@pytest.mark.requirement({known!r})\ndef test_a(): pass\n", "--junitxml=junit.xml"
    )
    assert ended.status == 0, ended.output
    tree = xml.etree.ElementTree.parse(ended.folder / "junit.xml")
    (case,) = [one for one in tree.iter("testcase") if one.get("name") == "test_a"]
    found = {one.get("name"): one.get("value") for one in case.iter("property")}
    assert found == {"requirement": known, "run": ended.run.name, "verdict": "PASSED"}


def test_ordinary_runs_are_left_alone(suite):
    suite.write("def test_a(): pass\ndef test_b(): assert 0\n")
    ended = suite.run("-k", "test_a", ledger=False)
    assert ended.status == 0
    assert not (ended.folder / "results" / "runs").exists()
    assert "verdict" not in ended.output


def test_provenance(replay):
    ended = replay("def test_a(): pass\n", "--seed=7")
    begin = json.loads(ended.ledger.read_text().splitlines()[0])
    assert begin["seed"] == 7
    assert begin["run"] == ended.run.name
    assert begin["packages"]["pytest"] == pytest.__version__
    assert {"git_revision", "git_dirty", "bench_sha256", "python"} <= set(begin)


def test_what_nothing_shows_is_inconclusive_and_not_repeated(replay):
    """A positive control that is missing is neither the product's nor cured by a repetition."""
    ended = replay(
        """
        from bench.errors import Inconclusive
        def test_absent(): raise Inconclusive("no line matches", help="correct the pattern")
        """
    )
    assert ended.verdicts() == {"test_absent": "INCONCLUSIVE"}
    assert ended.found.decision is Decision.INCONCLUSIVE
    assert "INCONCLUSIVE during call: no line matches" in ended.output
    assert "help: correct the pattern" in ended.output
