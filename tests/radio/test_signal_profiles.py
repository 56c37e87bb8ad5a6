"""Profiles are what their names say, whatever the figures."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import RadioError
from bench.radio.profiles import NOTHING, duration, fading, outage, ramp, step, tunnel

DBM = st.floats(-130, -60)
SECONDS = st.floats(0.5, 300)


@given(DBM, DBM, SECONDS)
def test_a_ramp_ends_where_it_should_in_the_time_it_should(begin, end, seconds):
    made = ramp(begin, end, seconds=seconds)
    assert made[-1].dbm == pytest.approx(end)
    assert duration(made) == pytest.approx(seconds)
    jumps = [b.dbm - a.dbm for a, b in itertools.pairwise(made)]
    assert all(jump * (end - begin) >= -1e-9 for jump in jumps)
    assert max(map(abs, jumps), default=0) <= abs(end - begin) / len(made) + 1e-9


@given(DBM, SECONDS, SECONDS, SECONDS)
def test_a_tunnel_has_nothing_inside_and_ends_outside(outside, enter, inside, leave):
    made = tunnel(outside, enter=enter, inside=inside, leave=leave)
    assert sum(level.hold for level in made if level.dbm == NOTHING) == pytest.approx(inside)
    assert made[-1].dbm == pytest.approx(outside)
    assert duration(made) == pytest.approx(enter + inside + leave)


@given(st.integers(0, 2**31), DBM)
def test_the_same_seed_gives_the_same_fading(seed, mean):
    assert fading(mean, seconds=30, seed=seed) == fading(mean, seconds=30, seed=seed)
    assert fading(mean, seconds=30, seed=seed) != fading(mean, seconds=30, seed=seed + 1)


@given(SECONDS, DBM, st.floats(0.1, 60), st.floats(0, 20))
def test_fading_takes_the_time_it_should_and_is_never_nothing(seconds, mean, coherence, k_factor):
    made = fading(mean, seconds=seconds, seed=1, coherence=coherence, k_factor=k_factor)
    assert duration(made) == pytest.approx(seconds)
    assert all(mean - 40 <= level.dbm <= mean + 15 for level in made)


def gains(k_factor: float, coherence: float) -> list[float]:
    made = fading(-100.0, seconds=20_000, seed=3, k_factor=k_factor, coherence=coherence)
    return [10 ** ((level.dbm + 100) / 10) for level in made]


@pytest.mark.parametrize("k_factor", [0.0, 1.0, 10.0])
def test_fading_keeps_its_mean_power(k_factor):
    assert statistics.fmean(gains(k_factor, 2.0)) == pytest.approx(1.0, abs=0.05)


def test_a_stronger_steady_part_fades_less_deeply():
    deep = [sum(g < 0.1 for g in gains(k, 2.0)) for k in (0.0, 3.0, 10.0)]
    assert deep[0] > 2 * deep[1] > 4 * deep[2]
    assert deep[0] / 40_000 == pytest.approx(1 - math.exp(-0.1), abs=0.02)  # Rayleigh


def test_coherence_is_how_long_the_channel_stays_alike():
    def changes(coherence: float) -> float:
        found = gains(0.0, coherence)
        return statistics.fmean(abs(a - b) for a, b in itertools.pairwise(found))

    assert changes(20.0) < 0.5 * changes(1.0)


def test_steps_and_outages():
    assert [(x.dbm, x.hold) for x in step(-90, -110, at=5, hold=10)] == [(-90, 5), (-110, 10)]
    assert [(x.dbm, x.hold) for x in outage(-90, at=5, seconds=7)] == [(-90, 5), (NOTHING, 7), (-90, 1)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ramp(-90, -100, seconds=-1),
        lambda: ramp(-90, -100, seconds=math.nan),
        lambda: outage(-90, at=1, seconds=math.inf),
        lambda: fading(-90, seconds=10, seed=1, coherence=0),
        lambda: fading(-90, seconds=10, seed=1, coherence=math.nan),
        lambda: fading(-90, seconds=10, seed=1, coherence=math.inf),
        lambda: fading(-90, seconds=10, seed=1, k_factor=-1),
        lambda: fading(-90, seconds=10, seed=1, k_factor=math.nan),
    ],
)
def test_impossible_figures_are_refused(make):
    with pytest.raises(RadioError):
        make()
