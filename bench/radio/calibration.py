"""Path-loss calibration: what the device reports at each attenuation, up and down, and whether it follows.

The report should fall dB for dB: strength = intercept - slope * attenuation with a slope of 1. Where it
stops following, the signal goes past the attenuator; what is below cannot be set.
"""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy

from bench.clock import Clock
from bench.errors import RadioError
from bench.radio.rf import BETWEEN, READINGS, SETTLING, Rf

SLOPE_TOLERANCE = 0.03
MAX_RMS = 1.0
"""dB by which reports may scatter about the line."""
MAX_HYSTERESIS = 1.0
"""dB between the ways up and down."""
LEAKING = 3.0
"""dB above the line from which a report no longer follows the attenuator."""
LEAST_POINTS = 5
GONE = 30.0
"""Bench seconds at the largest attenuation after which the device must have lost the network."""


@dataclass(frozen=True, slots=True)
class Point:
    """At `attenuation` dB the device reported `rsrp` dBm (None: no cell); `rising` on the way up."""

    attenuation: float
    rsrp: float | None
    rising: bool


@dataclass(frozen=True)
class Calibration:
    """One board's radio path as it was measured.

    `intercept` dBm at 0 dB, `slope` dB per dB, `rms` and `hysteresis` in dB; `floor` dBm is what leaks past
    the attenuator (None: it was not reached before the device lost the network), `lost_at` the attenuation
    at which it did (None: it never did). `date` is ISO 8601, and it holds for `days`.
    """

    board: str
    serial: str
    path: str
    instrument: str
    date: str
    days: int
    intercept: float
    slope: float
    rms: float
    hysteresis: float
    floor: float | None
    lost_at: float | None
    points: tuple[Point, ...] = field(default=())

    @property
    def expires(self) -> datetime.date:
        """The first day on which it does not hold any more."""
        return datetime.date.fromisoformat(self.date) + datetime.timedelta(days=self.days)

    @property
    def problems(self) -> list[str]:
        """What is wrong with the path; empty when it is fit for use."""
        found = []
        if abs(self.slope - 1) > SLOPE_TOLERANCE:
            found.append(
                f"slope {self.slope:.3f} is not 1 within {SLOPE_TOLERANCE:g}: the report is compressed"
            )
        if self.rms > MAX_RMS:
            found.append(f"reports scatter by {self.rms:.2f} dB, more than {MAX_RMS:g} dB")
        if self.hysteresis > MAX_HYSTERESIS:
            found.append(f"{self.hysteresis:.2f} dB between up and down, more than {MAX_HYSTERESIS:g} dB")
        if self.lost_at is None:
            most, rsrp = max((p.attenuation, p.rsrp) for p in self.points if p.rsrp is not None)
            found.append(
                f"at the largest attenuation, {most:g} dB, the device still reports {rsrp:g} dBm: "
                "the signal leaks"
            )
        return found


def sweep(rf: Rf, clock: Clock, *, step: float = 5.0, progress: Callable[[Point], None]) -> list[Point]:
    """From the least attenuation until the device loses the network, to the largest, and back.

    The device must be attached at the least attenuation. Raises `RadioError` when it does not come back.
    """
    path, points = rf.path, []

    def take(db: float, rising: bool) -> Point:
        rsrp = _middle(rf, clock)
        points.append(Point(db, rsrp, rising))
        progress(points[-1])
        return points[-1]

    for db in _rungs(path.range.low, path.range.high, step, path.nearest):
        rf.attenuation = db
        clock.sleep(SETTLING, f"{rf.board}: at {db:g} dB")
        if take(db, True).rsrp is None:
            break
    rf.cut()
    clock.sleep(GONE, f"{rf.board}: at the largest attenuation")
    take(path.range.high, True)
    below = [p.attenuation for p in points if p.rsrp is not None]
    for number, db in enumerate(reversed(below)):
        rf.attenuation = db
        clock.sleep(SETTLING, f"{rf.board}: at {db:g} dB")
        if number == 0 and len(below) > 1:
            continue  # at the edge of service it may, or may not, come back
        rf.await_cell()
        take(db, False)
    return points


def _rungs(low: float, high: float, step: float, nearest: Callable[[float], float]) -> list[float]:
    count = int((high - low) / step + 1e-9)
    return sorted({nearest(low + k * step) for k in range(count + 1)})


def _middle(rf: Rf, clock: Clock) -> float | None:
    """The median of three reports. None when none of them tells a cell: one that does has heard it."""
    readings = []
    for number in range(READINGS):
        if number:
            clock.sleep(BETWEEN, f"{rf.board}: the device measures")
        report = rf.report()
        if report is not None:
            readings.append(report.rsrp)
    return statistics.median(readings) if readings else None


def evaluate(
    points: Sequence[Point], *, board: str, serial: str, path: str, instrument: str, date: str, days: int
) -> Calibration:
    """The line through the points. Raises `RadioError` for too few of them."""
    told = [(p.attenuation, p.rsrp, p.rising) for p in points if p.rsrp is not None]
    if len({db for db, _, _ in told}) < LEAST_POINTS:
        raise RadioError(
            f"{board}: the device reported at {len({db for db, _, _ in told})} attenuations, "
            f"{LEAST_POINTS} are needed",
            help="sweep in smaller steps, or begin with a stronger signal",
        )
    first = sorted(told)[: max(3, len(told) // 3)]
    origin = statistics.median(rsrp + db for db, rsrp, _ in first)
    leaking = [rsrp for db, rsrp, _ in told if rsrp - (origin - db) > LEAKING]
    following = [(db, rsrp, up) for db, rsrp, up in told if rsrp - (origin - db) <= LEAKING]
    if len({db for db, _, _ in following}) < 3:
        raise RadioError(
            f"{board}: the report follows the attenuator at {len(following)} points only",
            help="is the antenna cable connected, and is this the path's attenuator?",
        )
    attenuations = numpy.array([db for db, _, _ in following])
    strengths = numpy.array([rsrp for _, rsrp, _ in following])
    slope, intercept = numpy.polyfit(attenuations, strengths, 1)
    residuals = strengths - (intercept + slope * attenuations)
    return Calibration(
        board,
        serial,
        path,
        instrument,
        date,
        days,
        round(float(intercept), 3),
        round(-float(slope), 4),
        round(float(numpy.sqrt(numpy.mean(residuals**2))), 3),
        round(_hysteresis(following), 3),
        min(leaking) if leaking else None,
        _lost_at(points),
        tuple(points),
    )


def _lost_at(points: Sequence[Point]) -> float | None:
    """The attenuation from which on no cell was reported. None when one still was at the largest:
    what the device did not tell on the way there was then a pause, and no loss of the network."""
    heard = [p.attenuation for p in points if p.rsrp is not None]
    gone = [p.attenuation for p in points if p.rsrp is None and p.attenuation > max(heard)]
    return min(gone) if gone else None


def _hysteresis(points: Sequence[tuple[float, float, bool]]) -> float:
    """Mean difference, in dB, between the two ways at the same attenuation."""
    ways: tuple[dict[float, float], dict[float, float]] = ({}, {})
    for db, rsrp, rising in points:
        ways[rising][db] = rsrp
    both = [ways[True][db] - ways[False][db] for db in ways[True].keys() & ways[False].keys()]
    if not both:
        raise RadioError(
            "no attenuation was measured both on the way up and on the way down",
            help="sweep in smaller steps; the device must come back on the way down",
        )
    return abs(statistics.fmean(both))
