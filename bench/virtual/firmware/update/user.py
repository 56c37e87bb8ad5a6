"""The person at the device, who may put off an update (object 5, version 1.1, resources 11 and 13)."""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.machine import Machine
from bench.virtual.scheduler import Handle


class User:
    """`defers` is what the person says when asked; `accepts` what happens when they agree after all."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.defers = False
        self._waiting: Callable[[], None] | None = None
        self._limit: Handle | None = None

    def put_off(self, go_on: Callable[[], None], longest: int | None) -> None:
        """Call `go_on` when the person agrees, or `longest` seconds have passed (None: no limit)."""
        self.withdraw()
        self._waiting = go_on
        if longest is not None:
            self._limit = self._machine.cpu.after(longest, self.accept)

    def accept(self) -> None:
        waiting = self._waiting
        self.withdraw()
        self.defers = False
        if waiting is not None:
            waiting()

    def withdraw(self) -> None:
        """There is nothing to agree to any more."""
        self._waiting = None
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
