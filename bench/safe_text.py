"""Text that devices, instruments and strangers have chosen, made fit to be shown. The one place for it.

What goes to a terminal, a page, a report or a file of records passes through `safe`: no character of it acts
on whoever shows it (controls C0 and C1, by ECMA-48; bidirectional and other format characters, by Unicode's
categories Cc, Cf, Cs, Co, Zl, Zp), and no secret of the bench file stands in it, whoever has printed it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

MASK = "(secret)"
SHORTEST = 4
"""Characters of a secret that is masked: less would blacken every text."""
_KEPT = "\n\t "


class Secrets:
    """Values that are never to be shown, in whatever form a device prints them: as they are, or in
    hexadecimal digits, in either case, with or without something between its bytes.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, values: Iterable[str]) -> None:
        new = {value for value in values if len(value) >= SHORTEST} - self._values
        if new:
            self._values |= new
            longest_first = sorted(self._values, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(_forms, longest_first)), re.IGNORECASE)

    def masked(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _forms(value: str) -> str:
    """A pattern of all that shows the value."""
    forms = [re.escape(value)]
    if re.fullmatch(r"(?:[0-9a-fA-F]{2}){4,}", value):
        pairs = [value[n : n + 2] for n in range(0, len(value), 2)]
        forms.append(r"(?:0x|\\x)?" + r"(?:[ ,:-]{0,2}(?:0x|\\x)?)".join(pairs))
    else:
        forms.append(value.encode().hex())
    return "|".join(forms)


SECRETS = Secrets()
"""Those of the bench file that this process has read."""


def safe(text: str) -> str:
    """The text without what acts and without secrets. Line ends and tabs stay; the rest is told by number."""
    text = SECRETS.masked(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else _escaped(c) for c in text)


def safe_data(value: Any) -> Any:
    """The same for each text in JSON-able data."""
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, dict):
        return {key: safe_data(item) for key, item in value.items()}
    if isinstance(value, list):
        return [safe_data(item) for item in value]
    if isinstance(value, tuple):
        return tuple(safe_data(item) for item in value)
    return value


def _escaped(character: str) -> str:
    number = ord(character)
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
