"""Other tables that a bench file names."""

from __future__ import annotations

from collections.abc import Iterator

from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.errors import ConfigError
from bench.firmware_update.requirements import requirements_with


def own_requirements(draft: Draft) -> Iterator[Finding]:
    """The project's list of requirements is there, and right."""
    named = draft.table("bench").get("requirements")
    if named is None:
        return
    try:
        requirements_with(draft.file.parent / named)
    except ConfigError as error:
        yield draft.finding(("bench", "requirements"), named, error.message, error.help)
