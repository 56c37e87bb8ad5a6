"""Hooks and fixtures of a conftest or of another plug-in that answer for a testcase, or hide what it did."""

from __future__ import annotations

import json

import pytest

FAILS = "def test_a(): assert 1 == 2\n"
WRAPPER = "import pytest\n@pytest.hookimpl(wrapper=True, tryfirst=True)\n"


@pytest.mark.parametrize(
    ("conftest", "verdict", "status"),
    [
        (
            WRAPPER + "def pytest_runtest_makereport(item, call):\n call.excinfo = None\n return (yield)",
            "FAILED",
            1,
        ),
        (
            WRAPPER + "def pytest_runtest_call(item):\n try: return (yield)\n except Exception: return None",
            "FAILED",
            1,
        ),
        (
            WRAPPER
            + "def pytest_pyfunc_call(pyfuncitem):\n try: return (yield)\n except Exception: return 1",
            "FAILED",
            1,
        ),
        (
            WRAPPER + "def pytest_runtest_call(item):\n try: return (yield)\n"
            " except AssertionError: pytest.skip('not here')",
            "FAILED",
            1,
        ),
        (
            "import pytest\n@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem): return True",
            "INCONCLUSIVE",
            6,
        ),
        ("def pytest_collection_modifyitems(items):\n items[0].obj = lambda: None", "INCONCLUSIVE", 6),
        ("def pytest_collection_modifyitems(items):\n items[0].runtest = lambda: None", "INCONCLUSIVE", 6),
        (
            "def pytest_runtest_setup(item): item.function.__code__ = (lambda: None).__code__",
            "INCONCLUSIVE",
            6,
        ),
        (
            WRAPPER + "def pytest_sessionfinish(session):\n yield\n session.exitstatus = 0",
            "FAILED",
            1,
        ),
        (
            "import pytest\n@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(): pytest.exit('', 0)",
            "FAILED",
            1,
        ),
    ],
    ids=[
        *("taken out of the call", "swallowed around the call", "swallowed around the function", "skipped"),
        *(
            "answered for",
            "another function",
            "nothing runs",
            "other code",
            "other status",
            "exit at the end",
        ),
    ],
)
def test_a_failure_stays_one(suite, conftest, verdict, status):
    suite.write(FAILS)
    suite.write(conftest, "conftest.py")
    run = suite.run()
    assert run.verdicts() == {"test_a": verdict}, run.output
    assert run.status == status, run.output


def test_what_a_teardown_raises_is_not_hidden(suite):
    suite.write(
        """
        import pytest
        @pytest.fixture
        def board():
            yield
            assert "1.0.0" == "1.1.0"
        def test_a(board): pass
        """
    )
    hides = "def pytest_runtest_teardown(item):\n try: return (yield)\n except AssertionError: return None"
    suite.write(WRAPPER + hides, "conftest.py")
    run = suite.run()
    assert run.verdicts() == {"test_a": "FAILED"}


@pytest.mark.parametrize(
    "text",
    [
        "import functools\ndef twice(f):\n @functools.wraps(f)\n def g(): f(); f()\n return g\n"
        "@twice\ndef test_a(): pass",
        "class TestA:\n def test_a(self): pass\n @staticmethod\n def test_b(): pass\n"
        " @classmethod\n def test_c(cls): pass",
        "import unittest\nclass TestA(unittest.TestCase):\n def test_a(self): pass",
        "import pytest\n@pytest.mark.parametrize('n', [1, 2])\ndef test_a(n): pass",
    ],
    ids=["decorated", "methods", "unittest", "parametrized"],
)
def test_testcases_of_every_form_still_pass(suite, text):
    suite.write(text)
    run = suite.run()
    assert set(run.verdicts().values()) == {"PASSED"}, run.output
    assert run.status == 0


def test_harmless_hooks_change_nothing(suite):
    """As conftests have them, to look at what becomes of a test."""
    suite.write("def test_a(): pass\n")
    looks = "def pytest_runtest_makereport(item):\n report = yield\n item.report = report\n return report"
    suite.write(WRAPPER + looks, "conftest.py")
    assert suite.run().status == 0


@pytest.mark.parametrize("name", ["fixtures.vanished", "fixtures.ledger", "bench-ledger", "assertion"])
def test_no_part_of_the_bench_is_left_out(suite, name):
    suite.write(
        """
        import threading
        def test_a(bench_station=None):
            def look(): assert "1.0.0" == "1.1.0"
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        """
    )
    suite.write(
        "def pytest_addoption(parser):\n try: parser.addoption('--ledger', action='store_true')\n"
        " except ValueError: pass",
        "conftest.py",
    )
    started = suite.start("-p", f"no:{name}")
    output, _ = started.communicate(timeout=90)
    assert started.returncode == 4, output
    assert f"-p no:{name}: nobody would see" in output


@pytest.mark.parametrize(
    ("conftest", "told"),
    [
        ("def power_cuts(): return 0", "the bench's fixture 'power_cuts' is replaced by that of conftest"),
        ("def power_cuts(power_cuts): return power_cuts", None),
    ],
    ids=["replaced", "added to"],
)
def test_a_fixture_in_place_of_the_benchs_is_told(suite, conftest, told):
    suite.write("def test_a(power_cuts): pass\n")
    suite.write(f"import pytest\n@pytest.fixture\n{conftest}\n", "conftest.py")
    run = suite.run()
    assert [text for text in run.found.why if "fixture" in text] == ([told] if told else [])
    assert run.status == (6 if told else 0)


def test_secrets_of_other_plugins_are_not_in_the_ledger(suite):
    """Options of every plug-in are written down: such a plug-in's password goes to who gets the sign-off."""
    suite.write("def test_a(): pass\n")
    suite.write("def pytest_addoption(parser): parser.addoption('--jira-password')", "conftest.py")
    run = suite.run("--jira-password", "open-sesame")
    text = run.ledger.read_text("utf-8")
    assert "open-sesame" not in text
    begin = json.loads(text.splitlines()[0])
    assert begin["options"]["jira_password"] == "(secret)"
    assert "(secret)" in begin["arguments"]
