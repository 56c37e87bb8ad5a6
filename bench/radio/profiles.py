"""Signal over time, as strength in dBm: steps, ramps, tunnels, fading, outages. Pure functions, seeded."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.errors import RadioError

NOTHING = -math.inf
"""No signal: as much attenuation as there is."""
STEP = 0.5
"""Bench seconds between two settings of a profile that changes all the time."""


@dataclass(frozen=True, slots=True)
class Level:
    """A strength in dBm (`NOTHING`: none), and for how many bench seconds it holds."""

    dbm: float
    hold: float


Profile = tuple[Level, ...]


def duration(profile: Sequence[Level]) -> float:
    """Bench seconds from its start to its end."""
    return sum(level.hold for level in profile)


def step(before: float, after: float, *, at: float, hold: float) -> Profile:
    """`before` dBm for `at` seconds, then `after` dBm for `hold` seconds."""
    return (Level(before, _seconds(at)), Level(after, _seconds(hold)))


def ramp(begin: float, end: float, *, seconds: float) -> Profile:
    """From `begin` to `end` dBm evenly, in settings half a second apart."""
    count = max(1, round(_seconds(seconds) / STEP))
    return tuple(Level(begin + (end - begin) * k / count, seconds / count) for k in range(1, count + 1))


def tunnel(outside: float, *, enter: float, inside: float, leave: float) -> Profile:
    """Into a tunnel: `outside` dBm fall by 30 dB within `enter` seconds, nothing for `inside`, and back."""
    falling = ramp(outside, outside - 30, seconds=enter)
    rising = ramp(outside - 30, outside, seconds=leave)
    return (*falling, Level(NOTHING, _seconds(inside)), *rising)


def outage(usual: float, *, at: float, seconds: float, after: float = 1.0) -> Profile:
    """`usual` dBm, from `at` seconds on nothing for `seconds`, then `usual` again for `after`."""
    return (Level(usual, _seconds(at)), Level(NOTHING, _seconds(seconds)), Level(usual, _seconds(after)))


def fading(
    mean: float, *, seconds: float, seed: int, coherence: float = 2.0, k_factor: float = 3.0
) -> Profile:
    """Rician fading about `mean` dBm; its steady part is `k_factor` times as strong as the scattered one.

    The channel stays alike for about `coherence` seconds. The same seed gives the same profile.
    """
    if not (math.isfinite(coherence) and coherence > 0 and math.isfinite(k_factor) and k_factor >= 0):
        raise RadioError(
            f"fading with coherence {coherence:g} s and K {k_factor:g}",
            help="give positive seconds, and K >= 0",
        )
    rng = random.Random(f"fading/{seed}")
    count = max(1, round(_seconds(seconds) / STEP))
    gains = itertools.islice(_rician(rng, coherence, k_factor), count)
    return tuple(Level(mean + 10 * math.log10(max(gain, 1e-4)), seconds / count) for gain in gains)


def _rician(rng: random.Random, coherence: float, k_factor: float) -> Iterator[float]:
    """Power gains with mean 1: a steady part and two independent first-order Gauss-Markov processes."""
    keep = math.exp(-STEP / coherence)
    fresh = math.sqrt(1 - keep * keep)
    steady = math.sqrt(k_factor / (k_factor + 1))
    scattered = math.sqrt(1 / (2 * (k_factor + 1)))
    x, y = rng.gauss(0, 1), rng.gauss(0, 1)
    while True:
        yield (steady + scattered * x) ** 2 + (scattered * y) ** 2
        x, y = keep * x + fresh * rng.gauss(0, 1), keep * y + fresh * rng.gauss(0, 1)


def _seconds(seconds: float) -> float:
    if not (math.isfinite(seconds) and seconds >= 0):
        raise RadioError(f"a profile of {seconds:g} s", help="give seconds, 0 or more")
    return seconds
