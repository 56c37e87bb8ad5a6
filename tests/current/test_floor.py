"""Sleep floors: whole periods only, after settling, and no number where none would be right."""

import numpy
import pytest
from current_rig import trace_of

from bench.current.floor import find_floor
from bench.errors import MeasurementError
from bench.virtual.power.draw import Draw, Pulses, Running
from bench.virtual.power.draw_figures import COURSES
from bench.virtual.power.load_history import LoadHistory
from bench.virtual.scheduler import Scheduler

PSM = COURSES["nrf9160"]["sleep"][0].draw


def drawn(*parts, rate=10_000.0):
    """A trace by a meter that averages, of (seconds, draw)."""
    scheduler = Scheduler(1)
    history = LoadHistory(scheduler)
    for seconds, draw in parts:
        history.note(3.7, (Running(draw, scheduler.now),))
        scheduler.run_to(scheduler.now + seconds)
    count = int(scheduler.now * rate)
    return trace_of(history.means(0.0, 1 / rate, count)[:, 1], rate, volts=3.7)


@pytest.mark.parametrize("seconds", [4.0, 4.05, 4.11, 7.777])
def test_whole_periods_whatever_the_window(seconds):
    floor = find_floor(drawn((seconds, PSM)))
    assert floor.amps == pytest.approx(PSM.mean, rel=2e-3)
    assert floor.period == pytest.approx(PSM.pulses[0].period, rel=1e-3)
    assert floor.periods >= 38
    assert floor.settled


def test_slow_periods_would_mislead_a_plain_mean():
    slow = Draw(1e-6, (Pulses(10e-3, 1e-3, 0.9, delay=0.05),))
    trace = drawn((9.2, slow))
    floor = find_floor(trace, tolerance=0.5, window=1.8)
    assert floor.periods == 9
    assert floor.amps == pytest.approx(slow.mean, rel=1e-3)
    counts = numpy.concatenate([b.counts for b in trace.blocks()]) * 10e-9
    assert counts.mean() > slow.mean * 1.05


def test_what_comes_before_it_sleeps_is_left_out():
    trace = drawn((1.3, Draw(0.05)), (2.0, Draw(0.0005) + PSM), (10.0, PSM))
    floor = find_floor(trace)
    assert floor.amps == pytest.approx(PSM.mean, rel=2e-3)
    assert 3.3 <= floor.start < 4.6
    assert floor.settled


def test_a_wake_lock_is_a_floor_too_but_a_higher_one():
    floor = find_floor(drawn((10.0, Draw(0.0005) + PSM)))
    assert floor.amps == pytest.approx(0.0005 + PSM.mean, rel=1e-4)
    assert floor.settled


def test_a_board_that_never_settles_is_a_finding():
    parts = [(1.0, Draw(0.001 * (1 + n % 3))) for n in range(9)]
    floor = find_floor(drawn(*parts))
    assert not floor.settled
    assert floor.periods == 0
    assert 0.001 < floor.amps < 0.003


def test_a_slow_averaging_meter_sees_no_pulses_but_the_right_mean():
    floor = find_floor(drawn((60.0, PSM), rate=2.0), window=5.0)
    assert floor.amps == pytest.approx(PSM.mean, rel=0.02)


def test_between_two_moments_only():
    trace = drawn((5.0, Draw(0.01)), (6.0, PSM), (5.0, Draw(0.02)))
    floor = find_floor(trace, 5.0, 11.0)
    assert floor.amps == pytest.approx(PSM.mean, rel=2e-3)
    assert 5.0 <= floor.start < floor.end <= 11.0


def test_some_lost_samples_are_bridged_and_told_many_are_refused():
    amps = numpy.full(60_000, 5e-6)
    amps[1000:1100] = numpy.nan
    floor = find_floor(trace_of(amps, 10_000.0))
    assert (floor.lost, floor.amps) == (100, pytest.approx(5e-6))
    amps[:6000] = numpy.nan
    with pytest.raises(MeasurementError, match="6000 of 60000 samples were lost"):
        find_floor(trace_of(amps, 10_000.0))


def test_points_that_miss_the_pulses_are_refused():
    with pytest.raises(MeasurementError, match="meaningless"):
        find_floor(trace_of(numpy.full(10_000, 5e-6), 1000.0, sampling="point"))


def test_too_short_and_outside_is_refused():
    trace = trace_of(numpy.full(3000, 5e-6), 1000.0)
    with pytest.raises(MeasurementError, match=r"3\.000 s are too short"):
        find_floor(trace)
    with pytest.raises(MeasurementError, match=r"0\.000 s are too short"):
        find_floor(trace, 10.0, 20.0)
