"""Runs of real testcases on real programs: a repository of testcases with a bench of its own."""

from __future__ import annotations

import datetime
import importlib.util
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.evidence.ledger import RUNS, latest_run
from bench.signoff.assessment import Assessment
from bench.signoff.make import Order, make

ROOT = Path(__file__).parents[2]
FAILS, UNCOVERED = "RIG_FAILS", "RIG_SHOWS_LESS"

CONFTEST = """
import os
import pathlib
import fixtures.keeper
fixtures.keeper.SOURCES = pathlib.Path(__file__).parent   # of this repository, not of the one in work

# a record for each results folder: what one test does is no attempt at what another does
fixtures.keeper.record_beside = lambda bench, given: pathlib.Path(os.environ["RIG_RECORD"])

import bench.evidence.sources as sources
told = sources.Sources.told

def of_this_repository(self, given):
    row = told(self, given)
    row["differs"] = [text for text in row["differs"] if not text.startswith(sources.BENCH.name + "/")]
    return row

sources.Sources.told = of_this_repository
"""
TESTCASES = f"""
import os
import pytest
from bench.errors import NotApplicable
from bench.evidence.measurements import Measurement
from bench.requirements import CATALOGUE

SHOWN = [name for name in CATALOGUE if name != os.environ.get("{UNCOVERED}")]

@pytest.mark.requirement(*SHOWN)
def test_installed(dut):
    assert dut.installed is not None

def test_version(dut, bench_station):
    Measurement("time to boot", 1.5, "s", 2.0).record(bench_station.timeline, dut.name)
    assert dut.name not in os.environ.get("{FAILS}", "").split(), "it is not as it should be"

def test_elsewhere(dut):
    raise NotApplicable("a program has no radio")
"""
BENCH = """
[bench]
name = "host programs"
{extra}

[server]
port = 0

[boards.one]
type = "host"
serial = "SN-1"
endpoint = "host-1"

[boards.two]
type = "host"
serial = "SN-2"
endpoint = "host-2"
{security}
"""


def _host_image() -> Any:
    """The builds of the host client, from the tests of process boards."""
    spec = importlib.util.spec_from_file_location(
        "signoff_host_image", ROOT / "tests" / "process" / "host_image.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOST = _host_image()


class Rig:
    """A repository that is clean; each run has a results folder of its own, which the repository ignores."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: dict[str, Path] = {}
        HOST.write_bench(folder / "bench", restart="exit")
        self.write_bench()
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_suite.py").write_text(textwrap.dedent(TESTCASES))
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / ".gitignore").write_text("results*/\n__pycache__/\n")
        self._git("init", "-q")
        self.commit()

    def write_bench(self, *, extra: str = "", security: str = "", instruments: str = "") -> None:
        text = BENCH.format(extra=extra, security=security) + instruments
        (self.folder / "bench" / "bench.toml").write_text(text, encoding="utf-8")

    def commit(self) -> None:
        self._git("add", "-A")
        who = ("-c", "user.name=rig", "-c", "user.email=rig@example.org")
        self._git(*who, "commit", "-q", "--allow-empty", "-m", "testcases")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", "-C", str(self.folder), *arguments], check=True, capture_output=True)

    def run(
        self, *options: str, results: str, env: dict[str, str] | None = None, bench: str = "bench/bench.toml"
    ) -> Path:
        """Run the testcases; returns the folder of the run."""
        record = str(self.folder / results / "bench.runs.sqlite")
        (self.folder / results).mkdir(exist_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_suite.py"]
        command += [f"--rootdir={self.folder}", "--bench", bench, "--results", results, "--pictures=none"]
        done = subprocess.run(
            [*command, "--alluredir", f"{results}/allure", *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "RIG_RECORD": record, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert (self.folder / results / RUNS).is_dir(), done.stdout + done.stderr
        return latest_run(self.folder / results)


def copy_of(run: Path, folder: Path) -> Path:
    """The results folder of a run, to be tampered with; returns the run in it."""
    results = folder / run.parent.parent.name
    shutil.copytree(run.parent.parent, results)
    return results / RUNS / run.name


def sign_off(runs: Path | Sequence[Path], output: Path, **more: Any) -> Assessment:
    """Now, or `at` another moment."""
    at = more.pop("at", datetime.datetime.now(datetime.UTC).replace(microsecond=0))
    named = (runs,) if isinstance(runs, Path) else tuple(runs)
    return make(Order(named, output, **more), at)


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The `bench` command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from bench.cli import main; main()", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
