"""Where a run comes from: the bench, the state of the sources, the versions of what it stands on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from bench.evidence.checkout import checkout_of
from bench.evidence.distributions import name_and_version

NAMED = 40
"""Files that differ which are named; more are counted."""


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
        "packages": dict(sorted(map(name_and_version, importlib.metadata.distributions()))),
    }


def git_state(root: Path) -> dict[str, Any]:
    """Revision of the sources in `root`, and in what they differ from it.

    A folder of which Git keeps nothing, such as an environment inside a repository, has no revision. What
    counts as a difference is not left to anybody's settings, see `checkout`. `git_tree` names the content.
    """
    root = Path(os.path.realpath(root))
    found = checkout_of(root)
    if found is None or not found.keeps(root):
        return {"git_revision": None, "git_dirty": None}
    differs = list(found.differences())
    more = [f"and {len(differs) - NAMED} more"] if len(differs) > NAMED else []
    return {
        "git_revision": found.revision,
        "git_dirty": bool(differs),
        "git_tree": found.tree_id,
        "git_differs": [*differs[:NAMED], *more],
    }


def _sha256(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
