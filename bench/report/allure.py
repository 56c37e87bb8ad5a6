"""Finds npm's `allure`, in exactly the version that the bench knows, and runs it.

Allure is started as `node .../allure/cli.js`: npm's own commands are shell scripts, on Windows files that
only a shell can start. Where it is looked for, in this order: `node_modules` of the working folder and of
the folders above it, `node_modules` of this checkout, and where `allure` on the PATH leads.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import ReportError

VERSION = "3.18.0"
"""Exact: what is taken out of a report, and what is looked for in it, is that of this version."""
INSTALL = f"npm install --no-save allure@{VERSION}"
OLDEST_NODE = 20
PATIENCE = 1800.0
"""Wall seconds for a report of thousands of testcases on a slow disk."""
CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Allure:
    """An installed Allure of the right version."""

    node: str
    script: Path

    def run(self, arguments: list[str], folder: Path) -> None:
        """Raises `ReportError` with what it said where it fails."""
        command = [self.node, str(self.script), *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE,
            )
        except (OSError, subprocess.SubprocessError) as fault:
            raise ReportError(f"{self.script}: {fault}", help=f"install it again: {INSTALL}") from fault
        if done.returncode != 0:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing")[-1000:]
            raise ReportError(
                f"allure {arguments[0]} ended with {done.returncode}: {said}",
                help="look at the results folder; a report needs the files that a run has left in it",
            )


def find_allure(start: Path, environ: Mapping[str, str] = os.environ) -> Allure:
    """Allure and Node, seen from the folder `start`.

    Raises `ReportError`, with how to install what is missing.
    """
    path = environ.get("PATH", "")
    node = shutil.which("node", path=path)
    if node is None:
        raise ReportError(
            "a report needs Node.js, and there is no `node` on the PATH",
            help=f"install Node.js {OLDEST_NODE} or later (https://nodejs.org, or `apt install nodejs npm`), "
            f"then Allure: {INSTALL}",
        )
    _check_node(node)
    wrong = []
    for folder in _places(start, path):
        found = _version_in(folder)
        if found == VERSION:
            return Allure(node, folder / "cli.js")
        if found is not None:
            wrong.append(f"{folder}: version {found}")
    missing = "; ".join(wrong) or "it is not installed"
    raise ReportError(f"a report needs npm's allure {VERSION}: {missing}", help=f"install it: {INSTALL}")


def _check_node(node: str) -> None:
    try:
        said = subprocess.run(
            [node, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        ).stdout.strip()
        major = int(said.removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError) as fault:
        raise ReportError(
            f"{node} does not tell its version: {fault}", help="install Node.js again"
        ) from fault
    if major < OLDEST_NODE:
        raise ReportError(
            f"{node} is Node.js {said}, a report needs {OLDEST_NODE} or later", help="install a newer Node.js"
        )


def _places(start: Path, path: str) -> Iterator[Path]:
    """Folders of the package `allure`, whether they exist or not."""
    start = start.absolute()
    for folder in dict.fromkeys((start, *start.parents, CHECKOUT)):
        yield folder / "node_modules" / "allure"
    command = shutil.which("allure", path=path)
    if command is not None:
        yield Path(command).resolve().parent  # a link to .../allure/cli.js
        yield Path(command).parent / "node_modules" / "allure"  # beside it, on Windows


def _version_in(folder: Path) -> str | None:
    """The version of npm's `allure` in a folder; None where there is none."""
    try:
        told = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_allure = isinstance(told, dict) and told.get("name") == "allure" and (folder / "cli.js").exists()
    return str(told.get("version")) if is_allure else None
