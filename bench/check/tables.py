"""Other tables that a bench file names."""

from __future__ import annotations

from collections.abc import Iterator

from bench.check.images import unreadable
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.errors import ConfigError
from bench.requirements import catalogue_with


def own_requirements(draft: Draft) -> Iterator[Finding]:
    """The project's list of requirements is there, and right."""
    named = draft.table("bench").get("requirements")
    if named is None:
        return
    if (wrong := unreadable(draft.file.parent / named)) is not None:
        yield draft.finding(("bench", "requirements"), named, *wrong)
        return
    try:
        catalogue_with(draft.file.parent / named)
    except ConfigError as error:
        for line in error.message.splitlines():
            yield draft.finding(("bench", "requirements"), named, line, error.help)
