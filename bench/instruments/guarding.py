"""The process behind `OutputGuard`: waits for the bench to be gone, and then switches its outputs off.

The bench is gone when its end of the pipe closes without a word, when its process is no more (some other
process may have inherited the pipe), when it has been stopped, or when its heartbeat stays away. The
drivers are loaded before it says that it is ready, so nothing has to be found or read at that moment.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable

import psutil

from bench.clock import WallClock
from bench.errors import BenchError
from bench.instruments.models import connect_instrument
from bench.instruments.output_guard import ALIVE, BEAT, DISMISSED, READY, SILENCE, GuardedSupply
from bench.instruments.power_supply import PowerSupply
from bench.instruments.wires.wire import reason_of
from bench.locks import Resource, guarding
from bench.timeline import Timeline

INTERVAL = 0.1
"""Wall seconds between looks at the bench's process."""
PAUSE = 0.5
"""Wall seconds between tries: a supply that accepts a single connection may hold the old one for a while."""
LOUD = 5.0
"""Wall seconds between messages about a supply that cannot be reached."""
STOPPED = (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""Whoever ends the run in order ends this too, by a word; a PC that shuts down asks everybody at once."""


def main() -> int:
    """The exit status is 0 when it was dismissed, or everything is off."""
    for name in IGNORED:
        with contextlib.suppress(ValueError, OSError, AttributeError):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    described = json.loads(sys.stdin.readline())
    supplies = [
        GuardedSupply(**{**supply, "outputs": tuple(supply["outputs"])}) for supply in described["supplies"]
    ]
    with guarding(Resource(**resource) for resource in described["resources"]):
        say(READY)
        bench = Watched(described["owner"])
        why = bench.until_gone()
        if why is None:
            return 0
        clock = WallClock()
        threads = [
            threading.Thread(target=switch_off, args=(supply, clock, bench.let_go)) for supply in supplies
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.close()
        done = f"{why}; outputs off: {', '.join(s.name for s in supplies)}"
        shout(f"bench: the run has ended without switching off; {done}")
        say(done)
    return 0


def say(word: str) -> None:
    """To the bench."""
    with contextlib.suppress(OSError, ValueError):
        print(word, flush=True)


def shout(text: str) -> None:
    """To whoever sits at the terminal."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)


class Watched:
    """The bench's process, by its words and by what the system says of it."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._heard = time.monotonic()
        self._dismissed = False
        self._stands_still = False
        self._closed = threading.Event()

    def until_gone(self) -> str | None:
        """Why it is taken for gone; None when it has dismissed its guard."""
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        why = self._watch()
        if not self._closed.is_set():
            self._closed.wait(INTERVAL)  # a last word may be on its way
        return None if self._dismissed else why

    def let_go(self) -> None:
        """A process that stands still may hold the only connection that a supply accepts: end it.

        Its run is lost anyway, for its outputs go off.
        """
        if not self._stands_still:
            return
        self._stands_still = False
        with contextlib.suppress(psutil.Error):
            psutil.Process(self._owner).kill()
            shout(f"bench: process {self._owner} of the run stands still and holds a supply: ended")

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in sys.stdin:
                self._heard = time.monotonic()
                if json.loads(line) == DISMISSED:
                    self._dismissed = True
                    break
        self._closed.set()

    def _beat(self) -> None:
        while not self._closed.wait(BEAT):
            say(ALIVE)

    def _watch(self) -> str:
        try:
            bench = psutil.Process(self._owner)
            while not self._closed.wait(INTERVAL):
                status = bench.status()
                if not bench.is_running() or status == psutil.STATUS_ZOMBIE:
                    return "its process is gone"
                if status in STOPPED:
                    self._stands_still = True
                    return "its process has been stopped"
                if (silent := time.monotonic() - self._heard) > SILENCE:
                    self._stands_still = True
                    return f"it has been silent for {silent:.0f} s"
        except psutil.Error:
            return "its process is gone"
        return "its pipe is closed"


def switch_off(supply: GuardedSupply, clock: WallClock, refused: Callable[[], None]) -> None:
    """Try until it is off, for as long as that takes, and say loudly when it does not go.

    `refused` is called after each try that fails.
    """
    began = time.monotonic()
    loud_at = began + LOUD
    while True:
        try:
            instrument = connect_instrument(
                supply.name, supply.driver, supply.address, clock, Timeline(clock), identity=supply.identity
            )
            with contextlib.closing(instrument):
                assert isinstance(instrument, PowerSupply)
                instrument.switch_off(supply.outputs or instrument.channels)
            return
        except Exception as fault:  # even a mistake of ours must not end the tries, nor go unsaid
            refused()
            now = time.monotonic()
            if now >= loud_at:
                loud_at = now + LOUD
                told = fault.message if isinstance(fault, BenchError) else reason_of(fault)
                shout(
                    f"bench: {supply.name} NOT SWITCHED OFF for {now - began:.0f} s, still trying: {told}; "
                    "switch it off by hand"
                )
        time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(main())
