"""The parts of a board that take current: each goes through the course of what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.draw import Draw, Running
from bench.virtual.draw_figures import FULL_POWER, NOMINAL_VOLTS, PARTS, Course, course
from bench.virtual.scheduler import Handle, Scheduler

_NOTHING = Draw()


@dataclass(slots=True)
class _Part:
    activity: str = ""
    draw: Draw = _NOTHING
    since: float = 0.0
    next: Handle | None = None


class Consumers:
    """`on_change()` is called after each change of what is drawn, also when a stage has ended."""

    def __init__(self, kind: str, scheduler: Scheduler, on_change: Callable[[], None]) -> None:
        self.kind = kind
        self.tx_power = FULL_POWER[kind]
        """dBm of the next transmission."""
        self._scheduler = scheduler
        self._on_change = on_change
        self._parts = {part: _Part() for part in sorted(set(PARTS.values()))}
        self._known: dict[float, tuple[tuple[Running, ...], float]] = {}  # by factor, until a part changes

    def begin(self, activity: str) -> None:
        """The part that `activity` belongs to does this from now on, unless it does already.

        Raises KeyError for an activity that this kind of board does not have.
        """
        part = self._parts[PARTS[activity]]
        name = f"tx at {self.tx_power:g} dBm" if activity == "tx" else activity
        if part.activity != name:
            stages = course(self.kind, activity, self.tx_power)
            part.activity = name
            self._enter(part, stages)

    def off(self) -> None:
        """The supply failed: nothing is drawn. Tells nobody, as the rail is what says so."""
        for part in self._parts.values():
            if part.next is not None:
                part.next.cancel()
            part.activity, part.draw, part.next = "", _NOTHING, None
        self._known.clear()

    def running(self, volts: float) -> tuple[Running, ...]:
        """What is drawn now at `volts`, part by part."""
        return self._at(volts)[0]

    def mean(self, volts: float) -> float:
        """Amperes drawn now at `volts`, bursts averaged."""
        return self._at(volts)[1]

    def _at(self, volts: float) -> tuple[tuple[Running, ...], float]:
        """A rail asks many times before it has found its voltage."""
        nominal = NOMINAL_VOLTS[self.kind]
        factor = 1.0 if nominal is None or volts <= 0 else nominal / volts
        found = self._known.get(factor)
        if found is None:
            drawn = tuple(
                Running(p.draw, p.since, factor) for p in self._parts.values() if p.draw is not _NOTHING
            )
            found = self._known[factor] = drawn, sum(running.mean for running in drawn)
        return found

    def _enter(self, part: _Part, stages: Course) -> None:
        if part.next is not None:
            part.next.cancel()
            part.next = None
        part.draw, part.since = stages[0].draw, self._scheduler.now
        self._known.clear()
        if len(stages) > 1:
            part.next = self._scheduler.after(stages[0].seconds, lambda: self._enter(part, stages[1:]))
        self._on_change()
