"""How long an output stays on when its run ends without a word: bench killed, bench stopped, guard killed.

A simulated Keysight E36312A listens in a process of its own, a bench in another switches output 1 on, and at
a random moment one of the three happens. What counts is when the supply sees its output go off. With --hung
the supply answers nobody for a while at that moment; what counts then begins when it does again.

Run: python -m benchmarks.output_off [--times N] [--seed N] [--hung SECONDS]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

LIMIT = 2.0
"""Seconds within which the output has to be off."""
PATIENCE = 60.0
ENDS = ("bench killed", "bench stopped", "guard killed")

SUPPLY = """
import json, sys, threading, time
sys.path.insert(0, sys.argv[1])
from bench.virtual.clock import VirtualClock
from bench.virtual.instruments.e36312a import E36312A
from bench.virtual.instruments.line_server import LineServer
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

class Watched:
    powered = False
    def set_supply(self, volts):
        if self.powered != (volts > 1):
            self.powered = volts > 1
            print(json.dumps([self.powered, time.monotonic()]), flush=True)
    def load(self, volts):
        return 0.1

scheduler = Scheduler(1)
clock = VirtualClock(scheduler)
rails = {n: Rail(scheduler, resistance=0.05) for n in (1, 2, 3)}
rails[1].attach(Watched())
server = LineServer(E36312A(scheduler, rails), scheduler)
print(json.dumps(server.address), flush=True)
for line in sys.stdin:  # seconds for which it hangs
    with scheduler.lock:
        time.sleep(float(line))
        print(json.dumps(["back", time.monotonic()]), flush=True)
"""

BENCH = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from bench.config import load_bench
from bench.errors import BenchError
from bench.station import Station

with Station(load_bench(Path(sys.argv[2]))) as station:
    channel = station.supplies["psu"].channel(1)
    channel.voltage, channel.current_limit = 3.7, 0.5
    channel.output = True
    print("on", flush=True)
    try:
        while True:  # as a run does: now and then it talks to the supply
            station.clock.sleep(0.05, "a run")
            channel.measure_current()
    except BenchError as fault:
        print(fault.message, flush=True)
"""

ROOT = Path(__file__).parents[1]


class Supply:
    """The simulated supply's process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPPLY, str(ROOT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address = self.next()

    def next(self) -> object:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def hang(self, seconds: float) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()


@dataclass(frozen=True, slots=True)
class End:
    """`seconds` from the end, or from when a hung supply was back, until the output was off."""

    how: str
    seconds: float


def bench_file(folder: Path, address: object) -> Path:
    (folder / "update.bin").write_bytes(b"2")
    (folder / "host.toml").write_text(
        f"command = [{json.dumps(sys.executable)}]\n"
        '[board]\nname = "host"\ntitle = "a program"\nkind = "process"\n'
        '[images]\nbaseline = { version = "1" }\nupdate = { file = "update.bin", version = "2" }\n',
        "utf-8",
    )
    file = folder / "bench.toml"
    file.write_text(
        '[bench]\nname = "ends"\n[server]\nport = 0\nsecure_port = 0\n'
        f'[instruments.psu]\ndriver = "keysight_e36312a"\naddress = "{address}"\n'
        '[boards.host]\ntype = "host"\nendpoint = "host"\n',
        "utf-8",
    )
    return file


def one_end(supply: Supply, file: Path, how: str, after: float, hung: float) -> End:
    bench = subprocess.Popen(
        [sys.executable, "-c", BENCH, str(ROOT), str(file)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert bench.stdout is not None
        if bench.stdout.readline() != "on\n":
            raise SystemExit("the bench did not start")
        assert supply.next()[0] is True  # type: ignore[index]
        guard = next(
            c for c in psutil.Process(bench.pid).children() if "bench.instruments.guarding" in c.cmdline()
        )
        time.sleep(after)
        if hung:
            supply.hang(hung)
        began = time.monotonic()
        match how:
            case "bench killed":
                bench.kill()
            case "bench stopped":
                os.kill(bench.pid, signal.SIGSTOP)
            case "guard killed":
                guard.kill()
        off_at = began
        while True:
            told = supply.next()
            if told[0] == "back":  # type: ignore[index]
                began = told[1]  # type: ignore[index]
            elif told[0] is False:  # type: ignore[index]
                off_at = told[1]  # type: ignore[index]
                break
        bench.kill()  # the guard of a stopped one watches on
        psutil.wait_procs([guard], timeout=PATIENCE)
        return End(how, max(0.0, off_at - began))
    finally:
        bench.kill()
        bench.wait()


def main() -> int:
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--times", type=int, default=100)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--hung", type=float, default=0.0, metavar="SECONDS")
    given = arguments.parse_args()
    chance = random.Random(given.seed)
    supply, found = Supply(), list[End]()
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = bench_file(Path(folder), supply.address)
            for number in range(given.times):
                found.append(one_end(supply, file, chance.choice(ENDS), chance.uniform(0, 0.5), given.hung))
                print(f"{number + 1:4} {found[-1].how:14} {found[-1].seconds:.2f} s", file=sys.stderr)
    finally:
        supply.process.kill()
        supply.process.wait()
    for how in ENDS:
        times = sorted(end.seconds for end in found if end.how == how)
        if times:
            middle = statistics.median(times)
            print(f"{how:14} {len(times):4} ends, median {middle:.2f} s, longest {times[-1]:.2f} s")
    within = sum(end.seconds <= LIMIT for end in found)
    print(f"off within {LIMIT:g} s: {within} of {len(found)}")
    return 0 if within == len(found) else 1


if __name__ == "__main__":
    sys.exit(main())
