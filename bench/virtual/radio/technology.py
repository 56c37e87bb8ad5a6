"""What a signal's strength means for a link: the curves of LTE-M, NB-IoT and Wi-Fi, as data.

They have the shape that is reported from the field, with a knee, and claim no calibration. `(S)` marks
a figure with a source, `(E)` an estimate of ours; all may be replaced by `dataclasses.replace`.

- (S) LTE-M: 100-300 kbit/s above -100 dBm, a knee between -110 and -118, lost at about -125; round trip
  0.1-0.3 s. NB-IoT: 20-25 kbit/s above -110 dBm, a knee at -120, nothing below -130; round trip 1-10 s in
  deep coverage (operators' and modem makers' field reports). Wi-Fi: down to about -90 dBm.
- (S) Repetitions up to 32 (LTE-M, coverage enhancement mode A) and 128 up / 2048 down (NB-IoT): 3GPP
  TS 36.213.
- (S) Transmission power by open-loop control, so many dB more as the path loses more, up to the class's
  limit: 3GPP TS 36.213, 5.1.1.1. (E) for the strength at which the limit is reached.
- (S) Noise: -174 dBm/Hz over a subcarrier of 15 kHz and a noise figure of 7 dB (E) is -125 dBm.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy


@dataclass(frozen=True, slots=True)
class Link:
    """One way of a link, the same in both directions: seconds, seconds, bits a second, probability.

    `bits_per_second` is what remains when each block is repeated `repetitions` times; `loss` what
    retransmission on the air could not save.
    """

    latency: float
    jitter: float
    bits_per_second: float
    loss: float
    repetitions: int


@dataclass(frozen=True, slots=True)
class Point:
    """The link at a strength of `dbm`; in between, straight lines (the rate's on a logarithmic scale)."""

    dbm: float
    bits_per_second: float
    latency: float
    loss: float
    repetitions: float


@dataclass(frozen=True, slots=True)
class Technology:
    """`unattenuated` dBm arrive when the attenuator adds nothing; below `lost` there is no service.

    Service ends `release` seconds after the strength fell below, and is looked for again from `regain` dB
    above on: each look takes `search` seconds, the pauses between double from `pause` to `longest_pause`;
    then joining takes `attach` seconds. `power_limit` dBm are sent from `limit_below` dBm downwards, and
    one dB less for each dB above. `ceiling` dB is the best ratio to the interference of other cells.
    """

    name: str
    points: tuple[Point, ...]
    unattenuated: float
    lost: float
    noise: float
    ceiling: float
    power_limit: float
    limit_below: float
    least_power: float
    attach: float
    regain: float = 2.0
    release: float = 2.0
    search: float = 2.0
    pause: float = 5.0
    longest_pause: float = 60.0
    jitter: float = 0.4
    """Part of the latency by which a datagram may come later."""
    noise_of_reports: float = 0.4
    """dB, standard deviation of what the device measures."""
    interference: float = 0.0
    """Probability by which a datagram is lost beside, however strong the signal."""
    cellular: bool = True

    def link(self, dbm: float) -> Link:
        """The link at this strength."""
        return _link(self, round(dbm, 2))

    def power(self, dbm: float) -> float:
        """dBm sent by a device that receives `dbm`."""
        return min(self.power_limit, max(self.least_power, self.power_limit - (dbm - self.limit_below)))

    def sinr(self, dbm: float) -> float:
        """Signal to interference and noise, in dB."""
        return -10 * math.log10(10 ** ((self.noise - dbm) / 10) + 10 ** (-self.ceiling / 10))

    def quality(self, dbm: float) -> float:
        """Cellular: RSRQ in dB (3GPP TS 36.214, 5.1.3) in a cell half loaded. Wi-Fi: the ratio, in dB."""
        ratio = 10 ** (self.sinr(dbm) / 10)
        return -10 * math.log10(12 * (0.5 + 1 / ratio)) if self.cellular else self.sinr(dbm)


@lru_cache(maxsize=4096)
def _link(technology: Technology, dbm: float) -> Link:
    points = sorted(technology.points, key=lambda p: p.dbm)
    at = [p.dbm for p in points]

    def between(values: list[float]) -> float:
        return float(numpy.interp(dbm, at, values))

    latency = between([p.latency for p in points])
    return Link(
        latency,
        technology.jitter * latency,
        math.exp(between([math.log(p.bits_per_second) for p in points])),
        1 - (1 - between([p.loss for p in points])) * (1 - technology.interference),
        2 ** round(between([math.log2(p.repetitions) for p in points])),
    )


LTE_M = Technology(
    "LTE-M",
    (
        Point(-100, 300_000, 0.05, 0.0, 1),
        Point(-110, 150_000, 0.08, 0.0, 1),
        Point(-114, 80_000, 0.15, 0.01, 2),
        Point(-118, 30_000, 0.35, 0.04, 8),
        Point(-122, 9_000, 0.8, 0.12, 16),
        Point(-125, 3_000, 1.5, 0.35, 32),
    ),
    unattenuated=-80.0,
    lost=-125.0,
    noise=-125.0,
    ceiling=22.0,
    power_limit=23.0,
    limit_below=-103.0,
    least_power=-10.0,
    attach=4.0,  # (S) usual; the first ever 30 s, the worst tens of minutes
)

NB_IOT = Technology(
    "NB-IoT",
    (
        Point(-110, 23_000, 0.5, 0.0, 1),
        Point(-116, 14_000, 0.9, 0.01, 4),
        Point(-120, 6_000, 1.6, 0.03, 16),
        Point(-125, 1_500, 3.0, 0.10, 64),
        Point(-130, 300, 5.0, 0.35, 128),
    ),
    unattenuated=-80.0,
    lost=-130.0,
    noise=-125.0,
    ceiling=22.0,
    power_limit=23.0,
    limit_below=-103.0,
    least_power=-10.0,
    attach=8.0,
    search=4.0,
    release=5.0,
)

WIFI = Technology(
    "Wi-Fi",
    (
        Point(-65, 10_000_000, 0.003, 0.0, 1),
        Point(-75, 5_000_000, 0.004, 0.0, 1),
        Point(-82, 1_000_000, 0.010, 0.01, 2),
        Point(-86, 300_000, 0.030, 0.05, 4),
        Point(-90, 80_000, 0.100, 0.30, 7),
    ),
    unattenuated=-50.0,
    lost=-90.0,
    noise=-95.0,
    ceiling=30.0,
    power_limit=19.5,
    limit_below=-80.0,  # (E) falls back to 802.11b, which is sent at the most power
    least_power=14.0,
    attach=2.0,
    release=6.0,  # (E) some sixty beacons
    search=1.5,
    pause=2.0,
    longest_pause=30.0,
    jitter=0.66,
    noise_of_reports=1.0,
    cellular=False,
)

TECHNOLOGIES: Mapping[str, Technology] = {"lte-m": LTE_M, "nb-iot": NB_IOT, "wifi": WIFI}
