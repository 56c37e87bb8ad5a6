"""Where a package goes while it comes in: the update slot, and the heap it needs for that."""

from __future__ import annotations

from bench.virtual.boot.slots import UpdateSlots
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


class PackageStore:
    """Bytes go in one after the other; `received` counts them."""

    def __init__(self, machine: Machine, slots: UpdateSlots, heap: Heap) -> None:
        self._machine = machine
        self._slots = slots
        self._heap = heap
        self.received = 0
        self._touched = False

    @property
    def capacity(self) -> int:
        return self._slots.capacity

    @property
    def has_memory(self) -> bool:
        return self._heap.free >= DOWNLOAD_HEAP

    def begin(self, at: int = 0) -> Steps:
        """Make room from `at` (a sector's start) on; what lies before it stays."""
        self._machine.activity("flash")
        yield from self._slots.erase(at)
        self._machine.activity("idle")
        self._touched, self.received = True, at

    def append(self, data: bytes) -> Steps:
        self._machine.activity("flash")
        yield from self._slots.write(self.received, data)
        self._machine.activity("idle")
        self.received += len(data)

    def verdict(self) -> Steps:
        """What the slots say of the package."""
        return (yield from self._slots.check(self.received))

    def discard(self, length: int) -> Steps:
        """Nothing of what came in, now or (`length` bytes) before the restart, may ever boot."""
        if self._touched or self.received or length:
            self.received, self._touched = 0, False
            yield from self._slots.invalidate()
