"""The meter's clock against the bench's: 50 ppm are found, wrong markers are refused."""

import math

import numpy
import pytest
from current_rig import trace_of

from bench.current.clocks import Marker, fit_clocks, marker_times, pair_markers
from bench.errors import MeasurementError


def test_two_markers_find_50_ppm():
    fit = fit_clocks([Marker(0.5, 1000.0), Marker(1800.5, 2800.09)])
    assert fit.ppm == pytest.approx(50)
    assert fit.bench(900.5) == pytest.approx(1900.045)
    assert fit.meter(fit.bench(123.0)) == pytest.approx(123.0)
    assert fit.residual == pytest.approx(0, abs=1e-9)


def test_jitter_of_many_markers_averages_out():
    generator = numpy.random.default_rng(2)
    meter = numpy.linspace(1, 1801, 31)
    bench = 1e6 + meter * (1 - 30e-6) + generator.normal(0, 2e-4, 31)
    fit = fit_clocks([Marker(m, b) for m, b in zip(meter, bench, strict=True)])
    assert fit.ppm == pytest.approx(-30, abs=0.3)
    assert fit.bench(900.0) == pytest.approx(1e6 + 900 * (1 - 30e-6), abs=1e-4)


@pytest.mark.parametrize(
    ("markers", "message"),
    [
        ([], "0 clock marker"),
        ([(1, 1)], "1 clock marker"),
        ([(1, 1), (math.nan, 3)], "not a finite time"),
        ([(5, 5), (1, 1)], "not in order by the meter's clock"),
        ([(1, 5), (5, 5)], "not in order by the bench's clock"),
        ([(1, 1), (1.5, 1.5)], "span only 0.500 s"),
        ([(0, 0), (1000, 1000.3)], "off by 300 ppm"),
        ([(0, 0), (500, 500.05), (1000, 1000)], "off the line"),
    ],
)
def test_markers_that_cannot_be_are_refused(markers, message):
    with pytest.raises(MeasurementError, match=message):
        fit_clocks([Marker(*m) for m in markers])


def test_markers_are_found_on_a_logic_input_and_align_the_trace():
    rate = 100_000.0
    logic = numpy.zeros(2_200_000, dtype=numpy.uint8)
    for index in (1000, 1_048_576, 2_100_000):  # one on the border of a block
        logic[index : index + 500] = 4
    trace = trace_of(numpy.full(len(logic), 0.1), rate, logic=logic)
    seen = marker_times(trace, 2)
    assert seen == pytest.approx([0.01, 10.48576, 21.0])
    toggled = [40.0 + t * 1.00005 for t in seen]
    aligned = fit_clocks(pair_markers(seen, toggled)).align(trace)
    assert aligned.info.clock == "bench"
    assert aligned.start == pytest.approx(40.0)
    assert aligned.position(toggled[-1]) == pytest.approx(2_100_000, abs=1e-3)
    assert marker_times(trace, 0) == []
    with pytest.raises(MeasurementError, match="no logic inputs"):
        marker_times(trace_of([0.1]), 0)


def test_lost_samples_are_no_markers():
    amps, logic = numpy.full(10_000, 0.1), numpy.full(10_000, 4, dtype=numpy.uint8)
    logic[5000:6000] = 0
    for lost in (slice(0, 10), slice(2000, 2100), slice(5500, 5510)):
        amps[lost], logic[lost] = numpy.nan, 0
    assert marker_times(trace_of(amps, 1000.0, logic=logic), 2) == [6.0]
    amps[:] = numpy.nan
    assert marker_times(trace_of(amps, 1000.0, logic=logic), 2) == []


def test_a_missing_marker_is_not_guessed():
    with pytest.raises(MeasurementError, match="saw 1 marker pulses, the bench made 2"):
        pair_markers([1.0], [1.0, 2.0])
