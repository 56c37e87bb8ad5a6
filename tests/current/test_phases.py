"""Charge and energy of known shapes, phase by phase; what was lost is told."""

import itertools
import math

import numpy
import pytest
from current_rig import trace_of

from bench.current.phases import Phase, measure, phases_of_logic, phases_of_states, phases_within
from bench.errors import MeasurementError


def test_charge_of_a_ramp():
    rate = 10_000.0
    ramp = (numpy.arange(50_000) + 0.5) / rate * 0.02  # 20 mA a second, averages over each sample
    (cost,) = measure(trace_of(ramp, rate, volts=3.7), [Phase("ramp", 1.0, 4.0)])
    assert cost.charge == pytest.approx(0.02 * (4.0**2 - 1.0**2) / 2, rel=1e-6)
    assert cost.charge_mc == pytest.approx(150, rel=1e-6)
    assert cost.charge_uah == pytest.approx(150 / 3.6, rel=1e-6)
    assert cost.energy_mj == pytest.approx(150 * 3.7, rel=1e-6)
    assert cost.mean == pytest.approx(0.05, rel=1e-6)
    assert cost.peak == pytest.approx(0.08, rel=1e-3)
    assert (cost.duration, cost.lost, cost.missing, cost.range_switches) == (3.0, 0, 0.0, 0)
    assert cost.complete


def test_charge_of_a_sine_and_energy_with_a_voltage_that_sags():
    rate, seconds = 20_000.0, 2.0
    edges = numpy.arange(int(rate * seconds) + 1) / rate
    integral = 0.05 * edges - 0.03 / (2 * math.pi * 7) * numpy.cos(2 * math.pi * 7 * edges)
    amps = numpy.diff(integral) * rate
    volts = 4.0 - 0.5 * amps / 0.1
    (cost,) = measure(trace_of(amps, rate, voltage=volts), [Phase("sine", 0.0, 2.0)])
    assert cost.charge == pytest.approx(0.1, rel=1e-6)
    assert cost.energy == pytest.approx(4.0 * 0.1 - 5 * 2.0 * (0.05**2 + 0.03**2 / 2), rel=1e-5)


def test_eighteen_million_samples_do_not_drift():
    """Three minutes at 100,000 a second; the same summed in float32 is off by per cents."""
    amps = numpy.full(18_000_000, 0.0123456)
    amps[::1000] = 0.3
    trace = trace_of(amps, 100_000.0, volts=3.7)
    exact = (17_982_000 * 0.0123456 + 18_000 * 0.3) / 100_000
    (cost,) = measure(trace, [Phase("all", 0.0, 180.0)])
    assert cost.charge == pytest.approx(exact, rel=1e-9)
    assert cost.energy == pytest.approx(exact * 3.7, rel=1e-9)
    drifting = float(numpy.cumsum(amps.astype(numpy.float32))[-1]) / 100_000
    assert abs(drifting / exact - 1) > 1e-3


def test_phases_divide_the_samples_they_share():
    trace = trace_of([0.1, 0.2, 0.3, 0.4], rate=1.0)
    costs = measure(trace, [Phase("a", 0.25, 1.5), Phase("b", 1.5, 1.75), Phase("c", 1.75, 4.0)])
    assert [c.charge for c in costs] == pytest.approx([0.075 + 0.1, 0.05, 0.05 + 0.7], rel=1e-9)
    assert [c.mean for c in costs] == pytest.approx([0.175 / 1.25, 0.2, 0.75 / 2.25], rel=1e-9)
    assert [c.peak for c in costs] == pytest.approx([0.2, 0.2, 0.4])


def test_phases_together_cost_what_the_whole_costs():
    generator = numpy.random.default_rng(3)
    amps = generator.gamma(2.0, 0.02, 3_000_000)
    trace = trace_of(amps, 100_000.0, voltage=generator.normal(3.7, 0.01, len(amps)))
    cuts = [0.0, *sorted(generator.uniform(0, 30, 20)), 30.0]
    parts = measure(trace, [Phase(str(i), a, b) for i, (a, b) in enumerate(itertools.pairwise(cuts))])
    (all_of_it,) = measure(trace, [Phase("all", 0.0, 30.0)])
    assert sum(p.charge for p in parts) == pytest.approx(all_of_it.charge, rel=1e-12)
    assert sum(p.energy for p in parts) == pytest.approx(all_of_it.energy, rel=1e-12)
    assert max(p.peak for p in parts) == all_of_it.peak


def test_lost_samples_and_range_switches_are_told():
    amps = numpy.full(1000, 0.1)
    amps[200:250] = numpy.nan
    ranges = numpy.zeros(1000, dtype=numpy.uint8)
    ranges[300:600] = 1
    ranges[450] = 2
    trace = trace_of(amps, 100.0, range=ranges, volts=3.0)
    first, second = measure(trace, [Phase("a", 0.0, 5.0), Phase("b", 5.0, 10.0)])
    assert (first.lost, first.missing, first.complete) == (50, pytest.approx(0.5), False)
    assert first.mean == pytest.approx(0.1)
    assert first.charge == pytest.approx(0.1 * 4.5)  # of what was measured
    assert (first.range_switches, second.range_switches, second.complete) == (3, 1, True)


def test_a_lost_sample_is_no_change_of_range():
    """Its range is 0, because it has none."""
    amps = numpy.full(1000, 0.01)
    ranges = numpy.full(1000, 4, dtype=numpy.uint8)
    for lost in (slice(0, 3), slice(100, 120), slice(998, 1000)):
        amps[lost], ranges[lost] = numpy.nan, 0
    ranges[500:] = 3
    ranges[998:] = 0
    (cost,) = measure(trace_of(amps, 100.0, range=ranges), [Phase("x", 0, 10)])
    assert (cost.lost, cost.range_switches) == (25, 1)


def test_nothing_is_told_of_a_phase_without_a_sample():
    trace = trace_of([0.1, math.nan, math.nan, 0.1], rate=1.0)
    with pytest.raises(MeasurementError, match="'b': not one of its 2 samples"):
        measure(trace, [Phase("a", 0.0, 1.0), Phase("b", 1.0, 3.0)])


def test_no_energy_without_a_voltage():
    (cost,) = measure(trace_of([0.1] * 10, 1.0), [Phase("a", 0.0, 10.0)])
    assert cost.energy is None
    assert cost.energy_mj is None


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ([("a", 1.0, 1.0)], "takes no time"),
        ([("a", 2.0, 1.0)], "takes no time"),
        ([("a", math.nan, 1.0)], "takes no time"),
        ([("a", 0.0, math.inf)], "takes no time"),
        ([("a", 0.0, 2.0), ("b", 1.0, 3.0)], "before 'a' ends"),
        ([("b", 2.0, 3.0), ("a", 0.0, 1.0)], "before 'b' ends"),
        ([("a", 5.0, 12.0)], "not within the trace"),
        ([("a", -1.0, 2.0)], "not within the trace"),
    ],
)
def test_phases_that_cannot_be_are_refused(phases, message):
    with pytest.raises(MeasurementError, match=message):
        measure(trace_of([0.1] * 100, 10.0), [Phase(*p) for p in phases])


def test_phases_follow_the_states_of_object_5():
    told = [(1.0, 0), (2.0, 0), (3.0, 1), (8.0, 2), (8.0, 3), (9.0, 0)]
    assert phases_of_states(told, 12.0) == [
        Phase("idle", 1.0, 3.0),
        Phase("downloading", 3.0, 8.0),
        Phase("updating", 8.0, 9.0),
        Phase("idle", 9.0, 12.0),
    ]
    assert phases_of_states([], 5.0) == []
    for wrong, end in (([(2.0, 0), (1.0, 1)], 5.0), ([(1.0, 0)], 0.5), ([(math.nan, 0)], 1.0)):
        with pytest.raises(MeasurementError, match="in order of time"):
            phases_of_states(wrong, end)


def test_phases_follow_logic_inputs():
    logic = numpy.zeros(2_500_000, dtype=numpy.uint8)
    logic[100_000:200_000] = 1
    logic[150_000:1_200_000] |= 2  # over the border of a block
    logic[2_400_000:] |= 1
    trace = trace_of(numpy.full(len(logic), 0.1), 100_000.0, start=5.0, logic=logic)
    assert phases_of_logic(trace, {0: "flash", 1: "radio"}) == [
        Phase("flash", 6.0, 7.0),
        Phase("radio", 6.5, 17.0),
        Phase("flash", 29.0, 30.0),
    ]
    with pytest.raises(MeasurementError, match="no logic inputs"):
        phases_of_logic(trace_of([0.1]), {0: "flash"})


def test_lost_samples_end_no_phase_of_a_logic_input():
    amps, logic = numpy.full(2_000_000, 0.1), numpy.zeros(2_000_000, dtype=numpy.uint8)
    logic[100_000:1_900_000] = 1
    for lost in (slice(0, 50), slice(200_000, 200_100), slice(1_048_570, 1_048_600)):  # one over a border
        amps[lost], logic[lost] = numpy.nan, 0
    assert phases_of_logic(trace_of(amps, 100_000.0, logic=logic), {0: "flash"}) == [
        Phase("flash", 1.0, 19.0)
    ]


def test_phases_are_cut_to_what_the_trace_shows():
    shown = trace_of(numpy.full(1000, 0.01), 100.0, start=5.0)
    told = [(1.0, 0), (2.0, 1), (8.0, 2), (8.001, 3), (30.0, 0)]
    assert phases_within(shown, told) == [Phase("downloading", 5.0, 8.0), Phase("updating", 8.001, 15.0)]
    assert [cost.charge for cost in measure(shown, phases_within(shown, told))] == pytest.approx(
        [0.03, 0.06999]
    )
    assert phases_within(shown, [(20.0, 0)]) == []
    assert phases_within(shown, [(1.0, 0)]) == [Phase("idle", 5.0, 15.0)]
