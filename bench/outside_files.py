"""Files from outside: what a user names, or somebody has handed over, is read here and within limits.

A pipe would be waited for, a device never ends, and a file of a few bytes can say that it is larger than any
disk: only regular files are opened (links to one are followed: builds are linked), and no more is read than
such a file can have. What is wrong is one kind of error, a `FileError`: the file, what is wrong, a cure.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from bench.errors import FileError

TEXT = 1 << 20
"""Bytes of a file that people write: tables, lists, waivers, keys and certificates."""
RECORD = 64 << 20
"""Bytes of a file that a run writes: figures, coverage."""
IMAGE = 256 << 20
"""Bytes of a firmware image or a part of one; no flash that the bench knows has a tenth of that."""
DEEPEST = 100
"""Tables or lists in one another."""
MOST = 1_000_000
"""Values of a file, at any depth."""


def read_bytes(path: Path, what: str, *, limit: int = TEXT, help: str = "name the right file") -> bytes:
    """The content of a regular file. `what` is what it should be: "an image".

    Raises `FileError` for what cannot be read, is no file, or has more than `limit` bytes.
    """
    try:
        # a pipe would be waited for: it is opened without, and then looked at
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as opened:
            state = os.fstat(handle)
            if stat.S_ISDIR(state.st_mode):
                raise FileError(path, "is a directory", help="name a file in it")
            if not stat.S_ISREG(state.st_mode):
                raise FileError(path, f"is no regular file, and so not {what}", help=help)
            if state.st_size > limit:
                raise _too_long(path, what, limit, help)
            data = opened.read(limit + 1)
    except FileNotFoundError:
        raise FileError(path, "does not exist", help=help) from None
    except IsADirectoryError:
        raise FileError(path, "is a directory", help="name a file in it") from None
    except (OSError, ValueError, MemoryError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault) or type(fault).__name__
        raise FileError(path, f"cannot be read: {reason}", help="correct its name or its rights") from None
    if len(data) > limit:
        raise _too_long(path, what, limit, help)  # it grew meanwhile
    return data


def why_not_regular(path: Path) -> str:
    """Why a library that opens files by itself must not open this; "" for a file, or where there is none."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    return "" if stat.S_ISREG(mode) else "is a directory" if stat.S_ISDIR(mode) else "is no regular file"


def read_text(path: Path, what: str, *, limit: int = TEXT, help: str = "name the right file") -> str:
    """The same in UTF-8. Raises `FileError`."""
    data = read_bytes(path, what, limit=limit, help=help)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise FileError(
            path, f"is not UTF-8: line {line} has the byte {data[fault.start]:#04x}", help="save it as UTF-8"
        ) from None


def read_json(path: Path, what: str, *, limit: int = RECORD, help: str = "name the right file") -> Any:
    """What a JSON file holds, of which no table names a key twice. Raises `FileError`."""
    text = read_text(path, what, limit=limit, help=help)
    try:
        told = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise _too_deep(path, help) from None
    except (ValueError, MemoryError) as fault:
        raise FileError(path, f"is not {what}: no JSON: {fault}", help=help) from None
    return _within(path, told, help)


def read_toml(
    path: Path, what: str, *, limit: int = TEXT, help: str = "name the right file"
) -> dict[str, Any]:
    """The tables of a TOML file. Raises `FileError`."""
    text = read_text(path, what, limit=limit, help=help)
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(path, help) from None
    except (ValueError, MemoryError) as fault:
        raise FileError(path, f"is not {what}: no TOML: {fault}", help=help) from None
    _within(path, tables, help)
    return tables


def too_large(told: Any) -> str:
    """Whether what was read is nested too deep or has too many values, in words; "" for neither."""
    number, waiting = 0, [(told, 1)]
    while waiting:  # without recursion, which is what is being looked for
        value, depth = waiting.pop()
        number += 1
        if depth > DEEPEST:
            return f"has tables in tables, more than {DEEPEST} deep"
        if number > MOST:
            return f"has more than {MOST} values"
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(item, depth + 1) for item in inside]
    return ""


def _within(path: Path, told: Any, help: str) -> Any:
    wrong = too_large(told)
    if wrong:
        raise FileError(path, wrong, help=help)
    return told


def _too_long(path: Path, what: str, limit: int, help: str) -> FileError:
    return FileError(path, f"has more than {limit} bytes: that is not {what}", help=help)


def _too_deep(path: Path, help: str) -> FileError:
    return FileError(path, f"has tables in tables, more than {DEEPEST} deep", help=help)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of two that are named alike one reader takes the first, another one the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it names a key twice")
    return found
