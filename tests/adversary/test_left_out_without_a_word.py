"""What was not tried is told, and what the bench could have tried keeps a sign-off from GO."""

from __future__ import annotations

import datetime

import pytest
from made_runs import TESTS, board, made

from bench.signoff.assessment import assess
from bench.signoff.decision import Decision

NOW = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)


def assessed(*runs):
    return assess(runs, None, [], NOW)


def left_out(found):
    return [text for text in found.why if text.startswith("LEFT OUT: ")]


def test_all_of_it_is_go():
    found = assessed(made())
    assert found.decision is Decision.GO, found.why
    assert found.first == ()


def test_one_board_of_the_bench_file():
    found = assessed(made(boards={"one": board("SN-1")}))
    assert found.decision is Decision.INCONCLUSIVE
    assert left_out(found) == ["LEFT OUT: board two (SN-2) of the bench file"]
    assert found.first == ("SELECTION: without two of the bench file",)


def test_another_run_of_the_other_board_makes_up_for_it():
    one, two = made(boards={"one": board("SN-1")}), made("later", boards={"two": board("SN-2")})
    assert assessed(one, two).decision is Decision.GO


def test_board_that_was_there_and_tried_nothing():
    found = assessed(made(boards={"one": board("SN-1"), "two": board("SN-2")}, deselected=TESTS[:1]))
    assert found.decision is Decision.INCONCLUSIVE
    assert found.first == ("SELECTION: 2 of 4 tests were deselected",)


@pytest.mark.parametrize(
    "begin", [{}, {"arguments": [f"testcases/{TESTS[0]}[one]"]}], ids=["by the environment", "by name"]
)
def test_testcase_that_was_not_even_planned(begin):
    """Other node IDs, or an `if` around its definition: every must is shown by the others."""
    found = assessed(made(tests=TESTS[:1], begin=begin))
    assert found.decision is Decision.INCONCLUSIVE
    assert left_out(found) == [f"LEFT OUT: 1 of 2 testcases of the bench: {TESTS[1]}"]


def test_testcases_of_a_project_are_its_own():
    found = assessed(made(tests=("test_ours.py::test_ours",)))
    assert found.decision is Decision.GO, found.why
    assert any("of the bench's testcases are in no run's plan" in text for text in found.attention)


def test_nothing_of_what_is_left_out_is_cut_off():
    named = {f"board-{n:03}": f"SN-{n:03}" for n in range(50)}
    found = assessed(made(named={"one": "SN-1", "two": "SN-2", **named}))
    assert len(left_out(found)) == 50
