"""Is it better or worse than it was: measured runs against stored ones.

With the usual 5 % between runs, five runs find +10 % four times out of five, and +5 % three times
out of ten: a plain limit on the change would either cry wolf or sleep. So there are absolute limits
(the budget), an interval for the change, and "inconclusive" where the interval allows no verdict.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy

from bench.errors import FileError, MeasurementError
from bench.outside_files import read_json

MARGIN = 0.05
"""The change that matters, as a share of the baseline."""

CONFIDENCE = 0.95
RESAMPLES = 4000
MIN_RUNS = 4
"""With fewer on either side the interval would be wrong too often."""

_FORMAT = 1
HELP = "measure one and save it with Baseline.save"


class Verdict(Enum):
    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Metric:
    """Something measured once a run, where less is better: `values` run by run, in `unit`; no run may
    exceed `limit`."""

    unit: str
    values: tuple[float, ...]
    limit: float | None = None


@dataclass(frozen=True, slots=True)
class Baseline:
    """What was measured on `subject` (board and firmware) at `date` (ISO 8601)."""

    subject: str
    date: str
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write JSON that is stable under version control."""
        rows = {"format": _FORMAT, **asdict(self)}
        path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path) -> Baseline:
        """Raises `FileError` for a file that is no baseline."""
        rows = read_json(path, "a baseline", help=HELP)
        try:
            if rows["format"] != _FORMAT:
                raise ValueError(f"format {rows['format']!r}")
            metrics = {name: _metric(row) for name, row in rows["metrics"].items()}
            return cls(str(rows["subject"]), str(rows["date"]), metrics)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(path, f"is not a baseline: {error}", help=HELP) from error


def _metric(row: Mapping[str, Any]) -> Metric:
    limit = row["limit"]
    return Metric(
        str(row["unit"]), tuple(float(v) for v in row["values"]), None if limit is None else float(limit)
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """`change` of the mean as a share (0.1: 10 % more), and its interval; None without enough runs."""

    verdict: Verdict
    reason: str
    change: float | None = None
    low: float | None = None
    high: float | None = None


def compare(
    baseline: Metric,
    values: Sequence[float],
    *,
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Comparison:
    """New runs against a baseline. The same `seed` gives the same verdict.

    Worse: a run is above the absolute limit, or the interval of the change lies above zero and
    reaches beyond `margin`. Better: the same below. Same: the interval is within the margin on both
    sides. Else inconclusive. Raises `MeasurementError` for values that are not positive and finite.
    """
    new = _checked("the new runs", values)
    old = _checked("the baseline", baseline.values)
    if baseline.limit is not None and float(new.max()) > baseline.limit:
        reason = f"{new.max():.6g} {baseline.unit} is above the limit of {baseline.limit:.6g} {baseline.unit}"
        return Comparison(Verdict.WORSE, reason)
    change = float(new.mean() / old.mean() - 1.0)
    if min(len(old), len(new)) < MIN_RUNS:
        reason = f"{len(new)} run(s) against {len(old)}: at least {MIN_RUNS} of each are needed"
        return Comparison(Verdict.INCONCLUSIVE, reason, change)
    low, high = interval(old, new, confidence, seed)
    if low >= -margin and high <= margin:
        verdict = Verdict.SAME
    elif low > 0:
        verdict = Verdict.WORSE
    elif high < 0:
        verdict = Verdict.BETTER
    else:
        verdict = Verdict.INCONCLUSIVE
    reason = f"{change:+.1%}, between {low:+.1%} and {high:+.1%} ({confidence:.0%}); margin {margin:.0%}"
    return Comparison(verdict, reason, change, low, high)


def interval(old: numpy.ndarray, new: numpy.ndarray, confidence: float, seed: int) -> tuple[float, float]:
    """The interval of the change of the mean, by bootstrap on the ratio of the means.

    Few runs make the plain percentile interval too narrow, by a factor known from the normal case:
    sqrt((n - 1) / n) for the spread and t against z for its uncertainty. The percentiles are moved
    outwards by it (the expanded percentile interval; Hesterberg, The American Statistician 69(4), 2015).
    """
    generator = numpy.random.default_rng(seed)
    drawn = numpy.log(_means(generator, new)) - numpy.log(_means(generator, old))
    freedom = min(len(old), len(new)) - 1
    widening = math.sqrt((freedom + 1) / freedom)
    tail = NormalDist().cdf(-widening * _t_quantile(1 - (1 - confidence) / 2, 2 * freedom))
    low, high = numpy.expm1(numpy.quantile(drawn, [tail, 1 - tail]))
    return float(low), float(high)


def _means(generator: numpy.random.Generator, values: numpy.ndarray) -> numpy.ndarray:
    means: numpy.ndarray = generator.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    return means


def _t_quantile(probability: float, freedom: int) -> float:
    """Student's t from the normal quantile (Abramowitz and Stegun 26.7.5); within 1 % from 4 degrees on."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def _checked(what: str, values: Sequence[float]) -> numpy.ndarray:
    array = numpy.asarray(values, dtype=numpy.float64)
    if array.ndim != 1 or not len(array):
        raise MeasurementError(f"{what} hold no values", help="measure at least one run")
    bad = [v for v in array.tolist() if not (math.isfinite(v) and v > 0)]
    if bad:
        raise MeasurementError(
            f"{what} hold {bad[0]!r}", help="charge, energy, time and current are positive and finite"
        )
    return array
