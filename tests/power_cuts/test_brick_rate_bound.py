"""The exact bound on the brick rate, against figures worked out otherwise."""

from __future__ import annotations

import math

import pytest

from bench.power_cuts.bound import statement, upper_bound


def test_149_cuts_without_a_brick_prove_less_than_two_percent() -> None:
    assert upper_bound(0, 149) < 0.02 < upper_bound(0, 148)


@pytest.mark.parametrize("trials", [30, 149, 1000, 30_000])
def test_the_rule_of_three_is_near(trials: int) -> None:
    assert upper_bound(0, trials) == pytest.approx(3 / trials, rel=0.06)
    assert (1 - upper_bound(0, trials)) ** trials == pytest.approx(0.05)


@pytest.mark.parametrize(("failures", "trials"), [(1, 1), (1, 50), (2, 10), (9, 10), (3, 1000)])
def test_at_the_bound_so_few_failures_are_just_that_unlikely(failures: int, trials: int) -> None:
    bound = upper_bound(failures, trials)
    if failures == trials:
        assert bound == 1.0
        return
    chance = sum(math.comb(trials, k) * bound**k * (1 - bound) ** (trials - k) for k in range(failures + 1))
    assert chance == pytest.approx(0.05, rel=1e-6)


def test_published_bounds() -> None:
    """One-sided 95 % Clopper-Pearson limits from tables: 1 of 10 and 5 of 20."""
    assert upper_bound(1, 10) == pytest.approx(0.3942, abs=5e-4)
    assert upper_bound(5, 20) == pytest.approx(0.4556, abs=5e-4)


def test_nothing_tried_proves_nothing() -> None:
    assert upper_bound(0, 0) == 1.0


@pytest.mark.parametrize(("failures", "trials", "confidence"), [(2, 1, 0.95), (-1, 5, 0.95), (0, 5, 1.0)])
def test_what_cannot_be_is_refused(failures: int, trials: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="trials at confidence"):
        upper_bound(failures, trials, confidence)


def test_statement() -> None:
    assert statement(0, 149).endswith("brick rate below 1.99 % with 95 % confidence")
