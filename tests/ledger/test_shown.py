"""A requirement marker that names a parameter counts for the tests alone that have it."""

from __future__ import annotations

import json

TESTCASES = """
    import enum
    import pytest

    class Way(enum.Enum):
        HTTP, COAP = "http", "coap"

    @pytest.mark.requirement("FOTA-SERVER")
    @pytest.mark.requirement("RFC9110-15.4-follow", way="http")
    @pytest.mark.requirement("RFC7959-2.4-etag", way=("coap", "coaps"))
    @pytest.mark.parametrize("way", Way, ids=lambda way: way.value)
    def test_fetched(way): pass

    @pytest.mark.requirement("FOTA-SERVER", way="http")
    def test_without(): pass
"""


def test_each_test_shows_its_own(replay):
    ended = replay(TESTCASES)
    lines = [json.loads(line) for line in ended.ledger.read_text().splitlines()]
    (plan,) = (line for line in lines if line["kind"] == "plan")
    shown = {row["node"].rpartition("::")[2]: row["requirements"] for row in plan["tests"]}
    assert shown == {
        "test_fetched[http]": ["FOTA-SERVER", "RFC9110-15.4-follow"],
        "test_fetched[coap]": ["FOTA-SERVER", "RFC7959-2.4-etag"],
        "test_without": [],
    }


def test_plan_knows_what_it_could_have_been(replay):
    ended = replay("def test_ok(): pass")
    lines = [json.loads(line) for line in ended.ledger.read_text().splitlines()]
    (plan,) = (line for line in lines if line["kind"] == "plan")
    assert "test_successful_update.py::test_push_succeeds" in plan["testcases"]
