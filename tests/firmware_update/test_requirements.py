"""Requirements are data; a project adds its own."""

from __future__ import annotations

import pytest

from bench.errors import ConfigError
from bench.firmware_update.requirements import REQUIREMENTS, requirements_with


def test_what_the_bench_knows():
    assert REQUIREMENTS["LightweightM2M-1.0-int-776"].kind == "oma"
    assert {one.kind for one in REQUIREMENTS.values()} == {"oma", "lwm2m", "project"}
    assert requirements_with(None) is REQUIREMENTS


def test_those_of_a_project(tmp_path):
    file = tmp_path / "own.toml"
    file.write_text('[acme]\n"ACME-17" = "the lamp is green"\n')
    known = requirements_with(file)
    assert known["ACME-17"].text == "the lamp is green"
    assert known.keys() - REQUIREMENTS.keys() == {"ACME-17"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[acme]\nA = 1\n", "acme.A: no text"),
        ('[acme]\nA = " "\n', "acme.A: no text"),
        ('A = "text"\n', "A.A: no text"),
        ('[a]\nX = "x"\n[b]\nX = "x"\n', "X is listed twice, as a and b"),
        ('[a]\n"LightweightM2M-1.0-int-776" = "x"\n', "is the ID of another requirement"),
        ("[a\n", "no list of requirements can be read"),
        (None, "no list of requirements can be read"),
    ],
)
def test_list_that_is_none(tmp_path, text, message):
    file = tmp_path / "own.toml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        requirements_with(file)
