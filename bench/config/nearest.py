"""The known name that somebody who made a slip of the pen meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 100
"""Characters of a word that is compared; nothing longer was meant to be a name."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The most similar of the known names, or None where none is similar. Case does not matter."""
    names = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word[:LONGEST].casefold(), names, n=1)
    return names[found[0]] if found else None


def suggestion(word: str, known: Iterable[str], what: str) -> str:
    """The cure for an unknown name: the nearest one, or else all there are, called `what`."""
    names = sorted(known)
    found = nearest(word, names)
    return f"did you mean {found!r}?" if found is not None else f"{what}: {', '.join(names) or 'none'}"
