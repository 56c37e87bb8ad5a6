"""A mistake in a file, and how several of them become one error."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.config.nearest import nearest
from bench.config.shape import dotted
from bench.errors import ConfigError

SHOWN = 80
"""Characters of a value that a message shows."""
NOT_SECRET = ("psk_identity", "certificate_name")
"""What may be shown of a table with credentials."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake: where, what stands there, why that is wrong, what to do.

    `key` is dotted from the top of `file`, "" for the file as a whole; `value` is as `shown` makes it, ""
    where there is none to show.
    """

    file: Path
    key: str
    value: str
    reason: str
    cure: str

    def __str__(self) -> str:
        """One line, without the cure."""
        place = " = ".join(part for part in (self.key, self.value) if part)
        return f"{self.file}: {place}: {self.reason}" if place else f"{self.file} {self.reason}"


class Mistakes(ConfigError):
    """Everything that is wrong with a bench file and what it names: one line for each finding."""

    def __init__(self, file: Path, findings: Sequence[Finding]) -> None:
        self.file = file
        self.findings = tuple(findings)
        if len(self.findings) == 1:
            super().__init__(str(self.findings[0]), help=self.findings[0].cure)
            return
        lines = [f"{finding}; {finding.cure}" for finding in self.findings]
        super().__init__(
            "\n  ".join([f"{len(lines)} mistakes, in {file} or what it names", *lines]),
            help="correct them; nothing was opened or powered",
        )


def shown(key: str, value: Any) -> str:
    """A value as a message may show it: short, on one line, never a secret; of a table the keys alone."""
    if value is None or _is_secret(key):
        return ""
    if isinstance(value, dict):
        return _short("{" + ", ".join(map(str, value)) + "}") if value else "{}"
    if isinstance(value, (list, tuple)):
        if any(isinstance(item, (dict, list)) for item in value):
            return ""
        return _short("[" + ", ".join(shown(key, item) for item in value[:SHOWN]) + "]")
    if isinstance(value, (datetime.date, datetime.time)):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()  # as TOML writes it
    text = repr(str(value)) if isinstance(value, Path) else repr(value)
    return "" if "@" in text else _short(text)  # a URL may hold a password


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _is_secret(key: str) -> bool:
    """Whether a key's value could be a secret: one misspelt, or in a wrong table, is one too."""
    *tables, name = key.split(".")
    name = re.sub(r"\[\d+\]$", "", name)
    if name in NOT_SECRET:
        return False
    inside = any(nearest(table, ["security"]) for table in tables)
    return (
        inside
        or re.search(r"psk|secret|passw", name, re.IGNORECASE) is not None
        or bool(nearest(name, ["psk_key"]))
    )


def in_order(findings: Iterable[Finding], file: Path, tables: dict[str, Any]) -> list[Finding]:
    """Each once, those in `file` first, as their keys follow one another there."""
    rank = {key: number for number, key in enumerate(_keys(tables, ()))}

    def place(found: Finding) -> tuple[bool, str, int]:
        key = found.key
        while key and key not in rank:
            key = re.sub(r"(^|[.\[])[^.\[]*$", "", key)
        return found.file != file, str(found.file), rank.get(key, -1) if found.file == file else 0

    return sorted(dict.fromkeys(findings), key=place)


def _keys(tables: dict[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    for name, value in tables.items():
        yield dotted((*above, name))
        if isinstance(value, dict):
            yield from _keys(value, (*above, name))
