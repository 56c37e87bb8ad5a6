"""Small suites, each run by a pytest of its own with the plug-in, and what its ledger says afterwards."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from bench.evidence.ledger import latest_run, read
from bench.evidence.run_verdict import RunVerdict, judge_run

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE = 90


@dataclass
class Ended:
    """A suite that has ended, with its exit status and what it printed."""

    status: int
    output: str
    folder: pathlib.Path
    run: pathlib.Path

    @property
    def ledger(self) -> pathlib.Path:
        return self.run / "ledger.jsonl"

    @property
    def found(self) -> RunVerdict:
        return judge_run(read(self.ledger))

    def verdicts(self) -> dict[str, str]:
        """Test name -> verdict."""
        return {node.rpartition("::")[2]: str(j.verdict) for node, j in self.found.tests.items()}


def _heed_signals() -> None:
    """Whatever started the tests may ignore these (nohup, a background job): its children would too."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Suite:
    """Write testcases, then run them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\n")
        self._started: list[subprocess.Popen[str]] = []

    def write(self, text: str, name: str = "test_suite.py") -> None:
        (self.folder / name).write_text(textwrap.dedent(text))

    def start(self, *options: str, ledger: bool = True) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={self.folder}"]
        command += ["--results", "results", "--alluredir", "results/allure"]
        command += ["--ledger"] if ledger else []
        own = subprocess.Popen(
            [*command, *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            preexec_fn=_heed_signals if os.name == "posix" else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(own)
        return own

    def end(self, started: subprocess.Popen[str]) -> Ended:
        output, _ = started.communicate(timeout=PATIENCE)
        results = self.folder / "results"
        run = latest_run(results) if (results / "runs").exists() else results
        return Ended(started.returncode, output, self.folder, run)

    def run(self, *options: str, ledger: bool = True) -> Ended:
        return self.end(self.start(*options, ledger=ledger))

    def signalled(self, number: signal.Signals, *options: str) -> Ended:
        """Run, and send the signal once a testcase has made the file "here"."""
        started = self.start(*options)
        give_up = time.monotonic() + PATIENCE
        while not (self.folder / "here").exists():
            assert started.poll() is None, started.communicate()[0]
            assert time.monotonic() < give_up
            time.sleep(0.02)
        started.send_signal(number)
        return self.end(started)

    def close(self) -> None:
        for one in self._started:
            if one.poll() is None:
                one.kill()
                one.communicate()


@pytest.fixture
def suite(tmp_path: pathlib.Path) -> Iterator[Suite]:
    made = Suite(tmp_path)
    yield made
    made.close()


@pytest.fixture
def replay(suite: Suite) -> Callable[..., Ended]:
    """`replay(text, *options)`: write one file of testcases and run it."""

    def run(text: str, *options: str) -> Ended:
        suite.write(text)
        return suite.run(*options)

    return run
