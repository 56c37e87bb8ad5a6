"""Currents in closed form, and what a rail remembers of them: exact at any rate, in bounded memory."""

import math

import numpy
import pytest

from bench.errors import PlantError
from bench.virtual.power.draw import Draw, Pulses, Running, pulsed
from bench.virtual.power.draw_figures import COURSES, transmission
from bench.virtual.power.load_history import LoadHistory
from bench.virtual.scheduler import Scheduler

FLOOR = COURSES["nrf9160"]["sleep"][0].draw


def history_of(*parts: tuple[float, float, Draw]) -> tuple[Scheduler, LoadHistory]:
    """A history of (seconds, volts, draw) one after the other."""
    scheduler = Scheduler(1)
    history = LoadHistory(scheduler)
    for seconds, volts, draw in parts:
        history.note(volts, (Running(draw, scheduler.now),))
        scheduler.run_to(scheduler.now + seconds)
    return scheduler, history


@pytest.mark.parametrize("rate", [1, 10, 997, 100_000])
def test_means_keep_the_charge_at_any_rate(rate):
    draw = Draw(0.01, (Pulses(0.2, 0.0013, 0.0171, delay=0.003),))
    _, history = history_of((1.5, 3.7, draw), (2.5, 3.6, Draw(0.05)))
    means = history.means(0.0, 1 / rate, 4 * rate)
    starts = 0.003 + 0.0171 * numpy.arange(math.ceil((1.5 - 0.003) / 0.0171))
    pulses = numpy.minimum(starts + 0.0013, 1.5) - starts
    expected = 0.01 * 1.5 + 0.2 * pulses.sum() + 0.05 * 2.5
    assert means[:, 1].sum() / rate == pytest.approx(expected, rel=1e-9)
    assert history.charge(0, 4) == pytest.approx(expected, rel=1e-9)
    assert means[0, 0] == pytest.approx(3.7)
    assert means[-1, 0] == pytest.approx(3.6)


def test_points_are_values_at_their_moment():
    _, history = history_of(
        (1.0, 3.7, Draw(0.01, (Pulses(0.2, 0.001, 0.01, delay=0.005),))), (1.0, 3.7, Draw(0.3))
    )
    points = history.points(0.0, 0.0005, 4001)
    assert points[0, 1] == 0.01
    assert points[9, 1] == 0.01
    assert points[11, 1] == pytest.approx(0.21)  # 5.5 ms: in the first pulse
    assert points[13, 1] == 0.01
    assert points[1999, 1] == 0.01
    assert points[2000, 1] == 0.3
    assert points[4000, 1] == 0.3


def test_means_straddle_a_change_in_the_middle_of_a_sample():
    _, history = history_of((0.25, 4.0, Draw(0.1)), (0.75, 3.0, Draw(0.2)))
    assert history.means(0.0, 1.0, 1)[0] == pytest.approx([0.25 * 4 + 0.75 * 3, 0.25 * 0.1 + 0.75 * 0.2])


def test_points_ruin_a_sleep_floor_where_means_keep_it():
    """The reason why a slow point-sampling meter must not judge a floor."""
    _, history = history_of((3600.0, 3.7, FLOOR))
    assert history.charge(0, 3600) / 3600 == pytest.approx(2.7e-6, rel=1e-4)
    assert history.means(0.0, 0.01, 100_000)[:, 1].mean() == pytest.approx(2.7e-6, rel=1e-3)
    lucky = history.points(0.0, 0.01, 100)[:, 1].mean()  # the first samples hit pulses of 10 us
    unlucky = history.points(30.0, 0.01, 100)[:, 1].mean()
    assert lucky > 100e-6
    assert unlucky == pytest.approx(1.0e-6, rel=1e-6)


def test_a_floor_after_hours_is_as_exact_as_at_once():
    _, history = history_of((7200.0, 3.7, Draw(0.1)), (3600.0, 3.7, FLOOR))
    (train,) = FLOOR.pulses
    count = round(10 * train.period * 100_000)
    late = history.means(7200 + 3000 * train.period, 1e-5, count)[:, 1]
    assert late.mean() == pytest.approx(2.7e-6, rel=1e-3)
    assert late.max() == pytest.approx(17e-3, rel=1e-3)
    assert late.min() == pytest.approx(1e-6, rel=1e-6)


def test_memory_is_bounded_and_what_is_forgotten_is_refused():
    scheduler = Scheduler(1)
    history = LoadHistory(scheduler, capacity=100)
    for number in range(1000):
        history.note(3.7, (Running(Draw(0.001 * number), scheduler.now),))
        scheduler.run_to(scheduler.now + 1)
    assert len(history) == 100
    assert history.since == 900
    assert history.charge(900, 1000) == pytest.approx(0.001 * sum(range(900, 1000)))
    with pytest.raises(PlantError, match=r"899\.0.*knows 900\.0"):
        history.means(899.0, 1.0, 10)
    with pytest.raises(PlantError, match="never ahead"):
        history.points(950.0, 1.0, 52)


def test_what_does_not_change_takes_no_memory():
    scheduler = Scheduler(1)
    history = LoadHistory(scheduler)
    for _ in range(50):
        history.note(3.7, (Running(Draw(0.1), 0.0),))
        scheduler.run_to(scheduler.now + 1)
    history.note(3.7, (Running(Draw(0.2), 0.0),))
    history.note(3.6, (Running(Draw(0.3), 0.0),))  # the same moment: only the last counts
    assert len(history) == 2


@pytest.mark.parametrize(
    ("dbm", "amperes"), [(-10, 0.045), (0, 0.045), (10, 0.0525), (23, 0.1075), (30, 0.1075)]
)
def test_transmission_follows_its_source(dbm, amperes):
    draw = transmission("nrf9160", dbm)
    assert draw.mean == pytest.approx(amperes)
    assert draw.peak <= 0.300 + 1e-9


def test_figures_with_a_source():
    nrf = COURSES["nrf9160"]
    assert nrf["sleep"][0].draw.mean == pytest.approx(2.7e-6)
    assert nrf["sleep"][0].draw.mean + nrf["edrx"][0].draw.mean == pytest.approx(18e-6)
    assert transmission("nrf9160", 23).peak == pytest.approx(0.3)
    assert transmission("esp32", 19.5).mean + COURSES["esp32"]["idle"][0].draw.mean == pytest.approx(0.240)
    assert COURSES["esp32"]["sleep"][0].draw.mean == pytest.approx(10e-6)


def test_pulsed_has_the_mean_asked_for():
    draw = pulsed(0.06, base=0.045, peak=0.3, width=1e-3)
    assert (draw.mean, draw.peak) == (pytest.approx(0.06), pytest.approx(0.3))
    assert pulsed(0.04, base=0.045, peak=0.3, width=1e-3) == Draw(0.04)
