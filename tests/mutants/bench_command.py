"""Starts `bench mutants` and `bench seeds` as a user does, against testcases of a test's own."""

from __future__ import annotations

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
BENCH = ("--bench", str(ROOT / "boards" / "virtual.toml"))
STAYS = """
import os, pathlib, time
def test_stays(dut):
    pathlib.Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
    time.sleep(300)
"""
"""A testcase that says in which process it is, and does not end by itself."""


def command(name: str, testcases: pathlib.Path, *options: str) -> list[str]:
    run = (sys.executable, "-c", "from bench.cli import main; main()", name)
    return [*run, str(testcases), "--jobs", "1", *BENCH, *options]


def ended(name: str, testcases: pathlib.Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(name, testcases, *options), cwd=ROOT, capture_output=True, text=True, timeout=300
    )
