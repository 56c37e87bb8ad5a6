"""Secrets that stand in a bench file which Git keeps: whoever has the repository has them, for good."""

from __future__ import annotations

import subprocess

from bench.config import Bench
from bench.config.secret import is_elsewhere
from bench.config.toml_file import read_toml

GIT_PATIENCE = 10.0
"""Wall seconds for git on a slow disk."""


def told_to_git(bench: Bench) -> list[str]:
    """The keys under which a bench file that Git keeps holds a secret itself; of a plant's they are none."""
    if bench.settings.bench.plant is not None or not _is_kept(bench):
        return []
    tables = read_toml(bench.path, "")
    found = [
        f"boards.{name}.security.psk_key"
        for name, board in tables.get("boards", {}).items()
        if not is_elsewhere(board.get("security", {}).get("psk_key", "env:"))
    ]
    return found + [
        f"instruments.{name}.password"
        for name, instrument in tables.get("instruments", {}).items()
        if not is_elsewhere(instrument.get("password", "env:"))
    ]


def _is_kept(bench: Bench) -> bool:
    folder, name = bench.path.absolute().parent, bench.path.name
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "ls-files", "--error-unmatch", "--", name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
