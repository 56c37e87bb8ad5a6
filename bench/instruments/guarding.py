"""The process behind `OutputGuard`: waits for the bench to be gone, and then switches its outputs off.

The bench is gone when its end of the pipe closes without a word, or when its process is no more (some
other process may have inherited the pipe). The drivers are loaded before it says that it is ready, so
nothing has to be found or read at that moment.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time

import psutil

from bench.clock import WallClock
from bench.errors import BenchError
from bench.instruments.models import connect_instrument
from bench.instruments.output_guard import DISMISSED, READY, GuardedSupply
from bench.instruments.power_supply import PowerSupply
from bench.instruments.wires.wire import reason_of
from bench.timeline import Timeline

INTERVAL = 0.25
"""Wall seconds between looks at the bench's process."""
PATIENCE = 15.0
"""Wall seconds to try a supply for: one that accepts a single connection may hold the old one for a while."""
PAUSE = 0.5


def main() -> int:
    """The exit status is 0 when it was dismissed, or everything is off."""
    with contextlib.suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    described = json.loads(sys.stdin.readline())
    supplies = [GuardedSupply(**supply) for supply in described["supplies"]]
    with contextlib.suppress(OSError):
        print(READY, flush=True)
    if _wait(described["owner"]) == DISMISSED:
        return 0
    clock, faults = WallClock(), list[str]()
    threads = [threading.Thread(target=_switch_off, args=(supply, clock, faults)) for supply in supplies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    clock.close()
    with contextlib.suppress(OSError, AttributeError):
        done = "; ".join(faults) or f"outputs off: {', '.join(s.name for s in supplies)}"
        print(f"bench: the run has ended without switching off; {done}", file=sys.stderr, flush=True)
    return 1 if faults else 0


def _wait(owner: int) -> str | None:
    """Until the bench says something, or is gone; its word, or None."""
    words: list[str] = []
    over = threading.Event()

    def listen() -> None:
        with contextlib.suppress(OSError, ValueError):
            words.append(json.loads(sys.stdin.readline()))
        over.set()

    threading.Thread(target=listen, daemon=True).start()
    with contextlib.suppress(psutil.Error):
        bench = psutil.Process(owner)
        while not over.wait(INTERVAL) and bench.is_running() and bench.status() != psutil.STATUS_ZOMBIE:
            pass
    over.wait(INTERVAL)  # a last word may be on its way
    return words[0] if words else None


def _switch_off(supply: GuardedSupply, clock: WallClock, faults: list[str]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            instrument = connect_instrument(
                supply.name, supply.driver, supply.address, clock, Timeline(clock), identity=supply.identity
            )
            with contextlib.closing(instrument):
                assert isinstance(instrument, PowerSupply)
                instrument.switch_off()
            return
        except Exception as fault:  # even a mistake of ours must not end the tries, nor go unsaid
            if time.monotonic() > end:
                told = fault.message if isinstance(fault, BenchError) else reason_of(fault)
                faults.append(f"{supply.name} NOT SWITCHED OFF: {told}")
                return
        clock.sleep(PAUSE, f"{supply.name}: before the next try")


if __name__ == "__main__":
    sys.exit(main())
