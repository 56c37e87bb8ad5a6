"""Runs of testcases in processes of their own, whose results are then rendered."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import textwrap
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 180


@dataclass
class Run:
    status: int
    output: str
    results: pathlib.Path


def _own_environment() -> dict[str, str]:
    """Without what pytest-xdist says to its worker, where this is one: it is none of the run's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}


def run_testcases(folder: pathlib.Path, text: str, *options: str, **environ: str) -> Run:
    """One file of testcases, run in `folder`, which may hold runs already."""
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_suite.py").write_text(textwrap.dedent(text), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command += ["--results", "results", "--alluredir", "results/allure", "--clean-alluredir", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**_own_environment(), "PYTHONPATH": str(ROOT), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return Run(done.returncode, done.stdout + done.stderr, folder / "results")
