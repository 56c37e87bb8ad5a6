"""The parts of a board that take current: each goes through the course of what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.power.draw import Draw, Running
from bench.virtual.power.draw_figures import FULL_POWER, NOMINAL_VOLTS, PARTS, Course, course
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
        self._nominal = NOMINAL_VOLTS[kind]
        # a rail asks often before it finds its voltage, and again at that voltage
        self._means: list[float] = []
        self._running_by: tuple[float, tuple[Running, ...]] | None = None  # by this factor

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
        self._changed()

    def running(self, volts: float) -> tuple[Running, ...]:
        """What is drawn now at `volts`, part by part."""
        factor = self._factor(volts)
        if self._running_by is None or self._running_by[0] != factor:
            drawing = [p for p in self._parts.values() if p.draw is not _NOTHING]
            self._running_by = factor, tuple([Running(p.draw, p.since, factor) for p in drawing])
        return self._running_by[1]

    def mean(self, volts: float) -> float:
        """Amperes drawn now at `volts`, bursts averaged."""
        factor, amps = self._factor(volts), 0.0
        for mean in self._means:
            amps += mean * factor
        return amps

    def _factor(self, volts: float) -> float:
        return 1.0 if self._nominal is None or volts <= 0 else self._nominal / volts

    def _changed(self) -> None:
        self._means = [part.draw.mean for part in self._parts.values() if part.draw is not _NOTHING]
        self._running_by = None

    def _enter(self, part: _Part, stages: Course) -> None:
        if part.next is not None:
            part.next.cancel()
            part.next = None
        part.draw, part.since = stages[0].draw, self._scheduler.now
        self._changed()
        if len(stages) > 1:
            part.next = self._scheduler.after(stages[0].seconds, lambda: self._enter(part, stages[1:]))
        self._on_change()
