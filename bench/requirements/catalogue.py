"""Reads the catalogue: the bench's own clauses, and a project's own list beside them.

A file has a table for each kind of requirement; in it a row is `ID = "text"`, or a table of its own:

    [acme]
    source = "ACME-SPEC 1.4"
    "ACME-17" = "the lamp is green"                      # a must

    [acme."ACME-18"]
    clause = "section 7"
    strength = "should"                                  # must, should or may
    text = "the lamp is green within a second"
    keys = ["timeouts.boot"]                             # of the board file, that bear on it
    not_testable = "why no testcase can show it"         # left out where one can
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from bench.config.table import Table
from bench.errors import ConfigError
from bench.outside_files import read_toml
from bench.requirements.requirement import Requirement, Strength
from bench.requirements.testcases import TESTCASES

CLAUSES = Path(__file__).with_name("clauses")
SOURCE = "source"
HELP = 'a table for each kind, in it ID = "what is to be shown"; see bench/requirements/catalogue.py'


class Row(Table):
    """A row as it is written."""

    text: str = Field(min_length=1, pattern=r"\S")
    clause: str = ""
    strength: Strength = Strength.MUST
    keys: tuple[str, ...] = ()
    not_testable: str = ""


def read_clauses(path: Path) -> dict[str, Requirement]:
    """ID -> requirement, of one file. Raises `ConfigError`."""
    kinds = read_toml(path, "a list of requirements", help=HELP)
    found: dict[str, Requirement] = {}
    for kind, rows in kinds.items():
        for requirement in _of_kind(path, kind, rows):
            if (other := found.setdefault(requirement.id, requirement)) is not requirement:
                raise ConfigError(
                    f"{path}: {requirement.id} is listed twice, as {other.kind} and {kind}", help="remove one"
                )
    return found


def _of_kind(path: Path, kind: str, rows: Any) -> Iterator[Requirement]:
    if not isinstance(rows, dict):
        raise ConfigError(f"{path}: {kind}.{kind}: no text", help=HELP)
    source = rows.get(SOURCE, "")
    for name, given in rows.items():
        if name == SOURCE and isinstance(given, str):
            continue
        if not (name.strip() and isinstance(given, str | dict)):
            raise ConfigError(f"{path}: {kind}.{name}: no text", help=HELP)
        try:
            row = Row.model_validate({"text": given} if isinstance(given, str) else given)
        except ValidationError as fault:
            raise ConfigError(
                "\n".join(f"{path}: {kind}.{name}: {_reason(error)}" for error in fault.errors()), help=HELP
            ) from None
        yield Requirement(
            name, row.text.strip(), kind, row.strength, source, row.clause, row.keys, row.not_testable
        )


def _reason(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    return "no text" if key == "text" else f"{key}: {error['msg']}"


def catalogue_with(path: Path | None) -> Mapping[str, Requirement]:
    """The bench's own clauses, and those of a project's list. Raises `ConfigError`."""
    if path is None:
        return CATALOGUE
    more = read_clauses(path)
    twice = sorted(CATALOGUE.keys() & more.keys())
    if twice:
        raise ConfigError(f"{path}: {twice[0]} is the ID of another requirement", help="give it another ID")
    return {**CATALOGUE, **more}


def _own() -> dict[str, Requirement]:
    found: dict[str, Requirement] = {}
    for file in sorted(CLAUSES.glob("*.toml")):
        for name, requirement in read_clauses(file).items():
            if name in found:
                raise ConfigError(f"{file}: {name} is listed in another file too", help="remove one")
            found[name] = requirement
    shown = {name for rows in TESTCASES.values() for name in rows}
    return {name: row if name in shown else replace(row, gap=True) for name, row in found.items()}


CATALOGUE: Mapping[str, Requirement] = _own()
"""The bench's own clauses."""
