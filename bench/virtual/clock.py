"""The virtual bench's clock: time jumps to the next event when everything waits.

The loop runs inside the waiting test thread. While the test thread does other work (a blocking
library call, say) nothing drives the loop, so time stands still, except where that work itself
takes simulated time from the scheduler. Real sockets are polled before every jump, so the servers
and the virtual boards talk over real UDP and TCP.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from bench.clock import Clock
from bench.virtual.scheduler import Scheduler
from bench.virtual.streams import PATIENCE, Streams

T = TypeVar("T")

EXTERNAL_POLL = 0.2
"""Wall seconds to look at real sockets when no event is due at all (a foreign process may speak)."""
BARRIER_LIMIT = 1.0
"""Wall seconds that a datagram may take round loopback."""
MOST_UNSEEN = 16
"""Events in a row, none of which carried anything out of the plant, after which sockets are looked at."""
FULL_POLL = 0.002
"""Wall seconds between looks at sockets while one may not send, though the kernel would let it."""


class _LoopbackBarrier:
    """Proves that datagrams sent so far on loopback have reached their sockets.

    The kernel may deliver a loopback datagram a moment after `sendto` returned. Its queue is
    first in, first out, so once a datagram of our own has come round, the earlier ones have too.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())
        self._socket.setblocking(False)

    def pass_through(self) -> None:
        try:
            self._socket.send(b"\0")
            self._socket.recv(1)
        except BlockingIOError:  # still on its way; a lost one only costs the proof, not the run
            if select.select([self._socket], [], [], BARRIER_LIMIT)[0]:
                self._socket.recv(1)

    def close(self) -> None:
        self._socket.close()


class _JumpingSelector(selectors.BaseSelector):
    """A selector that, when nothing is ready, advances the scheduler instead of sleeping."""

    def __init__(self, scheduler: Scheduler, streams: Streams, pace: float | None) -> None:
        self._real = selectors.DefaultSelector()
        self._scheduler = scheduler
        self._streams = streams
        self._pace = pace
        self._barrier = _LoopbackBarrier()
        self.loop_has_work = False
        """Whether something was handed to asyncio during an event of the plant."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._look(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        end = None if timeout is None else self._scheduler.now + timeout
        unseen = MOST_UNSEEN
        while True:
            # what spoke to nobody outside has nobody to wait for: most events of a plant are such
            if self._scheduler.spoken or unseen >= MOST_UNSEEN:
                unseen = 0
                ready = self._settled_look()
                if ready:
                    return ready
            with self._scheduler.lock:
                now, due = self._scheduler.now, self._scheduler.next_time()
            until = end if due is None or (end is not None and end <= due) else due
            if until is None:
                return self._look(EXTERNAL_POLL)
            if self._pace is not None:
                ready = self._paced_wait(max(0.0, until - now))
                if ready:
                    return ready
            self.loop_has_work = self._scheduler.spoken = False
            unseen += 1
            with self._scheduler.lock:
                self._scheduler.run_settled_to(until)
            if self.loop_has_work or until == end:  # else the plant goes on by itself
                return self._settled_look() if self._scheduler.spoken else []

    def _settled_look(self) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready once everything that happened up to now has got to where it goes."""
        self._scheduler.settle()
        self._barrier.pass_through()
        with self._scheduler.lock:
            on_its_way = self._streams.settle(self._is_read)
        ready = self._look(PATIENCE if on_its_way else 0)
        if on_its_way and not ready:
            self._streams.give_up()
        return ready

    def _paced_wait(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait in wall time, crediting the time that passed when a socket interrupts."""
        assert self._pace is not None
        slice_ = min(seconds, 0.02 * self._pace)
        while seconds > 0:
            ready = self._look(slice_ / self._pace)
            with self._scheduler.lock:
                self._scheduler.run_to(self._scheduler.now + slice_)
            if ready:
                return ready
            seconds -= slice_
            slice_ = min(seconds, 0.02 * self._pace)
        return []

    def _look(self, seconds: float) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready, within wall `seconds`; a stream without credit is not, whatever the kernel says."""
        end = time.monotonic() + seconds
        while True:
            ready = self._real.select(seconds)
            full = self._streams.full if ready else set()
            if not full:
                return ready
            allowed = []
            for key, events in ready:
                events &= ~selectors.EVENT_WRITE if key.fd in full else -1
                if events:
                    allowed.append((key, events))
            seconds = end - time.monotonic()
            if allowed or seconds <= 0:
                return allowed
            time.sleep(min(seconds, FULL_POLL))  # the kernel would return at once, again and again

    def _is_read(self, fd: int) -> bool:
        key = self._real.get_map().get(fd)
        return key is not None and bool(key.events & selectors.EVENT_READ)

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


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in simulated time. `streams` are its TCP connections with virtual devices."""

    def __init__(self, scheduler: Scheduler, pace: float | None) -> None:
        self._scheduler = scheduler
        self.streams = Streams(self.add_reader, self.remove_reader, self.speak)
        self._jumping = _JumpingSelector(scheduler, self.streams, pace)
        super().__init__(self._jumping)

    @property
    def _clock_resolution(self) -> float:
        """How long before its moment asyncio may call a timer: not at all.

        A timer called early would find time left and wait again, for ever, as this clock does not move
        meanwhile. asyncio calls what is due before `time() + resolution`, so zero would call nothing.
        """
        return math.ulp(self._scheduler.now)

    @_clock_resolution.setter
    def _clock_resolution(self, seconds: float) -> None:
        """asyncio takes that of the PC's clock, which does not count here."""

    def time(self) -> float:
        return self._scheduler.now

    def speak(self) -> None:
        """A device has just sent something, opened or closed a connection."""
        self._scheduler.spoken = True

    def call_soon(  # type: ignore[override]  # the types of the arguments are asyncio's affair
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self._jumping.loop_has_work = True
        return super().call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        now = self._scheduler.now
        when = now + delay
        if delay > 0:  # too short for a float of this size, it would be no wait, and so repeated for ever
            when = max(when, math.nextafter(now, math.inf))
        return self.call_at(when, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        self._jumping.loop_has_work = True
        return super().call_at(when, callback, *args, context=context)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> asyncio.Server:
        """As asyncio's; the connections of a server on one IPv4 address are in `streams`."""
        if options.get("sock") is None and _is_ipv4(host):
            for name in ("family", "flags", "reuse_address", "reuse_port"):
                options.pop(name, None)
            options["sock"] = self.streams.listen(host, port or 0)
            host = port = None
        return await super().create_server(protocol_factory, host, port, **options)


def _is_ipv4(host: Any) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False


class VirtualClock(Clock):
    """Simulated seconds. `pace` None jumps; a number plays that many simulated seconds a wall second."""

    loop: VirtualLoop

    def __init__(self, scheduler: Scheduler, pace: float | None = None) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.loop = VirtualLoop(scheduler, pace)
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
        task = self.loop.create_task(coro)
        try:
            return self.loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()  # else it would go on inside the next wait
            raise

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
