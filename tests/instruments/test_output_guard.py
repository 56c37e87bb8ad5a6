"""Outputs go off when the process that switched them on is killed. The supply lives in this process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest
from instrument_rig import SupplyBench

from bench.config import load_bench
from bench.errors import InstrumentError, InUseError, OutputLeftOnError
from bench.instruments import output_guard
from bench.instruments.models import is_supply
from bench.instruments.output_guard import GuardedSupply, OutputGuard
from bench.station import Station
from bench.virtual.instruments.e36312a import E36312A
from bench.virtual.instruments.line_server import LineServer

ROOT = Path(__file__).parents[2]
STATION = """
import sys, threading
from pathlib import Path
from bench.config import load_bench
from bench.errors import BenchError
from bench.station import Station

over = []

def until_closed(clock):
    sys.stdin.read()
    over.append(1)
    clock.changed()


with Station(load_bench(Path(sys.argv[1]))) as station:
    channel = station.supplies["psu"].channel(1)
    channel.voltage = 3.7
    channel.current_limit = 0.5
    channel.output = True
    print("on", flush=True)
    threading.Thread(target=until_closed, args=(station.clock,), daemon=True).start()
    try:
        station.clock.wait_for(lambda: over, timeout=300, reason="its end")
    except BenchError as fault:
        print("lost:", fault.message, flush=True)
        try:
            channel.output = True
        except BenchError as fault:
            print("on again:", type(fault).__name__, flush=True)
"""


class OneCaller(LineServer):
    """Serves one connection at a time; a second is dropped, and the first `busy` after the bench's too."""

    def __init__(self, *arguments, busy=0):
        self.busy, self.calls, self.away, self.most = busy, 0, False, 1
        super().__init__(*arguments)

    def _accept(self):
        super()._accept()
        self.calls += 1
        newest = list(self._peers)[-1]
        if self.away or len(self._peers) > self.most or 1 < self.calls <= 1 + self.busy:
            self._drop(newest)


@pytest.fixture
def bench():
    made = SupplyBench()
    made.server.close()
    made.server = OneCaller(E36312A(made.scheduler, made.rails), made.scheduler)
    yield made
    made.close()


@pytest.fixture
def victim(bench, tmp_path):
    """A station of its own process with an output on, and its guard's process."""
    (tmp_path / "update.bin").write_bytes(b"2")
    (tmp_path / "host.toml").write_text(
        f"command = [{json.dumps(sys.executable)}]\n"
        '[board]\nname = "host"\ntitle = "a program"\nkind = "process"\n'
        '[images]\nbaseline = { version = "1" }\n'
        'update = { file = "update.bin", version = "2" }\n',
        "utf-8",
    )
    (tmp_path / "bench.toml").write_text(
        '[bench]\nname = "killed"\n[server]\nport = 0\nsecure_port = 0\n'
        f'[instruments.psu]\ndriver = "keysight_e36312a"\naddress = "{bench.server.address}"\n'
        'identity = "KEYSIGHT TECHNOLOGIES,E36312A"\n'
        '[boards.host]\ntype = "host"\nendpoint = "host"\n',
        "utf-8",
    )
    started = subprocess.Popen(
        [sys.executable, "-c", STATION, str(tmp_path / "bench.toml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert started.stdout.readline() == "on\n"
    assert bench.board.powered
    started.guard = next(
        child
        for child in psutil.Process(started.pid).children()
        if "bench.instruments.guarding" in child.cmdline()
    )
    yield started
    started.kill()
    started.wait()
    started.stdin.close()
    started.stdout.close()
    assert until(lambda: not started.guard.is_running()), "the guard outlives its work"


def until(done, limit=30.0):
    end = time.monotonic() + limit
    while not done():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_killed_bench_leaves_no_output_on(bench, victim):
    victim.kill()
    assert until(lambda: not bench.board.powered)
    assert bench.server.calls == 2


def test_guard_only_switches_off_whatever_was_left(bench, victim):
    model = bench.server.instrument
    with bench.scheduler.lock:
        model.coupled = frozenset({1, 2})
    victim.kill()
    assert until(lambda: not bench.board.powered)
    assert until(lambda: not victim.guard.is_running())
    assert model.coupled == {1, 2}


@pytest.mark.skipif(os.name != "posix", reason="Windows has no signals: there `kill` is all, and tested")
def test_termination_signal_is_no_different(bench, victim):
    victim.send_signal(signal.SIGTERM)
    assert until(lambda: not bench.board.powered)


def test_supply_that_is_still_busy_is_tried_again(bench, victim):
    bench.server.busy = 2
    victim.kill()
    assert until(lambda: not bench.board.powered)
    assert bench.server.calls == 4


def test_pipe_that_another_process_inherited_does_not_hide_the_death(bench):
    """Here this process holds it open, as a forked child of the bench would."""
    opened = bench.open()
    opened.channel(1).voltage = 3.7
    opened.channel(1).output = True
    opened.close()
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    supply = asdict(GuardedSupply("psu", "keysight_e36312a", bench.server.address, None, (1,)))
    guard = subprocess.Popen(
        [sys.executable, "-m", "bench.instruments.guarding"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    guard.stdin.write(json.dumps({"owner": owner.pid, "supplies": [supply], "resources": []}) + "\n")
    guard.stdin.flush()
    assert guard.stdout.readline() == "ready\n"
    assert bench.board.powered
    owner.kill()
    owner.wait()
    assert guard.wait(30) == 0
    assert not bench.board.powered
    for pipe in (guard.stdin, guard.stdout, owner.stdin):
        pipe.close()


def test_second_run_touches_nothing_of_the_first(bench, victim):
    """The lock, not the supply, refuses it: another connection would be welcome."""
    bench.server.most = 9
    settings = load_bench(Path(victim.args[-1]))
    with pytest.raises(InUseError, match=rf"output tcpip.* \(instruments\.psu\) .*process {victim.pid} "):
        Station(settings).__enter__()
    assert bench.server.calls == 1
    assert bench.board.powered
    victim.stdin.close()
    assert victim.wait(30) == 0
    with Station(settings) as again:
        assert not again.supplies["psu"].channel(1).output


def test_orderly_end_dismisses_the_guard(bench, victim):
    victim.stdin.close()
    assert victim.wait(30) == 0
    assert not bench.board.powered
    assert bench.server.calls == 1
    assert until(lambda: not victim.guard.is_running())


def test_fault_while_switching_off_lets_the_guard_try(bench):
    opened = bench.open()
    opened.channel(1).voltage = 3.7
    opened.channel(1).output = True
    supply = GuardedSupply("psu", "keysight_e36312a", bench.server.address, None)

    def fail():
        with OutputGuard([supply]) as guard:
            guard.await_ready()
            assert bench.board.powered
            opened.close()
            raise InstrumentError("psu: no answer")

    with pytest.raises(InstrumentError, match="no answer; its guard has switched it off"):
        fail()
    assert not bench.board.powered


def test_fault_that_the_guard_cannot_mend_names_it_and_leaves_it_trying(bench, monkeypatch):
    opened = bench.open()
    opened.channel(1).voltage = 3.7
    opened.channel(1).output = True
    opened.close()
    bench.server.away = True
    monkeypatch.setattr(output_guard, "END_LIMIT", 0.5)

    def fail():
        with OutputGuard([GuardedSupply("psu", "keysight_e36312a", bench.server.address, None)]) as guard:
            guard.await_ready()
            pids.append(guard.pid)
            raise InstrumentError("psu: no answer", help="look at it")

    pids = []
    with pytest.raises(OutputLeftOnError, match=r"goes on trying") as told:
        fail()
    assert f"process {pids[0]}" in told.value.message
    assert "psu" in told.value.help
    assert "look at it" in told.value.help
    assert bench.board.powered
    bench.server.away = False
    assert until(lambda: not bench.board.powered), "as soon as it answers again"
    assert until(lambda: gone(pids[0]))


def test_bench_that_is_stopped_with_the_only_connection_is_ended(bench, victim):
    os.kill(victim.pid, signal.SIGSTOP)
    assert until(lambda: not bench.board.powered)
    assert victim.wait(30) == -signal.SIGKILL


def test_bench_that_is_stopped_loses_its_outputs_and_hears_of_it(bench, victim):
    bench.server.most = 2
    os.kill(victim.pid, signal.SIGSTOP)
    assert until(lambda: not bench.board.powered)
    os.kill(victim.pid, signal.SIGCONT)
    said = victim.stdout.readline()
    assert "lost: the guard of the supplies has switched them off: its process has been stopped" in said
    assert victim.stdout.readline() == "on again: InstrumentError\n"


def test_bench_whose_guard_is_killed_ends_with_its_outputs_off(bench, victim):
    victim.guard.kill()
    assert until(lambda: not bench.board.powered)
    assert victim.stdout.readline() == "lost: the guard of the supplies has ended with -9\n"
    assert victim.stdout.readline() == "on again: InstrumentError\n"
    assert victim.wait(30) == 0
    assert bench.server.calls == 1, "by the bench's own connection"


def test_guard_outlives_a_request_to_end(bench, victim):
    victim.guard.terminate()
    victim.kill()
    assert until(lambda: not bench.board.powered)


def test_guard_that_does_not_start_is_a_bench_error(bench):
    with OutputGuard([]) as guard:
        guard._process.kill()
        with pytest.raises(InstrumentError, match=r"guard .* does not start"):
            guard.await_ready()


def test_every_output_is_tried_though_one_fails(bench):
    opened = bench.open()
    for number in opened.channels:
        opened.channel(number).output = True
    output = bench.server.instrument.outputs[1]
    output.apply = lambda: setattr(output, "on", True)  # its relay is welded
    with pytest.raises(InstrumentError, match="psu:1: output was set to off, but reads back on"):
        opened.switch_off()
    assert [opened.channel(n).output for n in opened.channels] == [True, False, False]
    opened.close()


@pytest.mark.parametrize(
    ("driver", "expected"), [("korad_ka3005p", True), ("adaura", False), ("nobody", False)]
)
def test_which_drivers_are_guarded(driver, expected):
    assert is_supply(driver) is expected
