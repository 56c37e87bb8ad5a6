"""The signal at the board: as it reported it, and what follows from the attenuator in between."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.evidence.picture.lanes import Lanes, Series


@dataclass(frozen=True, slots=True)
class Radio:
    """One line of a picture: its name, unit and points; `low` and `high` are the ends of its axis."""

    name: str
    unit: str
    line: Series
    dots: Series
    low: float
    high: float


def radio(found: Lanes) -> Radio | None:
    """Strength in dBm where the board ever reported one, else the attenuation in dB; None without both."""
    line = estimate(found.signal, found.attenuation, found.arriving)
    dots = [(t, v) for t, v in found.signal if math.isfinite(v)]
    if dots:
        levels = [v for _, v in [*line, *dots]]
        low = max(-150, math.floor(min(levels)) - 5)
        return Radio("signal", "dBm", line or found.signal, dots, low, math.ceil(max(levels)) + 5)
    if found.attenuation:
        most = max(db for _, db in found.attenuation)
        return Radio("attenuation", "dB", found.attenuation, [], 0, math.ceil(1.1 * most) or 1)
    return None


def estimate(signal: Series, attenuation: Series, arriving: float | None) -> Series:
    """The strength that follows from each attenuation, where `arriving` dBm arrive without any."""
    if arriving is None:
        return []
    strengths = [(t, arriving - db) for t, db in attenuation]
    if not strengths or not math.isfinite(signal[0][1]):
        return strengths
    before = signal[0][0] <= strengths[0][0] and signal[0] != strengths[0]
    return [signal[0], *strengths] if before else strengths
