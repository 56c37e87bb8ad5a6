"""The requirements that testcases show, by their IDs: those of `requirements.toml`, and a project's own."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ConfigError

OWN = Path(__file__).with_name("requirements.toml")


@dataclass(frozen=True, slots=True)
class Requirement:
    """`kind` says who asks for it: "oma", "lwm2m", "project", or what a project calls it."""

    id: str
    text: str
    kind: str


def load(path: Path) -> dict[str, Requirement]:
    """ID -> requirement: a table for each kind, in it ID = text. Raises `ConfigError`."""
    try:
        kinds = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise ConfigError(
            f"{path}: no list of requirements can be read: {fault}",
            help="a table for each kind, in it ID = text; see bench/firmware_update/requirements.toml",
        ) from None
    found: dict[str, Requirement] = {}
    for kind, rows in kinds.items():
        for name, text in (rows if isinstance(rows, dict) else {kind: None}).items():
            if not (isinstance(text, str) and text.strip() and name.strip()):
                raise ConfigError(
                    f"{path}: {kind}.{name}: no text", help='write "ID" = "what is to be shown"'
                )
            if name in found:
                raise ConfigError(
                    f"{path}: {name} is listed twice, as {found[name].kind} and {kind}", help="remove one"
                )
            found[name] = Requirement(name, text, kind)
    return found


def requirements_with(path: Path | None) -> Mapping[str, Requirement]:
    """Those that the bench knows, and those of a project's own list. Raises `ConfigError`."""
    if path is None:
        return REQUIREMENTS
    more = load(path)
    twice = sorted(REQUIREMENTS.keys() & more.keys())
    if twice:
        raise ConfigError(f"{path}: {twice[0]} is the ID of another requirement", help="give it another ID")
    return {**REQUIREMENTS, **more}


REQUIREMENTS = load(OWN)
"""Those that the bench knows."""
