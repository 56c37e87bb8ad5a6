"""The catalogue is data; a project adds its own."""

from __future__ import annotations

import pytest

from bench.errors import ConfigError
from bench.requirements import CATALOGUE, Requirement, Strength, catalogue_with
from bench.requirements.catalogue import CLAUSES, read_clauses


def test_what_the_bench_knows():
    row = CATALOGUE["LightweightM2M-1.0-int-776"]
    assert row.kind == "oma"
    assert row.strength is Strength.MUST
    assert catalogue_with(None) is CATALOGUE


@pytest.mark.parametrize("file", sorted(CLAUSES.glob("*.toml")), ids=lambda file: file.stem)
def test_each_row_names_its_document(file):
    rows = read_clauses(file)
    assert rows
    assert [row.id for row in rows.values() if not row.source] == []


def test_those_of_a_project(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text(
        '[acme]\nsource = "SPEC 1"\n"ACME-17" = "the lamp is green"\n'
        '[acme.ACME-18]\ntext = "at once"\nstrength = "should"\nclause = "7"\nkeys = ["timeouts.boot"]\n'
        '[acme.ACME-19]\ntext = "for ever"\nnot_testable = "no test lasts for ever"\n'
    )
    known = catalogue_with(file)
    assert known.keys() - CATALOGUE.keys() == {"ACME-17", "ACME-18", "ACME-19"}
    assert known["ACME-17"] == Requirement("ACME-17", "the lamp is green", "acme", source="SPEC 1")
    assert known["ACME-18"] == Requirement(
        "ACME-18", "at once", "acme", Strength.SHOULD, "SPEC 1", "7", ("timeouts.boot",)
    )
    assert known["ACME-19"].not_testable == "no test lasts for ever"


def test_as_a_ledger_holds_it():
    older = {"id": "A", "text": "t", "kind": "k"}
    assert Requirement.of_row(older) == Requirement("A", "t", "k", Strength.MUST)
    newer = {**older, "strength": "may", "source": "S", "clause": "1", "keys": ["a.b"], "not_testable": "x"}
    assert Requirement.of_row(newer) == Requirement("A", "t", "k", Strength.MAY, "S", "1", ("a.b",), "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[acme]\nA = 1\n", "acme.A: no text"),
        ('[acme]\nA = " "\n', "acme.A: no text"),
        ("[acme.A]\nclause = '1'\n", "acme.A: no text"),
        ('[acme.A]\ntext = "x"\nstrength = "shall"\n', "acme.A: strength: .*'must', 'should' or 'may'"),
        ('[acme.A]\ntext = "x"\nwhere = "y"\n', "acme.A: where: "),
        ('A = "text"\n', "A.A: no text"),
        ('[a]\nX = "x"\n[b]\nX = "x"\n', "X is listed twice, as a and b"),
        ('[a]\n"LightweightM2M-1.0-int-776" = "x"\n', "is the ID of another requirement"),
        ("[a\n", "is not a list of requirements: no TOML"),
        (None, "own.toml does not exist"),
    ],
)
def test_list_that_is_none(tmp_path, text, message):
    file = tmp_path / "own.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        catalogue_with(file)
