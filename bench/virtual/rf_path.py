"""A path between base station and device with a programmable attenuator in it."""

from __future__ import annotations

from collections.abc import Callable


class RfPath:
    """How many dB the attenuator adds now. Call it with the scheduler's lock held."""

    def __init__(self) -> None:
        self._attenuation = 0.0
        self._watchers: list[Callable[[float], None]] = []

    @property
    def attenuation(self) -> float:
        """dB."""
        return self._attenuation

    @attenuation.setter
    def attenuation(self, db: float) -> None:
        if db != self._attenuation:
            self._attenuation = db
            for watcher in tuple(self._watchers):
                watcher(db)

    def watch(self, watcher: Callable[[float], None]) -> None:
        """Call `watcher(dB)` at each change."""
        self._watchers.append(watcher)
