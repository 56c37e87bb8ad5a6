"""The virtual bench's clock: time jumps to the next event when everything waits.

The loop runs inside the waiting test thread. While the test thread does other work (a blocking
library call, say) nothing drives the loop, so time stands still, except where that work itself
takes simulated time from the scheduler. Real sockets are polled before every jump, so aiocoap and
the virtual boards talk over real UDP.
"""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench.clock import Clock
from bench.virtual.scheduler import Scheduler

T = TypeVar("T")

EXTERNAL_POLL = 0.2
"""Wall seconds to look at real sockets when no event is due at all (a foreign process may speak)."""


class _LoopbackBarrier:
    """Proves that datagrams sent so far on loopback have reached their sockets.

    The kernel may deliver a loopback datagram a moment after `sendto` returned. Its queue is
    first in, first out, so once a datagram of our own has come round, the earlier ones have too.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())
        self._socket.settimeout(1.0)

    def pass_through(self) -> None:
        try:
            self._socket.send(b"\0")
            self._socket.recv(1)
        except TimeoutError:  # a lost loopback datagram only costs the proof, not the run
            pass

    def close(self) -> None:
        self._socket.close()


class _JumpingSelector(selectors.BaseSelector):
    """A selector that, when nothing is ready, advances the scheduler instead of sleeping."""

    def __init__(self, scheduler: Scheduler, pace: float | None) -> None:
        self._real = selectors.DefaultSelector()
        self._scheduler = scheduler
        self._pace = pace
        self._barrier = _LoopbackBarrier()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        self._scheduler.settle()
        self._barrier.pass_through()
        ready = self._real.select(0)
        if ready:
            return ready
        with self._scheduler.lock:
            now, due = self._scheduler.now, self._scheduler.next_time()
        until = None if timeout is None else now + timeout
        if due is not None and (until is None or due < until):
            until = due
        if until is None:
            return self._real.select(EXTERNAL_POLL)
        if self._pace is not None:
            ready = self._paced_wait(max(0.0, until - now))
            if ready:
                return ready
        with self._scheduler.lock:
            self._scheduler.run_to(until)
        return []

    def _paced_wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in wall time, crediting the time that passed when a socket interrupts."""
        assert self._pace is not None
        slice_ = min(seconds, 0.02 * self._pace)
        while seconds > 0:
            ready = self._real.select(slice_ / self._pace)
            with self._scheduler.lock:
                self._scheduler.run_to(self._scheduler.now + slice_)
            if ready:
                return ready
            seconds -= slice_
            slice_ = min(seconds, 0.02 * self._pace)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Any:
        return self._real.get_map()

    def close(self) -> None:
        self._barrier.close()
        self._real.close()


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self, scheduler: Scheduler, pace: float | None) -> None:
        self._scheduler = scheduler
        super().__init__(_JumpingSelector(scheduler, pace))
        self._clock_resolution = 1e-7  # a float of thirty years still tells two such moments apart

    def time(self) -> float:
        return self._scheduler.now


class VirtualClock(Clock):
    """Simulated seconds. `pace` None jumps; a number plays that many simulated seconds a wall second."""

    def __init__(self, scheduler: Scheduler, pace: float | None = None) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.loop = _JumpingLoop(scheduler, pace)
        self._thread = threading.current_thread()

    def now(self) -> float:
        return self.scheduler.now

    async def blocking(self, call: Callable[[], T]) -> T:
        """At once, in this thread: simulated time stands still meanwhile, so the order is fixed."""
        return call()

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is not self._thread:
            coro.close()
            raise RuntimeError("the virtual bench is driven by the thread that opened it")
        return self.loop.run_until_complete(coro)

    def close(self) -> None:
        if self.loop.is_closed():
            return
        left = asyncio.all_tasks(self.loop)  # such as a request that a test let stall for ever
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left, timeout=5.0))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
