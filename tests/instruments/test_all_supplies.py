"""What every supply driver must do, against its simulated counterpart and a board on the rail."""

import math

import pytest
from instrument_rig import Resistor, SupplyBench, power

from bench.errors import InstrumentError
from bench.instruments.models import DRIVERS, open_instrument
from bench.instruments.power_supply import PowerSupply, Regulation, Trip
from bench.instruments.samples import Sampling
from bench.virtual.instruments.models import MODELS

SUPPLIES = sorted(name for name, kind in DRIVERS.items() if issubclass(kind, PowerSupply))
WITH_OVP = [s for s in SUPPLIES if s not in ("korad_ka3005p", "siglent_spd3303x")]
WITH_OCP = [s for s in SUPPLIES if s != "siglent_spd3303x"]


each_supply = pytest.mark.parametrize("bench", SUPPLIES, indirect=True)
each_with_ovp = pytest.mark.parametrize("bench", WITH_OVP, indirect=True)
each_with_ocp = pytest.mark.parametrize("bench", WITH_OCP, indirect=True)


def test_every_driver_has_its_counterpart():
    assert sorted(DRIVERS) == sorted(MODELS)


@each_supply
def test_settings_reach_the_board_and_read_back(bench, supply):
    channel = power(supply)
    assert bench.board.powered
    assert (channel.voltage, channel.current_limit, channel.output) == (3.7, 0.5, True)
    assert channel.measure_voltage() == pytest.approx(3.7, abs=6e-3)
    assert channel.measure_current() == pytest.approx(0.1, abs=6e-4)
    assert channel.regulation is Regulation.CV
    assert channel.tripped is None
    bench.board.take(0.25)
    assert channel.measure_current() == pytest.approx(0.25, abs=6e-4)
    channel.output = False
    assert not bench.board.powered
    assert channel.output is False
    assert channel.regulation is Regulation.OFF
    assert channel.measure_current() == 0.0


@each_supply
def test_constant_current_is_told(bench, supply):
    bench.rails[1].detach(bench.board)
    bench.rails[1].attach(Resistor())
    channel = power(supply, 5.0, 0.2)
    assert channel.regulation is Regulation.CC
    assert channel.measure_current() == pytest.approx(0.2, abs=6e-4)
    assert channel.measure_voltage() == pytest.approx(2.0, abs=0.02)


@each_supply
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 99])
def test_what_cannot_be_set_is_refused_before_anything_is_sent(bench, supply, value):
    channel = supply.channel(1)
    mark = bench.timeline.mark()
    with pytest.raises(InstrumentError, match=r"psu:1: voltage .* is outside"):
        channel.voltage = value
    with pytest.raises(InstrumentError, match=r"psu:1: current limit .* is outside"):
        channel.current_limit = value
    with pytest.raises(InstrumentError, match=r"psu:1: .*OVP"):
        channel.ovp = value
    with pytest.raises(InstrumentError, match="no channel 9"):
        supply.channel(9)
    assert bench.timeline.since(mark) == []


@each_supply
def test_value_between_two_steps_is_rounded_by_the_instrument(supply):
    channel = supply.channel(1)
    channel.voltage = 3.3037
    assert channel.voltage == pytest.approx(3.3037, abs=6e-3)


@each_with_ocp
def test_ocp_trips_during_the_run_stays_latched_and_is_cleared_to_off(bench, supply):
    channel = power(supply, amps=0.3)
    channel.ocp = True
    bench.clock.sleep(1, "running")
    assert channel.tripped is None
    assert channel.output
    bench.scheduler.after(0.5, lambda: bench.board.take(0.8))
    bench.clock.sleep(1, "an update, and a fault of the board in it")
    assert channel.tripped is Trip.OVER_CURRENT
    assert not bench.board.powered
    bench.board.amps = 0.1
    bench.clock.sleep(1, "latched")
    assert not bench.board.powered
    channel.clear_protection()
    assert channel.tripped is None
    assert channel.output is False
    assert not bench.board.powered
    channel.output = True
    assert bench.board.powered


@each_with_ovp
def test_ovp_trips_and_clears(bench, supply):
    channel = power(supply)
    channel.ovp = 4.0
    channel.voltage = 4.5
    assert channel.tripped is Trip.OVER_VOLTAGE
    assert not bench.board.powered
    channel.voltage = 3.7
    assert not bench.board.powered, "stays latched"
    channel.clear_protection()
    assert channel.tripped is None
    assert not bench.board.powered
    channel.output = True
    assert bench.board.powered


@pytest.mark.parametrize("bench", ["siglent_spd3303x"], indirect=True)
def test_protection_that_is_not_there_is_said_so(bench, supply):
    channel = supply.channel(1)
    assert channel.ratings.ovp is None
    with pytest.raises(InstrumentError, match="no OVP level that can be set"):
        channel.ovp = 5
    with pytest.raises(InstrumentError, match="no over-current protection that can be set"):
        channel.ocp = True
    assert channel.tripped is None
    channel.clear_protection()


@each_supply
def test_driver_for_another_model_is_refused(bench):
    other = "rigol_dp832" if bench.driver != "rigol_dp832" else "keysight_e36312a"
    if bench.driver == "korad_ka3005p":  # another kind of wire: no other driver gets that far
        other = "korad_ka3005p"
        bench.server.instrument.identity = b"KORADKD3005PV2.0"
    with pytest.raises(InstrumentError, match=r"psu at .* is .*which its driver is not for"):
        open_instrument("psu", other, bench.server.address, bench.clock, bench.timeline)


@each_supply
def test_same_commands_give_the_same_timeline(bench, supply):
    def run(made):
        opened = made.open()
        power(opened)
        made.clock.sleep(1, "running")
        opened.channel(1).measure_current()
        opened.close()
        return [e.as_json() for e in made.timeline]

    first, second = SupplyBench(bench.driver), SupplyBench(bench.driver)
    try:
        assert run(first) == run(second)
        assert len(list(first.timeline)) > 10
    finally:
        first.close()
        second.close()


@each_supply
def test_read_back_meter_samples_at_its_rate(bench, supply):
    power(supply)
    meter = supply.readback(1)
    with pytest.raises(InstrumentError, match="never configured"):
        meter.start()
    with pytest.raises(InstrumentError, match=r"rate 1000/s is outside"):
        meter.configure(rate=1000)
    meter.configure(rate=2, mode=Sampling.POINT)
    start = bench.clock.now()
    meter.start()
    bench.scheduler.after(2.25, lambda: bench.board.take(0.2))
    bench.clock.sleep(5.2, "sampling")
    meter.stop()
    samples = meter.read()
    assert samples.start == pytest.approx(start)
    assert samples.lost == 0
    assert list(samples.current[:11]) == pytest.approx([0.1] * 5 + [0.2] * 6, abs=1e-3)
    assert len(samples) == 11
    assert list(samples.voltage) == pytest.approx([3.7] * 11, abs=6e-3)
    assert len(meter.read()) == 0
