"""Where a secret of a bench file is, if it is not in the file itself."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST = 4096
"""Bytes of a file with a secret."""


def found_secret(given: str) -> str:
    """The secret itself. `given` is it, or "env:NAME", "file:/PATH", "file:~/PATH", "keyring:SERVICE/NAME".

    Raises `ValueError`, which tells no secret.
    """
    if not is_elsewhere(given):
        return given
    kind, _, where = given.partition(":")
    return _FROM[kind](where).strip()


def is_elsewhere(given: str) -> bool:
    """Whether the file says only where the secret is."""
    return given.partition(":")[0] in _FROM and ":" in given


def _from_environment(name: str) -> str:
    found = os.environ.get(name)
    if found is None:
        raise ValueError(f"the environment has no variable {name}")
    return found


def _from_file(name: str) -> str:
    path = Path(name).expanduser()
    if not path.is_absolute() or not path.is_file():
        raise ValueError(f"{name} is no absolute path of a file")
    with path.open(encoding="utf-8") as opened:
        return opened.read(LONGEST)


def _from_keyring(name: str) -> str:
    try:
        import keyring
    except ImportError:
        raise ValueError("the package keyring is not installed: pip install keyring") from None
    service, _, user = name.partition("/")
    found: str | None = keyring.get_password(service, user)
    if found is None:
        raise ValueError(f"the keyring has nothing for {name}")
    return found


_FROM = {"env": _from_environment, "file": _from_file, "keyring": _from_keyring}
