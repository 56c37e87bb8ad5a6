"""Where a package goes while it comes in: a place in the flash, and the heap it needs for that."""

from __future__ import annotations

from typing import Protocol

from bench.virtual.machine import Machine
from bench.virtual.process import Steps

SECTOR = 4096
DOWNLOAD_HEAP = 8192
"""Bytes of heap that a download needs."""


class Heap:
    """The application's heap, in bytes; somebody may take it away."""

    SIZE = 65536

    def __init__(self) -> None:
        self.free = self.SIZE

    def take(self, amount: int) -> None:
        self.free = max(0, self.free - amount)

    def release(self) -> None:
        self.free = self.SIZE


class Place(Protocol):
    """A part of the flash for one package: an update slot, or a component's own."""

    @property
    def capacity(self) -> int: ...
    def erase(self, start: int = 0) -> Steps: ...
    def write(self, offset: int, data: bytes) -> Steps: ...
    def check(self, length: int) -> Steps: ...
    def invalidate(self) -> Steps: ...


class PackageStore:
    """Bytes go in one after the other; `received` counts them."""

    def __init__(self, machine: Machine, place: Place, heap: Heap) -> None:
        self._machine = machine
        self._place = place
        self._heap = heap
        self.received = 0
        self._touched = False

    @property
    def capacity(self) -> int:
        return self._place.capacity

    @property
    def has_memory(self) -> bool:
        return self._heap.free >= DOWNLOAD_HEAP

    def begin(self, at: int = 0) -> Steps:
        """Make room from `at` (a sector's start) on; what lies before it stays."""
        self._machine.activity("flash")
        yield from self._place.erase(at)
        self._machine.activity("idle")
        self._touched, self.received = True, at

    def append(self, data: bytes) -> Steps:
        self._machine.activity("flash")
        yield from self._place.write(self.received, data)
        self._machine.activity("idle")
        self.received += len(data)

    def verdict(self) -> Steps:
        """What the place says of the package."""
        return (yield from self._place.check(self.received))

    def discard(self, length: int) -> Steps:
        """Nothing of what came in, now or (`length` bytes) before the restart, may ever boot."""
        if self._touched or self.received or length:
            self.received, self._touched = 0, False
            yield from self._place.invalidate()
