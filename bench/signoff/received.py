"""A folder that came from somebody: looked at before anything in it is opened, and read within limits.

A pipe would be waited for, a device never ends, a link leads elsewhere, and a file of a few bytes can say
that it is larger than any disk. None of these has a place in a sign-off.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import FileError
from bench.outside_files import read_json
from bench.signoff import folder, manifest

DEEPEST = 16
"""Folders in folders; a sign-off's own are four."""
MOST = 200_000
"""Files and folders."""
LARGEST = 4 << 30
"""Bytes of a file; the longest current traces are a tenth of that."""
ALTOGETHER = 64 << 30
"""Bytes of all files."""
READ_WHOLE = 128 << 20
"""Bytes of what is read into memory, such as a ledger; as tables that is some ten times as much."""
OF_NAME = {
    folder.JSON: 32 << 20,
    manifest.MANIFEST: 64 << 20,
    manifest.SIGNATURE: 64 << 10,
    folder.WAIVERS: 1 << 20,
}
"""Bytes of those of which less is enough."""


def faults_of(path: Path) -> list[str]:
    """What has no place in a sign-off, one line each; nothing is opened."""
    found: list[str] = []
    number = total = 0
    for name, state, depth in _entries(path, "", 0):
        number += 1
        if number > MOST:
            return [*found, f"it holds more than {MOST} files"]
        if depth > DEEPEST:
            return [*found, f"{name[:120]} lies deeper than {DEEPEST} folders"]
        why = _wrong(name, state)
        if why is not None:
            found.append(f"{name} {why}")
            continue
        total += state.st_size if state is not None and stat.S_ISREG(state.st_mode) else 0
        if total > ALTOGETHER:
            return [*found, f"it holds more than {ALTOGETHER >> 30} GiB"]
    return found


def _entries(path: Path, inside: str, depth: int) -> Iterator[tuple[str, os.stat_result | None, int]]:
    """Everything below `path`: its name, its state (None where there is none to be had), how deep it lies."""
    try:
        with os.scandir(path) as listed:
            entries = sorted(listed, key=lambda one: one.name)
    except OSError:
        yield inside or ".", None, depth
        return
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        try:
            state = entry.stat(follow_symlinks=False)
        except OSError:
            yield name, None, depth
            continue
        yield name, state, depth
        if stat.S_ISDIR(state.st_mode) and depth <= DEEPEST:
            yield from _entries(Path(entry.path), name, depth + 1)


def _wrong(name: str, state: os.stat_result | None) -> str | None:
    if state is None:
        return "cannot be read"
    if stat.S_ISDIR(state.st_mode):
        return None
    if stat.S_ISLNK(state.st_mode):
        return "is a link"
    if not stat.S_ISREG(state.st_mode):
        return "is no file"
    last = name.rpartition("/")[2]
    limit = OF_NAME.get(name, READ_WHOLE if last.endswith((".json", ".jsonl")) else LARGEST)
    return None if state.st_size <= limit else f"has {state.st_size} bytes, at most {limit} are read"


def json_of(file: Path) -> dict[str, Any]:
    """What a JSON file holds. Raises `FileError` for what is none, names a key twice, is too deep."""
    told = read_json(file, "a sign-off", limit=OF_NAME[folder.JSON])
    if not isinstance(told, dict):
        raise FileError(file, "is not a sign-off: it is no table", help="ask for the sign-off as it was made")
    return told
