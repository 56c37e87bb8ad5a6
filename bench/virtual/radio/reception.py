"""What a board's antenna receives now, and what its radio says about it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.radio.path import RfPath
from bench.virtual.radio.technology import Link, Technology


@dataclass(frozen=True, slots=True)
class Measured:
    """As the radio measures it: dBm (RSRP, or RSSI of Wi-Fi), dB, dB."""

    strength: float
    quality: float
    sinr: float


class Reception:
    """One board at one radio path; outlives the board's resets. Call it with the scheduler's lock held."""

    def __init__(self, path: RfPath, technology: Technology, rng: random.Random) -> None:
        self.path = path
        self.technology = technology
        self._rng = rng

    @property
    def strength(self) -> float:
        """dBm at the antenna."""
        return self.technology.unattenuated - self.path.loss

    @property
    def link(self) -> Link:
        return self.technology.link(self.strength)

    @property
    def power(self) -> float:
        """dBm that the device sends with."""
        return self.technology.power(self.strength)

    @property
    def usable(self) -> bool:
        """Whether anything gets across."""
        return self.strength >= self.technology.lost

    @property
    def worth_joining(self) -> bool:
        """Whether a radio without service would take it."""
        return self.strength >= self.technology.lost + self.technology.regain

    def measure(self) -> Measured:
        """A reading, with its noise."""
        strength = self.strength + self._rng.gauss(0.0, self.technology.noise_of_reports)
        return Measured(strength, self.technology.quality(strength), self.technology.sinr(strength))

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher()` when the strength changes. Returns the way to stop."""
        return self.path.watch(lambda db: watcher())
