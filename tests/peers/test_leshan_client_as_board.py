"""The testcases with Leshan's client, and an object 5 of another hand, as a process board: no false alarm."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from firmware_image import write_bench

ROOT = Path(__file__).parents[2]
LIMIT = 400
"""Wall seconds for one selection of testcases."""
SLOW = "test_state_is_observed_within_pmin_and_pmax"
"""What waits for a minute; of this client's notifications by pmax see below."""

Start = Callable[..., "Run"]


class Run:
    """`pytest testcases/` in a process of its own, under way."""

    def __init__(self, folder: Path, files: str, only: str, bench: Path) -> None:
        self._out = folder / "out.txt"
        command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
        command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "--bench", str(bench)]
        command += [str(ROOT / "testcases" / f"test_{name}.py") for name in files.split()]
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "-k", only, "--pictures=none"],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )

    def outcomes(self) -> dict[str, list[str]]:
        """The testcases by outcome, as pytest's summary has them, in order; "text" is all that it said."""
        self.process.wait(LIMIT)
        text = self._out.read_text("utf-8")
        found: dict[str, list[str]] = {"PASSED": [], "FAILED": [], "ERROR": [], "text": [text]}
        for line in text.splitlines():
            outcome, _, rest = line.partition(" ")
            if outcome in found and "::" in rest:
                found[outcome].append(rest.partition("::")[2].partition("[")[0])
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts testcases with this client; what still runs at the end is ended."""
    with contextlib.ExitStack() as closing:

        def make(files: str, only: str, **how: bool) -> Run:
            folder = tmp_path / f"run-{len(list(tmp_path.iterdir()))}"
            folder.mkdir()
            run = Run(folder, files, only, write_bench(folder / "bench", **how))
            closing.callback(run.process.wait)
            closing.callback(run.process.terminate)
            return run

        yield make


@pytest.mark.parametrize(
    ("files", "only", "passed"),
    [
        ("successful_update corrupted_image failed_update", "test_", 10),
        ("cancel update_too_early", "test_", 11),
        ("reset", "test_", 12),
        ("failed_download", "test_", 10),
    ],
    ids=["outcomes", "cancel", "reset", "downloads"],
)
def test_no_false_alarm(start: Start, files: str, only: str, passed: int) -> None:
    """What this client can be tested with passes; the rest is not applicable, with its reason."""
    found = start(files, only).outcomes()
    assert (found["FAILED"], found["ERROR"]) == ([], []), found["text"][0][-6000:]
    assert len(found["PASSED"]) == passed, found["text"][0][-6000:]


def test_what_leshan_does_wrong_is_named(start: Start) -> None:
    """Notifications by pmax repeat their Observe number (Leshan 2.0.0-M15): a receiver must drop them."""
    by_pmax = start("resources", SLOW)
    others = start("resources identity", f"not {SLOW} and not test_registration_is_kept")
    over_dtls = start("successful_update", "push_succeeds", secured=True)
    found = others.outcomes()
    assert (found["FAILED"], found["ERROR"]) == ([], []), found["text"][0][-6000:]
    assert len(found["PASSED"]) == 8, found["text"][0][-6000:]
    secured = over_dtls.outcomes()
    assert secured["PASSED"] == ["test_push_succeeds"], secured["text"][0][-6000:]
    wrong = by_pmax.outcomes()
    assert wrong["FAILED"] == [SLOW], wrong["text"][0][-6000:]
    assert "their Observe numbers do not increase (RFC 7641, 4.4)" in wrong["text"][0]
