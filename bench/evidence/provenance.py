"""Where a run comes from: the bench, the state of the sources, the versions of what it stands on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

GIT_PATIENCE = 10.0
"""Wall seconds for git on a slow disk."""


def provenance(root: Path, bench_file: Path | None, bench_name: str, seed: int) -> dict[str, Any]:
    """JSON-able. What cannot be known is None; no content of any file is in it."""
    return {
        "bench": bench_name,
        "bench_file": None if bench_file is None else bench_file.name,
        "bench_sha256": None if bench_file is None else _sha256(bench_file),
        "seed": seed,
        **git_state(root),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "packages": dict(sorted(_packages())),
    }


def _packages() -> Iterator[tuple[str, str]]:
    """Name and version. A distribution's metadata are a file, read at each access."""
    for found in importlib.metadata.distributions():
        metadata = found.metadata
        yield str(metadata["Name"]), str(metadata["Version"])


def git_state(root: Path) -> dict[str, Any]:
    """Revision of the sources in `root`, and whether anything in them differs from it.

    A folder of which Git keeps nothing, such as an environment inside a repository, has no revision. What
    counts as a difference is not left to the user's settings.
    """
    revision = _git(root, "rev-parse", "HEAD") if _git(root, "ls-files", "--", ".") else None
    asked = ("status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none")
    changed = _git(root, *asked) if revision is not None else None
    return {"git_revision": revision, "git_dirty": None if changed is None else bool(changed)}


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _sha256(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
