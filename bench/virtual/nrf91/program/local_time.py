"""The running program's own time, which is ahead of the plant's by what it has used up and not yet waited."""

from __future__ import annotations

from bench.virtual.scheduler import Scheduler


class LocalTime:
    """Seconds. Instructions and register accesses cost some; the plant catches up by `take`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.ahead = 0.0

    def now(self) -> float:
        return self._scheduler.now + self.ahead

    def spend(self, seconds: float) -> None:
        self.ahead += seconds

    def wait_until(self, moment: float) -> None:
        """No way back: a moment that has passed changes nothing."""
        self.ahead = max(self.ahead, moment - self._scheduler.now)

    def take(self) -> float:
        """What the plant has to catch up with; the program is then no longer ahead of it."""
        ahead, self.ahead = self.ahead, 0.0
        return ahead
