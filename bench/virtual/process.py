"""Firmware as processes: generators that take simulated time and die with the supply.

A process yields a number of seconds to sleep, or a `Signal` to wait for one. A `Cpu` holds the
processes of one processor: reset and power loss kill them where they stand, a debugger halts them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from bench.virtual.scheduler import Handle, Scheduler

Steps = Generator["float | Signal", Any, Any]
"""What firmware code is written as: `yield 0.1` sleeps, `value = yield signal` waits."""


class Signal:
    """Something a process can wait for; `send(value)` wakes all that wait, with that value."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[Any], None]] = []

    def send(self, value: Any = None) -> None:
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake(value)

    def subscribe(self, wake: Callable[[Any], None]) -> None:
        self._waiting.append(wake)


class Cpu:
    """The processes of one processor, with halt, resume and sudden death."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.halted = False
        self._life = 0
        self._deferred: list[Callable[[], None]] = []
        self._running: list[Steps] = []
        self._current: Steps | None = None

    @property
    def busy(self) -> bool:
        """Whether any process is alive."""
        return bool(self._running)

    def spawn(self, steps: Steps) -> None:
        """Start a process now."""
        self._running.append(steps)
        self._step(steps, self._life, None)

    def after(self, delay: float, call: Callable[[], Any]) -> Handle:
        """A timer of this processor: dies with it, and waits while it is halted."""
        life = self._life
        return self.scheduler.after(delay, lambda: self._guard(life, call))

    def watchdog(self, delay: float, bite: Callable[[], Any]) -> Handle:
        """A timer that a halted processor does not stop; it dies with the processor's reset."""
        life = self._life
        return self.scheduler.after(delay, lambda: bite() if life == self._life else None)

    def kill(self) -> None:
        """Reset or power loss: every process stops where it stands, every timer is gone."""
        self._life += 1
        self.halted = False
        self._deferred.clear()
        running, self._running = self._running, []
        for steps in running:
            if steps is not self._current:
                steps.close()

    def halt(self) -> None:
        self.halted = True

    def resume(self) -> None:
        self.halted = False
        deferred, self._deferred = self._deferred, []
        for call in deferred:
            self.scheduler.after(0.0, call)

    def _guard(self, life: int, call: Callable[[], Any]) -> None:
        if life != self._life:
            return
        if self.halted:
            self._deferred.append(lambda: self._guard(life, call))
        else:
            call()

    def _step(self, steps: Steps, life: int, value: Any) -> None:
        if life != self._life:
            return
        outer, self._current = self._current, steps
        try:
            wish = steps.send(value)
        except StopIteration:
            if steps in self._running:
                self._running.remove(steps)
            return
        finally:
            self._current = outer
        if life != self._life:
            steps.close()  # it reset its own processor
            return
        if isinstance(wish, Signal):
            wish.subscribe(lambda v: self._guard(life, lambda: self._step(steps, life, v)))
        else:
            self.scheduler.after(
                float(wish), lambda: self._guard(life, lambda: self._step(steps, life, None))
            )
