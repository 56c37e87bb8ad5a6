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
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(order=True, slots=True)
class Handle:
    """A scheduled call; `cancel()` takes it back."""

    time: float
    seq: int
    call: Callable[[], Any] | None = field(compare=False)

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
        self.lock = threading.RLock()
        self._heap: list[Handle] = []
        self._seq = itertools.count()
        self._settling: list[Settling] = []

    def rng(self, name: str) -> random.Random:
        """A random stream of its own for `name`, reproducible from the bench's seed."""
        return random.Random(f"{self.seed}/{name}")

    def after(self, delay: float, call: Callable[[], Any]) -> Handle:
        """Run `call` in `delay` seconds (>= 0)."""
        handle = Handle(self.now + max(0.0, delay), next(self._seq), call)
        heapq.heappush(self._heap, handle)
        return handle

    def next_time(self) -> float | None:
        """When the next event is due, or None."""
        while self._heap and self._heap[0].call is None:
            heapq.heappop(self._heap)
        return self._heap[0].time if self._heap else None

    def run_to(self, time: float) -> None:
        """Move time to `time`, running every event due on the way at its own moment."""
        while (due := self.next_time()) is not None and due <= time:
            if due > self.now:
                self.settle()
            handle = heapq.heappop(self._heap)
            self.now = max(self.now, handle.time)
            call, handle.call = handle.call, None
            if call is not None:
                call()
        if time > self.now:
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
