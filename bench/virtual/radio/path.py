"""A path between base station and device with a programmable attenuator in it."""

from __future__ import annotations

import math
from collections.abc import Callable


class RfPath:
    """How many dB the attenuator adds now. Call it with the scheduler's lock held.

    Some of the signal goes past the attenuator, through the air and the box's seams: `isolation` dB
    below what enters, so that beyond about that much a further dB changes nothing.
    """

    def __init__(self, isolation: float = 100.0) -> None:
        self.isolation = isolation
        self._attenuation = 0.0
        self._watchers: list[Callable[[float], None]] = []

    @property
    def attenuation(self) -> float:
        """dB in the attenuator."""
        return self._attenuation

    @attenuation.setter
    def attenuation(self, db: float) -> None:
        if db != self._attenuation:
            self._attenuation = db
            for watcher in tuple(self._watchers):
                watcher(db)

    @property
    def loss(self) -> float:
        """dB between both ends, what leaks past the attenuator included."""
        through, past = 10 ** (-self._attenuation / 10), 10 ** (-self.isolation / 10)
        return -10 * math.log10(through + past)

    def watch(self, watcher: Callable[[float], None]) -> Callable[[], None]:
        """Call `watcher(dB)` at each change. Returns the way to stop."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)
