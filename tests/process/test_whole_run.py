"""The testcases of the bench, on the wall clock, with an independent client as a process board."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from host_image import write_bench

from bench.evidence.run_verdict import ExitStatus

ROOT = Path(__file__).parents[2]


def run_testcases(bench: Path, folder: Path, *only: str) -> subprocess.CompletedProcess[str]:
    """`pytest testcases/` in a process of its own, its results in `folder`."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "--bench", str(bench)]
    command += [str(ROOT / "testcases"), "-k", " or ".join(only), "--pictures=none"]
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def assert_passed(run: subprocess.CompletedProcess[str], *testcases: str) -> None:
    assert run.returncode == ExitStatus.INCONCLUSIVE, run.stdout[-4000:] + run.stderr[-2000:]  # a selection
    passed = [line.partition("::")[2] for line in run.stdout.splitlines() if line.startswith("PASSED")]
    assert sorted(passed) == sorted(testcases)


@pytest.mark.parametrize(
    "restart",
    [
        pytest.param(
            "exec",
            marks=pytest.mark.skipif(
                os.name == "nt", reason="a Windows program cannot replace itself; 'exit' is run there"
            ),
        ),
        "exit",
    ],
)
def test_push_pull_and_failed_updates(restart: str, tmp_path: Path) -> None:
    """A program that replaces itself, and one that ends and is started anew."""
    run = run_testcases(
        write_bench(tmp_path / "a bench", restart=restart),
        tmp_path,
        "push_succeeds",
        "pull_succeeds",
        "corrupted",
        "new_image_fails",
    )
    assert_passed(
        run,
        "test_push_succeeds[host-push]",
        "test_pull_succeeds[host-coap]",
        "test_corrupted_image_is_refused[host-push]",
        "test_corrupted_image_is_refused[host-pull]",
        "test_new_image_fails_its_self_test[host-push]",
        "test_new_image_fails_its_self_test[host-pull]",
    )
    assert not [p for p in psutil.process_iter(["cmdline"]) if "a bench" in str(p.info["cmdline"])]


def test_over_a_bad_path(tmp_path: Path) -> None:
    """Loss, delay and duplicates between the program and the server."""
    network = "network = { loss = 0.05, duplicate = 0.05, delay = 0.002, jitter = 0.002 }"
    bench = write_bench(tmp_path / "bench", restart="exit", network=network)
    run = run_testcases(bench, tmp_path, "push_succeeds", "pull_succeeds")
    assert_passed(run, "test_push_succeeds[host-push]", "test_pull_succeeds[host-coap]")
    timeline = (tmp_path / "results" / "timeline.jsonl").read_text("utf-8")
    assert timeline.count('"host.network"') == 1


def test_a_program_that_is_no_client_is_told_at_once(tmp_path: Path) -> None:
    """The bench says what the program printed, and does not wait for a registration."""
    bench = write_bench(tmp_path / "bench")
    (tmp_path / "bench" / "baseline.py").write_text("raise SystemExit('not today')\n", "utf-8")
    run = run_testcases(bench, tmp_path, "push_succeeds")
    assert run.returncode == ExitStatus.BENCH
    assert "did not register: the program ended: status 1; its last lines: not today" in run.stdout


def test_a_client_that_crashes_when_asked_fails_the_testcase(tmp_path: Path) -> None:
    """The crash is the finding, and nobody waits for an answer of the dead."""
    bench = write_bench(tmp_path / "bench")
    file = tmp_path / "bench" / "baseline.py"
    broken = file.read_text("utf-8").replace(
        "        values = self.values()\n", "        os.abort()\n        values = self.values()\n", 1
    )
    file.write_text(broken, "utf-8")
    begin = time.monotonic()
    run = run_testcases(bench, tmp_path, "push_succeeds")
    assert run.returncode == 1
    assert "AssertionError: host: the program " in run.stdout
    assert "BENCH ERROR" in run.stdout  # the update could not go on
    assert time.monotonic() - begin < 30


def test_what_does_not_concern_a_program_is_not_applicable_before_it_starts(tmp_path: Path) -> None:
    """Nothing is left out in silence, which a run could not be GO with, and nothing is run for nothing."""
    only = ("hostile", "bad_build", "battery", "signal_tunnel", "flash_operation", "components_are", "energy")
    run = run_testcases(write_bench(tmp_path / "bench"), tmp_path, *only)
    (ledger,) = (tmp_path / "results").glob("runs/*/ledger.jsonl")
    lines = [json.loads(line) for line in ledger.read_text("utf-8").splitlines()]
    begun = {line["node"] for line in lines if line["kind"] == "start"}
    reasons = {
        line["node"]: line["message"]
        for line in lines
        if line["kind"] == "phase" and line["cause"] == "not applicable"
    }
    assert len(begun) >= len(only)
    assert begun == reasons.keys(), run.stdout[-3000:]
    assert all(reasons.values())
    hostile = next(text for node, text in reasons.items() if "hostile_image_is_refused" in node)
    assert "only it can read its packages" in hostile or "capability 'readback'" in hostile
    timeline = (tmp_path / "results" / "timeline.jsonl").read_text("utf-8")
    assert '"power"' not in timeline


def test_a_client_that_ends_while_it_is_waited_for_is_told_at_once(tmp_path: Path) -> None:
    """It ends when the server has forgotten it: the message of the testcase says so, before the time-out."""
    bench = write_bench(tmp_path / "bench")
    board, file = tmp_path / "bench" / "host.toml", tmp_path / "bench" / "baseline.py"
    board.write_text(board.read_text("utf-8").replace("lifetime = 30", "lifetime = 6"), "utf-8")
    healthy = "        else:\n            self.register()\n"
    ends = "        else:\n            raise SystemExit('forgotten')\n"
    assert healthy in file.read_text("utf-8")
    file.write_text(file.read_text("utf-8").replace(healthy, ends), "utf-8")
    run = run_testcases(bench, tmp_path, "registration_expires_during_the_download")
    assert run.returncode == 1
    assert re.search(r"host-1 did not register: the program ended: status 1; .*forgotten", run.stdout)
    assert "did not register within" not in run.stdout
