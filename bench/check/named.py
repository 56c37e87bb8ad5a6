"""Python objects that a bench file names: its plant, and who builds images."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.names import load_name
from bench.config.nearest import nearest
from bench.config.shape import Part
from bench.errors import ConfigError


@runtime_checkable
class Opens(Protocol):
    """What every plant has that is a class (`bench.station.plant`)."""

    def start(self) -> Any: ...

    def flash_stage(self, board: str) -> Any: ...

    def close(self) -> None: ...


def plants_and_providers(draft: Draft) -> Iterator[Finding]:
    """They can be imported, and called."""
    named: list[tuple[Sequence[Part], str]] = []
    if "plant" in draft.table("bench"):
        named.append((("bench", "plant"), draft.table("bench")["plant"]))
    for board in draft.boards:
        images = draft.table("boards", board, "images")
        if board in draft.wanted and "provider" in images:
            named.append((("boards", board, "images", "provider"), images["provider"]))
    for key, name in named:
        try:
            found = load_name(name, "")
        except ConfigError as error:
            reason = error.message.removeprefix(f" = {name!r}: ")
            yield draft.finding(key, name, reason, _cure(name, error.help))
            continue
        if not callable(found):
            yield draft.finding(key, name, "cannot be called", "name a function or a class")
        elif isinstance(found, type) and key == ("bench", "plant") and not issubclass(found, Opens):
            reason = "is no plant: it has not all of start, flash_stage and close"
            yield draft.finding(key, name, reason, "name a class as bench.station.plant tells it")


def _cure(name: str, usual: str) -> str:
    module, _, attribute = name.partition(":")
    try:
        near = nearest(attribute, dir(importlib.import_module(module)))
    except Exception:  # whatever a module that cannot be imported raises
        return usual
    return f"did you mean {module}:{near}?" if near is not None else usual
