"""A current over time in closed form: a constant and trains of pulses.

Bursts of microseconds run for hours of simulated time, so they are never events. Value and charge
are formulas of the time since the activity began; whatever rate a meter has, its samples are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy


@dataclass(frozen=True, slots=True)
class Pulses:
    """`height` amperes for `width` seconds every `period` seconds, the first after `delay` seconds."""

    height: float
    width: float
    period: float
    delay: float = 0.0

    @property
    def mean(self) -> float:
        """Amperes in the long run."""
        return self.height * self.width / self.period

    def at(self, seconds: numpy.ndarray) -> numpy.ndarray:
        """Amperes at these moments; a pulse holds from its first moment to just before its last."""
        since = seconds - self.delay
        into = since - numpy.floor(since / self.period) * self.period
        return numpy.where((since >= 0) & (into < self.width), self.height, 0.0)

    def charge(self, seconds: numpy.ndarray) -> numpy.ndarray:
        """Coulombs from the beginning to each of these moments."""
        since = numpy.maximum(seconds - self.delay, 0.0)
        whole = numpy.floor(since / self.period)
        part = numpy.minimum(since - whole * self.period, self.width)
        charge: numpy.ndarray = self.height * (whole * self.width + part)
        return charge


@dataclass(frozen=True)
class Draw:
    """`base` amperes with trains of pulses on top."""

    base: float = 0.0
    pulses: tuple[Pulses, ...] = ()

    @cached_property
    def mean(self) -> float:
        """Amperes in the long run."""
        return self.base + sum(train.mean for train in self.pulses)

    @cached_property
    def peak(self) -> float:
        """Amperes when all pulses meet."""
        return self.base + sum(train.height for train in self.pulses)

    def __add__(self, other: Draw) -> Draw:
        return Draw(self.base + other.base, self.pulses + other.pulses)


@dataclass(frozen=True, slots=True)
class Running:
    """A draw that began at `since` (simulated seconds), taken `factor` times."""

    draw: Draw
    since: float
    factor: float = 1.0

    @property
    def mean(self) -> float:
        """Amperes in the long run."""
        return self.draw.mean * self.factor

    @property
    def peak(self) -> float:
        """Amperes when all pulses meet."""
        return self.draw.peak * self.factor


def pulsed(mean: float, *, base: float, peak: float, width: float) -> Draw:
    """`base` and `peak` amperes in turns, at the peak for `width` seconds, `mean` in the long run."""
    if mean <= base:
        return Draw(mean)
    return Draw(base, (Pulses(peak - base, width, (peak - base) * width / (mean - base)),))
