"""What so many power cuts without a brick prove: the exact bound on the brick rate.

Source: Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of the
binomial" (1934). Without a failure the bound is 1 - (1 - confidence) ** (1 / trials), which the rule
of three puts at 3 / trials for 95 %.
"""

from __future__ import annotations

import math

CONFIDENCE = 0.95
_STEPS = 60  # halvings of the interval; more than a float can tell apart


def upper_bound(failures: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The rate of failures that is exceeded with a probability of at most 1 - `confidence`.

    One-sided. Raises `ValueError` unless 0 <= failures <= trials and 0 < confidence < 1.
    """
    if not 0 <= failures <= trials or not 0 < confidence < 1:
        raise ValueError(f"{failures} failures of {trials} trials at confidence {confidence:g}")
    if failures == trials:  # no trial at all proves nothing
        return 1.0
    if failures == 0:
        return -math.expm1(math.log1p(-confidence) / trials)
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _at_most(failures, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(failures: int, trials: int, rate: float) -> float:
    """The probability of at most `failures` in `trials`, each failing with `rate` (0 < rate < 1)."""
    return math.fsum(
        math.exp(_log_ways(trials, k) + k * math.log(rate) + (trials - k) * math.log1p(-rate))
        for k in range(failures + 1)
    )


def _log_ways(trials: int, chosen: int) -> float:
    return math.lgamma(trials + 1) - math.lgamma(chosen + 1) - math.lgamma(trials - chosen + 1)


def statement(failures: int, trials: int, confidence: float = CONFIDENCE) -> str:
    """The bound in words.

    >>> statement(0, 149)
    '0 of 149 power cuts bricked it: brick rate below 1.99 % with 95 % confidence'
    """
    bound = upper_bound(failures, trials, confidence)
    return (
        f"{failures} of {trials} power cuts bricked it: "
        f"brick rate below {100 * bound:.3g} % with {100 * confidence:g} % confidence"
    )
