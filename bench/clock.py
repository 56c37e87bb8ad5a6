"""The one clock. All waiting on the bench goes through it, and every record is stamped by it.

The test thread is synchronous; sockets and timers live on one asyncio loop that belongs to the
clock. On hardware that loop runs in a thread of its own, so the server answers while the test
thread flashes a board. The virtual bench replaces the clock (`bench.virtual.clock`) by one whose
time jumps to the next event when everything waits.
"""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench.errors import BenchError, WaitTimeout

T = TypeVar("T")


class _Wait:
    """A wait of the test thread, so that others can see it and end it."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.task: asyncio.Future[Any] | None = None
        self.fault: BenchError | None = None


class Clock(ABC):
    """Time, and every way to let it pass. Times are seconds since the clock was made."""

    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()
        self._waits: list[_Wait] = []

    @abstractmethod
    def now(self) -> float:
        """Bench time in seconds; never goes back."""

    @abstractmethod
    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        """Run `coro` on the loop to its end, blocking the calling (test) thread."""

    @abstractmethod
    def close(self) -> None:
        """Stop the loop. Idempotent."""

    def run(self, coro: Coroutine[Any, Any, T], *, timeout: float | None = None, reason: str) -> T:
        """Run a coroutine on the bench's loop from the test thread and return its result.

        `timeout` is bench seconds; when it passes, the coroutine is cancelled.

        Raises `WaitTimeout` naming `reason`, or whatever the coroutine raises.
        """

        wait = _Wait(reason)

        async def bounded() -> T:
            # a private flag: a TimeoutError of the coroutine's own must not be taken for ours
            wait.task = task = asyncio.ensure_future(coro)
            if wait.fault is not None:
                task.cancel()
            try:
                done, _ = await asyncio.wait({task}, timeout=timeout)
            except asyncio.CancelledError:
                task.cancel()
                raise
            if wait.fault is not None:
                raise wait.fault
            if not done:
                task.cancel()
                await asyncio.wait({task}, timeout=1.0)
                raise WaitTimeout(
                    f"timed out after {timeout:g} s: {reason}",
                    help="see the last entries of the timeline for what the device did instead",
                )
            return task.result()

        self._waits.append(wait)
        try:
            return self._run(bounded())
        finally:
            self._waits.remove(wait)

    @property
    def waiting_for(self) -> str | None:
        """What the test thread waits for at this moment; None when it does not. From any thread."""
        waits = self._waits[-1:]
        return waits[0].reason if waits else None

    def interrupt(self, fault: BenchError) -> bool:
        """End the wait in progress by raising `fault` in the test thread. False where there is none.

        From any thread. A coroutine that does not let itself be cancelled is not ended by this.
        """
        for wait in self._waits[-1:]:
            wait.fault = fault
            if wait.task is not None and not self.loop.is_closed():
                self.loop.call_soon_threadsafe(wait.task.cancel)
            return True
        return False

    def wait_for(self, predicate: Callable[[], T], *, timeout: float, reason: str) -> T:
        """Wait until `predicate()` is true and return its value.

        The predicate is looked at whenever somebody calls `changed()`.

        Raises `WaitTimeout` naming `reason` after `timeout` seconds.
        """

        return self.run(self.until(predicate), timeout=timeout, reason=reason)

    async def until(self, predicate: Callable[[], T]) -> T:
        """`wait_for` without a limit, for coroutines on the loop."""
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            while not (value := predicate()):
                await event.wait()
                event.clear()
            return value
        finally:
            self._waiters.discard(event)

    def sleep(self, seconds: float, reason: str) -> None:
        """Let `seconds` pass. For dwell times that are part of a test, not for waiting on events."""
        self.run(asyncio.sleep(seconds), reason=reason)

    async def blocking(self, call: Callable[[], T]) -> T:
        """From a coroutine on the loop: run a call that blocks on a wire, without stopping the loop."""
        return await asyncio.to_thread(call)

    def changed(self) -> None:
        """Tell waiters, from any thread, that something they may be looking at has changed."""
        if not self._waiters or self.loop.is_closed():
            return
        try:
            inside = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            inside = False
        if inside:  # most often, and without the byte that wakes a loop from outside
            self.loop.call_soon(self._wake)
        else:
            self.loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for event in self._waiters:
            event.set()


class WallClock(Clock):
    """Monotonic time, with the loop in a daemon thread."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.SelectorEventLoop()
        self._start = self.loop.time()
        self._thread = threading.Thread(target=self.loop.run_forever, name="bench-loop", daemon=True)
        self._thread.start()

    def now(self) -> float:
        return self.loop.time() - self._start

    def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        if threading.current_thread() is self._thread:
            coro.close()
            raise RuntimeError("Clock.run called on the loop's own thread; await the coroutine instead")
        future = asyncio.run_coroutine_threadsafe(coro, self.loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def close(self) -> None:
        if self.loop.is_closed():
            return
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self.loop.close()
