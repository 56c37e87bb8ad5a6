"""Every testcase stands on a row of the catalogue, and the catalogue on keys that a board file has."""

from __future__ import annotations

import typing

import pytest
from collected import collected
from pydantic import BaseModel

from bench.config import BoardType, ProcessType
from bench.config.board_type import CAPABILITIES
from bench.config.profile import DeviationName
from bench.requirements import CATALOGUE
from bench.requirements.testcases import TESTCASES


@pytest.fixture(scope="module")
def found():
    return collected()


def test_each_testcase_names_a_row(found):
    shown, _ = found
    assert len(shown) > 100
    assert [name for name, rows in shown.items() if not rows] == [], "give it @pytest.mark.requirement(...)"


def test_each_named_row_exists_and_can_be_shown(found):
    _, named = found
    ids = {row for rows in named.values() for row in rows}
    assert ids - CATALOGUE.keys() == set()
    contradicted = {row for row in ids & CATALOGUE.keys() if CATALOGUE[row].not_testable}
    assert contradicted == set(), "not testable, says the catalogue, and a testcase shows it"


def test_each_marker_with_a_parameter_finds_a_test(found):
    """`requirement("...", transport="htp")` would show nothing, and nobody would see it."""
    shown, named = found
    assert named == shown


def test_the_packaged_list_is_that_of_the_testcases(found):
    shown, _ = found
    packaged = {name: list(rows) for name, rows in TESTCASES.items()}
    assert packaged == shown, "run `python tests/requirements/collected.py`"


def models_in(annotation):
    """The tables that a field may hold, however they are wrapped."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def keys_of(model):
    """Every key of a board file by its path, such as "profile.resets_in"."""
    for name, one in model.model_fields.items():
        yield name
        for inner in models_in(one.annotation):
            yield from (f"{name}.{key}" for key in keys_of(inner))


def board_file_keys():
    keys = {key for model in (BoardType, ProcessType) for key in keys_of(model)}
    keys |= {f"capabilities.{name}" for name in CAPABILITIES}
    return keys | {f"profile.deviations.{name}" for name in typing.get_args(DeviationName)}


def test_what_the_keys_of_a_board_file_are():
    keys = board_file_keys()
    assert {"profile.resets_in", "timeouts.boot", "supply.dead", "radio.knee", "images.limit"} <= keys
    assert {"capabilities.readback", "profile.deviations.downloading-not-shown"} <= keys
    assert "profile.resets" not in keys
    assert "capabilities.flying" not in keys


def test_each_key_is_one_of_a_board_file():
    known = board_file_keys()
    unknown = [
        (row.id, key)
        for row in CATALOGUE.values()
        for key in row.keys
        if key.removeprefix("board.") not in known
    ]
    assert unknown == []


def test_where_a_clause_could_not_be_checked_it_says_so():
    """A row without a clause is a promise of the product, or a test case that is its own clause."""
    assert {row.kind for row in CATALOGUE.values() if not row.clause} == {"project", "oma"}
