"""One direction of a path: each datagram's fate, by the direction's settings and a seeded stream."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from bench.network.impairment import Counters, Impairment

HEADERS = 28
"""Bytes of IPv4 and UDP headers, which a link carries too (RFC 791, RFC 768)."""

MAX_UNDERWAY = 4 << 20
"""Bytes of datagrams that one direction holds back at once; what comes on top is dropped, and counted."""

T = TypeVar("T")


class Setting(Generic[T]):
    """A field of the impairment as an attribute: reading gives it, assigning changes it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Impaired, owner: type) -> T:
        value: T = getattr(instance.impairment, self._name)
        return value

    def __set__(self, instance: Impaired, value: T) -> None:
        instance.set(**{self._name: value})


class Impaired(ABC):
    """The settings of `Impairment` as attributes."""

    loss = Setting[float]()
    duplicate = Setting[float]()
    reorder = Setting[float]()
    hold = Setting[float]()
    delay = Setting[float]()
    jitter = Setting[float]()
    bandwidth = Setting[float | None]()
    queue = Setting[int]()

    @property
    @abstractmethod
    def impairment(self) -> Impairment: ...

    @abstractmethod
    def set(self, **settings: Any) -> None:
        """Change settings, by the names of `Impairment`'s fields. Raises `NetworkError`."""


class Stream:
    """The datagrams of one client in one direction; `deliver` is where they come out.

    The n-th datagram always takes the same draws from the stream's random numbers, whatever the
    settings were before: what happens to it depends on the seed, the client's number and n only.
    """

    def __init__(self, seed: str, deliver: Callable[[bytes], None]) -> None:
        self.deliver = deliver
        self._random = random.Random(seed).random
        self.last_arrival = 0.0
        self.waiting: deque[bytes] = deque()

    def draws(self) -> tuple[float, float, float, float]:
        """For loss, duplication, reordering, jitter."""
        draw = self._random
        return draw(), draw(), draw(), draw()


class Way(Impaired):
    """One direction. `changed(way, before)` is told of each change of its settings."""

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        impairment: Impairment,
        changed: Callable[[Way, Impairment], None],
    ) -> None:
        self.name = name
        self.counters = Counters()
        self._loop = loop
        self._impairment = impairment
        self._changed = changed
        self._underway = 0
        self._free = 0.0  # when the link has sent everything it was given

    @property
    def impairment(self) -> Impairment:
        return self._impairment

    def set(self, **settings: Any) -> None:
        before = self._impairment
        self._impairment = before.but(**settings)
        if self._impairment != before:
            self._changed(self, before)

    def carry(self, stream: Stream, data: bytes) -> None:
        """Take one datagram, on the loop."""
        now, settings, counters = self._loop.time(), self._impairment, self.counters
        lost, twice, late, spread = stream.draws()
        counters.offered += 1
        if settings.outage:
            counters.blocked += 1
            return
        if lost < settings.loss:
            counters.lost += 1
            return
        sent = self._serialised(now, len(data) + HEADERS, settings)
        if sent is None:
            counters.dropped += 1
            return
        if self._underway > MAX_UNDERWAY:
            counters.dropped += 1
            return
        arrival = sent + settings.delay + settings.jitter * spread
        copies = 1
        if twice < settings.duplicate:
            counters.duplicated += 1
            copies = 2
        if late < settings.reorder:
            counters.reordered += 1
            for _ in range(copies):
                self._underway += len(data)
                self._loop.call_at(arrival + settings.hold, self._arrive_late, stream, data)
            return
        arrival = max(arrival, stream.last_arrival)
        stream.last_arrival = arrival
        for _ in range(copies):
            if arrival <= now and not stream.waiting:
                self._arrive(stream, data)
            else:
                self._underway += len(data)
                stream.waiting.append(data)
                self._loop.call_at(arrival, self._arrive_next, stream)

    def _serialised(self, now: float, size: int, settings: Impairment) -> float | None:
        """When the last bit has left, or None when the queue is full."""
        if settings.bandwidth is None:
            return now
        start = max(now, self._free)
        if (start - now) * settings.bandwidth / 8 > settings.queue:
            return None
        self._free = start + size * 8 / settings.bandwidth
        return self._free

    def _arrive_next(self, stream: Stream) -> None:
        # timers of the same moment fire in any order; the datagrams keep theirs
        self._arrive_late(stream, stream.waiting.popleft())

    def _arrive_late(self, stream: Stream, data: bytes) -> None:
        self._underway -= len(data)
        self._arrive(stream, data)

    def _arrive(self, stream: Stream, data: bytes) -> None:
        if self._impairment.outage:
            self.counters.blocked += 1
            return
        self.counters.delivered += 1
        self.counters.bytes += len(data)
        stream.deliver(data)
