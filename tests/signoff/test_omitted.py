"""A testcase of the bench that no run has planned is visible in the sign-off."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import pytest
from signoff_rig import sign_off

from bench.requirements.testcases import TESTCASES
from bench.signoff.assessment import assess
from bench.signoff.decision import Decision
from bench.signoff.folder import places_given
from bench.signoff.run import read_run

NOW = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
TOLD = "of the bench's testcases are in no run's plan"


def test_it_is_told_and_does_not_decide(healthy, tmp_path):
    """The rig's testcases are none of the bench's: all of those are missing."""
    found = sign_off(healthy, tmp_path / "out")
    assert found.decision is Decision.GO
    assert set(found.omitted) == TESTCASES.keys()
    assert any(text.startswith(f"{len(TESTCASES)} {TOLD}: ") for text in found.attention)
    told = json.loads((tmp_path / "out" / "signoff.json").read_text())
    assert set(told["omitted"]) == TESTCASES.keys()


@pytest.mark.parametrize(
    ("has", "omitted"),
    [
        ({"test_suite.py::test_installed", "test_suite.py::test_elsewhere"}, ()),
        ({"test_suite.py::test_installed", "test_gone.py::test_gone"}, ("test_gone.py::test_gone",)),
        ({"test_other.py::test_installed"}, ("test_other.py::test_installed",)),
        (set(), ()),  # a ledger of a bench that did not write them down
    ],
)
def test_by_file_and_function(healthy_run, has, omitted):
    (places,) = places_given(healthy_run)
    found = assess([replace(read_run(places), testcases=frozenset(has))], None, [], NOW)
    assert found.omitted == omitted
    assert any(TOLD in text for text in found.attention) is bool(omitted)


def test_another_run_that_has_planned_it_makes_up_for_it(healthy_run):
    (places,) = places_given(healthy_run)
    run = read_run(places)
    name = "test_gone.py::test_gone"
    lacks = replace(run, testcases=frozenset({name}))
    row = replace(run.verdict.plan[0], node=f"testcases/{name}[nrf9160]")
    verdict = replace(run.verdict, plan=(row,), tests={row.node: run.verdict.tests[run.verdict.plan[0].node]})
    assert assess([lacks], None, [], NOW).omitted == (name,)
    assert assess([lacks, replace(lacks, verdict=verdict)], None, [], NOW).omitted == ()
