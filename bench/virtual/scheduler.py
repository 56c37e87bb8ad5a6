"""The plant's time: one ordered queue of events, and processes that take simulated time.

Everything virtual (boards, radio, instruments) runs from this queue, so a seed reproduces a run
exactly. Events with equal times run in the order in which they were scheduled.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(slots=True)
class Handle:
    """A scheduled call; `cancel()` takes it back."""

    time: float
    call: Callable[[], Any] | None

    def cancel(self) -> None:
        self.call = None


class Settling(Protocol):
    """Something with a thread of its own that must catch up before time may move."""

    def settle(self) -> None: ...


class Scheduler:
    """Simulated seconds and the events that fill them.

    `lock` guards the whole plant: instrument threads take it while they act on it.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.now = 0.0
        self.spoken = False
        """Set by every wire that carries something out of the plant; who waits outside resets it."""
        self.lock = threading.RLock()
        self._heap: list[tuple[float, int, Handle]] = []
        self._seq = itertools.count()
        self._settling: list[Settling] = []

    def rng(self, name: str) -> random.Random:
        """A random stream of its own for `name`, reproducible from the bench's seed."""
        return random.Random(f"{self.seed}/{name}")

    def after(self, delay: float, call: Callable[[], Any]) -> Handle:
        """Run `call` in `delay` seconds (>= 0)."""
        handle = Handle(self.now + max(0.0, delay), call)
        heapq.heappush(self._heap, (handle.time, next(self._seq), handle))
        return handle

    def next_time(self) -> float | None:
        """When the next event is due, or None."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def run_to(self, time: float) -> None:
        """Move time to `time`, running every event due on the way at its own moment."""
        self._advance(time, settled=False)

    def run_settled_to(self, time: float) -> None:
        """As `run_to`, for a caller that has called `settle` since anything happened."""
        self._advance(time, settled=True)

    def _advance(self, time: float, *, settled: bool) -> None:
        while (due := self.next_time()) is not None and due <= time:
            if due > self.now and not settled:
                self.settle()
            _, _, handle = heapq.heappop(self._heap)
            self.now = max(self.now, handle.time)
            call, handle.call = handle.call, None
            if call is not None:
                settled = False
                call()
        if time > self.now:
            if not settled:
                self.settle()
            self.now = time

    def elapse(self, seconds: float) -> None:
        """Let time pass inside blocking work, such as a flash that is busy."""
        with self.lock:
            self.run_to(self.now + seconds)

    def run_until(self, done: Callable[[], Any], timeout: float | None) -> bool:
        """Run events until `done()` is true or `timeout` seconds passed (None: no limit).

        For blocking reads on a virtual wire. Returns whether `done()` holds; without a limit and
        without events left, returns False.
        """
        with self.lock:
            end = None if timeout is None else self.now + timeout
            while not done():
                due = self.next_time()
                if due is None or (end is not None and due > end):
                    if end is not None:
                        self.run_to(end)
                    return bool(done())
                self.run_to(due)
            return True

    def join(self, party: Settling) -> None:
        """Have `party.settle()` called before each jump of time."""
        self._settling.append(party)

    def leave(self, party: Settling) -> None:
        if party in self._settling:
            self._settling.remove(party)

    def settle(self) -> None:
        """Wait (wall time) until every party has dealt with what already happened."""
        for party in tuple(self._settling):
            party.settle()
