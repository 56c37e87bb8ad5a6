"""How much of what strangers cause is put down: a burst, and then so much a second."""

from __future__ import annotations

from collections.abc import Callable


class Allowance:
    """`burst` at once, refilled at `rate` a second; `now` is in seconds. `missed` counts what was refused."""

    def __init__(self, now: Callable[[], float], burst: float, rate: float) -> None:
        self._now = now
        self._burst, self._rate = burst, rate
        self._left, self._at = burst, now()
        self.missed = 0

    def take(self) -> bool:
        """Whether one more may be put down."""
        now = self._now()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            self.missed += 1
            return False
        self._left -= 1
        return True
