"""What a run of pytest says and does about its outputs at its end. The supply lives in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from instrument_rig import SupplyBench

from bench.evidence.run_verdict import ExitStatus

ROOT = Path(__file__).parents[2]
TESTS = """
import psutil

def on(bench_station):
    channel = bench_station.supplies["psu"].channel(1)
    channel.voltage, channel.current_limit = 3.7, 0.5
    channel.output = True
    return channel

def test_guard_is_killed(bench_station, clock):
    on(bench_station)
    guard = next(c for c in psutil.Process().children() if "bench.instruments.guarding" in c.cmdline())
    guard.kill()
    clock.sleep(300, "what a testcase waits for")

def test_outputs(bench_station):
    on(bench_station)
"""


@pytest.fixture
def supply():
    made = SupplyBench()
    yield made
    made.close()


@pytest.fixture
def run(tmp_path, supply):
    (tmp_path / "update.bin").write_bytes(b"2")
    (tmp_path / "host.toml").write_text(
        f"command = [{json.dumps(sys.executable)}]\n"
        '[board]\nname = "host"\ntitle = "a program"\nkind = "process"\n'
        '[images]\nbaseline = { version = "1" }\nupdate = { file = "update.bin", version = "2" }\n',
        "utf-8",
    )
    (tmp_path / "bench.toml").write_text(
        '[bench]\nname = "ends"\n[server]\nport = 0\nsecure_port = 0\n'
        f'[instruments.psu]\ndriver = "keysight_e36312a"\naddress = "{supply.server.address}"\n'
        '[boards.host]\ntype = "host"\nendpoint = "host"\n',
        "utf-8",
    )
    (tmp_path / "test_outputs.py").write_text(TESTS, "utf-8")

    def start(*only):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
        command += ["-c", str(ROOT / "pyproject.toml"), "--bench", str(tmp_path / "bench.toml")]
        command += [f"{tmp_path / 'test_outputs.py'}::{name}" for name in only]
        terminal = tmp_path / "terminal.txt"  # no pipe: a guard that goes on would keep it open
        with terminal.open("w") as out:
            ended = subprocess.run(
                [*command, "--pictures=none"],
                cwd=tmp_path,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=200,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        return ended.returncode, terminal.read_text()

    return start


def test_run_whose_guard_is_killed_ends_there(run, supply):
    status, told = run("test_guard_is_killed", "test_outputs")
    assert status == ExitStatus.BENCH, told
    assert "the guard of the supplies has ended with" in told
    assert "not reached: BENCH ERROR: the guard of the supplies has ended" in told
    assert not supply.board.powered


def test_output_that_does_not_go_off_is_the_last_line(run, supply):
    output = supply.server.instrument.outputs[1]

    def welded(apply=output.apply):
        output.on = True
        apply()

    output.apply = welded
    status, told = run("test_outputs")
    assert status == ExitStatus.INCONCLUSIVE, told
    assert "could not be closed in order" in told
    last = told[told.index("OUTPUT NOT SEEN TO BE OFF") :].splitlines()
    assert "psu:1: output was set to off, but reads back on" in last[0]
    assert last[1].startswith("  help: look at psu and switch off by hand")
    guard = int(last[0].split("its guard, process ")[1].split(",")[0])
    with supply.scheduler.lock:
        del output.apply
    end = time.monotonic() + 30
    while supply.board.powered or psutil.pid_exists(guard):
        assert time.monotonic() < end, "the guard goes on until the output is off"
        time.sleep(0.02)
