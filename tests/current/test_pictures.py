"""Pictures of traces: no peak is lost, whatever their length."""

import itertools

import numpy
import pytest
from current_rig import trace_of
from matplotlib.image import imread

from bench.current.envelope import envelope
from bench.current.phases import Phase, measure
from bench.current.plot import save_png
from bench.errors import MeasurementError


def ten_million():
    amps = numpy.full(10_000_000, 3e-6)
    amps[2_000_000:5_000_000:37] = 0.05
    amps[7_654_321] = 0.3
    return trace_of(amps, 100_000.0, volts=3.7)


def test_not_one_peak_is_lost():
    drawn = envelope(ten_million(), 2000)
    peaks = numpy.flatnonzero(drawn.high > 0.29)
    assert len(peaks) == 1
    at = int(peaks[0])
    assert drawn.edges[at] <= 76.54321 < drawn.edges[at + 1]
    assert drawn.high[at] == pytest.approx(0.3)
    assert drawn.low[at] == pytest.approx(3e-6)


@pytest.mark.parametrize("columns", [1, 7, 999, 1000, 5000])
def test_an_envelope_is_minimum_and_maximum_of_each_column(columns):
    amps = numpy.random.default_rng(5).normal(0.01, 0.005, 1000)
    amps[100:110] = numpy.nan
    drawn = envelope(trace_of(amps, 10.0, voltage=numpy.linspace(3.7, 3.5, 1000)), columns)
    assert len(drawn) == min(columns, 1000)
    bounds = numpy.rint(drawn.edges * 10).astype(int)
    assert bounds[0] == 0
    assert bounds[-1] == 1000
    for i, (first, last) in enumerate(itertools.pairwise(bounds)):
        part = amps[first:last]
        if numpy.isnan(part).all():
            assert numpy.isnan(drawn.low[i])
            assert numpy.isnan(drawn.high[i])
        else:
            assert drawn.low[i] == pytest.approx(numpy.nanmin(part), abs=6e-9)
            assert drawn.high[i] == pytest.approx(numpy.nanmax(part), abs=6e-9)


def test_columns_cross_the_borders_of_blocks():
    amps = numpy.zeros(2_500_000)
    amps[1_048_575], amps[1_048_576], amps[2_097_152] = 0.1, 0.2, 0.3
    drawn = envelope(trace_of(amps, 1000.0), 3)
    assert drawn.high == pytest.approx([0, 0.2, 0.3])
    part = envelope(trace_of(amps, 1000.0), 10, 1048.0, 1049.0)
    assert part.high.max() == pytest.approx(0.2)
    assert part.edges[0] == pytest.approx(1048.0)


def test_ten_million_samples_become_a_small_picture(tmp_path):
    trace = ten_million()
    costs = measure(trace, [Phase("idle", 0, 20), Phase("downloading", 20, 50), Phase("updating", 50, 100)])
    save_png(tmp_path / "trace.png", trace, costs)
    image = imread(tmp_path / "trace.png")
    assert image.shape[:2] == (600, 1440)
    assert len(numpy.unique(image.reshape(-1, image.shape[2]), axis=0)) > 50
    assert (tmp_path / "trace.png").stat().st_size < 200_000


def test_a_picture_with_gaps_voltage_and_currents_below_zero(tmp_path):
    amps = numpy.random.default_rng(1).normal(1e-6, 1e-6, 10_000)
    amps[3000:5000] = numpy.nan
    trace = trace_of(amps, 100.0, voltage=numpy.linspace(3.7, 3.0, 10_000))
    save_png(tmp_path / "a.png", trace, measure(trace, [Phase("downloaded", 10, 90)]), title="With gaps")
    assert imread(tmp_path / "a.png").shape[:2] == (600, 1440)


def test_nothing_to_draw_is_refused(tmp_path):
    with pytest.raises(MeasurementError, match="no samples to draw"):
        save_png(tmp_path / "a.png", trace_of([]))
    assert not list(tmp_path.iterdir())
