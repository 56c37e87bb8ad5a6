"""When two runs are one attempt at the same thing: the same tests on the same update, whatever was between.

Commit, title, results folder, a file that is changed elsewhere, or a kill make no other attempt. Another one
it is with another update image or another testcase, and with other sources of the bench where both are
committed: then the bench may have been mended.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def content_key(file: Path) -> str | None:
    """The content of a Python file, the same whatever its comments and blanks; None where there is none."""
    try:
        data = file.read_bytes()
    except OSError:
        return None
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        data = ast.dump(ast.parse(data)).encode("utf-8", "surrogatepass")
    return hashlib.sha256(data).hexdigest()


def contents(root: Path, nodes: Iterable[str]) -> dict[str, str | None]:
    """The files of tests, by the names in their node IDs, with their content."""
    return {name: content_key(root / name) for name in sorted({node.partition("::")[0] for node in nodes})}


def content_of(root: Path, rooms: Sequence[str]) -> str:
    """The content of all Python files in some folders of `root`; of `root` itself where there are none."""
    folders = [root / room for room in rooms if (root / room).is_dir()] or [root]
    digest = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            with contextlib.suppress(OSError):
                digest.update(f"{file.relative_to(root).as_posix()}\0".encode("utf-8", "surrogatepass"))
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def is_mended(failed: Mapping[str, Any], now: Mapping[str, Any], node: str) -> bool:
    """Whether a test that failed in one run is another one in a later run, by what both say as they begin."""
    file = node.partition("::")[0]
    was, is_now = (failed.get("content") or {}).get(file), (now.get("content") or {}).get(file)
    if was is None or is_now is None:
        return False
    return was != is_now or _bench_is_another(failed, now)


def _bench_is_another(failed: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    committed = all(one.get("git_revision") and one.get("git_dirty") is False for one in (failed, now))
    return committed and failed.get("bench_content") != now.get("bench_content")
