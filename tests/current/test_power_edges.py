"""The moment at which the supply came up, as a meter saw it."""

from __future__ import annotations

import numpy
import pytest
from current_rig import trace_of

from bench.current.edges import power_up


def amps(*parts: tuple[float, float], rate: float = 1000.0) -> numpy.ndarray:
    return numpy.concatenate([numpy.full(round(seconds * rate), level) for level, seconds in parts])


def test_the_edge_is_found_to_a_sample():
    trace = trace_of(amps((0.0, 1.0), (0.02, 1.0)), start=100.0)
    assert power_up(trace, 101.05) == pytest.approx(101.0, abs=1e-3)


def test_a_meters_noise_before_it_is_silence():
    noise = numpy.abs(numpy.random.default_rng(1).normal(0, 20e-6, 1000))
    trace = trace_of(numpy.concatenate([noise, amps((0.02, 1.0))]))
    assert power_up(trace, 0.9) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    "parts",
    [
        [(0.0, 2.0)],  # it never came up
        [(0.01, 2.0)],  # it was on all the time
        [(0.0, 0.5), (0.02, 1.5)],  # too far from where it was expected
        [(500e-6, 1.0), (0.02, 1.0)],  # a board that slept is no board without supply
    ],
)
def test_no_edge_is_better_than_a_wrong_one(parts):
    assert power_up(trace_of(amps(*parts)), 1.0) is None


def test_outside_the_trace_there_is_none():
    assert power_up(trace_of(amps((0.0, 1.0), (0.02, 1.0))), 50.0) is None
