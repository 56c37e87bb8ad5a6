"""Samples of a current, as every meter delivers them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy

FAINTEST = 1e-11
"""Amperes or volts below which a typical reading is no reading: bytes in the wrong order look so."""


class Sampling(enum.Enum):
    """What one sample stands for."""

    AVERAGE = "average"
    """The mean over the time to the next sample: charge is kept, peaks shorter than that are not."""
    POINT = "point"
    """The value at one moment: peaks are seen if they are hit, and a mean over bursts is wrong."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Evenly spaced samples; sample `i` is of `start + i / rate`.

    `start` in bench seconds, as well as the instrument's own start is known; `rate` in samples a
    second of the *instrument's* clock, which differs from the bench's by some 50 ppm; `current` in
    amperes as float32, NaN where a sample was lost (their number is `lost`), so that no later sample
    shifts in time; `voltage` in volts where the meter takes it too; `range` the number of the
    measuring range, and `logic` the digital inputs as bits (bit 0 is input 0), where it has them.
    """

    start: float
    rate: float
    current: numpy.ndarray
    voltage: numpy.ndarray | None = None
    range: numpy.ndarray | None = None
    logic: numpy.ndarray | None = None
    lost: int = 0

    def __len__(self) -> int:
        return len(self.current)

    @property
    def duration(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return len(self.current) / self.rate


def plausible(values: numpy.ndarray, limit: float) -> bool:
    """Whether these can be readings: all finite, none beyond `limit`, and not all of them next to nothing."""
    if not len(values):
        return True
    with numpy.errstate(invalid="ignore", over="ignore"):
        sizes = numpy.abs(values.astype(numpy.float64))
        if not bool(numpy.all(sizes <= limit)):  # false for NaN too
            return False
    there = sizes[sizes > 0]
    return not len(there) or float(numpy.median(there)) >= FAINTEST
