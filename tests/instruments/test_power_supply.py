"""The E36312A driver over unmodified PyVISA against the simulated supply and its plant."""

import math
import time

import pytest
from instrument_rig import Resistor, power

from bench.errors import ConfigError, InstrumentError
from bench.instruments.models import open_instrument
from bench.instruments.power_supply import Regulation, Trip


def test_board_gets_what_the_leads_leave_and_other_outputs_stay_off(bench, supply):
    power(supply)
    assert bench.board.history[-1] == (0.0, pytest.approx(3.7 - 0.1 * 0.05))
    other = supply.channel(2)
    assert (other.output, other.voltage, other.measure_voltage()) == (False, 0.0, 0.0)
    assert other.regulation is Regulation.OFF


def test_output_off_kills_the_board_at_that_moment(bench, supply):
    channel = power(supply)
    bench.clock.sleep(12.5, "running")
    channel.output = False
    assert not bench.board.powered
    assert bench.board.history[-1] == (12.5, 0.0)
    assert channel.measure_current() == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 6.19])
def test_voltage_outside_the_range_is_refused_before_anything_is_sent(bench, supply, value):
    mark = bench.timeline.mark()
    with pytest.raises(InstrumentError, match=r"psu:1: voltage .* is outside 0 to 6\.18 V"):
        supply.channel(1).voltage = value
    assert bench.timeline.since(mark) == []


def test_ranges_differ_by_channel(supply):
    supply.channel(2).voltage = 24.0
    with pytest.raises(InstrumentError, match="current limit 2 A"):
        supply.channel(3).current_limit = 2
    supply.channel(1).current_limit = 5
    with pytest.raises(InstrumentError, match="no channel 4; it has 1, 2, 3"):
        supply.channel(4)


def test_constant_current_droops_to_what_the_load_takes(bench, supply):
    bench.rails[2].attach(Resistor())
    channel = supply.channel(2)
    channel.voltage = 5
    channel.current_limit = 0.2
    channel.output = True
    assert channel.regulation is Regulation.CC
    assert channel.measure_current() == pytest.approx(0.2, abs=1e-4)
    assert channel.measure_voltage() == pytest.approx(2.0 + 0.2 * 0.05, abs=1e-3)
    channel.current_limit = 1
    assert channel.regulation is Regulation.CV
    assert channel.measure_voltage() == pytest.approx(5, abs=1e-3)


def test_current_limit_below_the_load_browns_the_board_out_again_and_again(bench, supply):
    channel = power(supply, amps=0.15)
    bench.board.history.clear()
    bench.board.take(0.3)
    assert not bench.board.powered
    assert channel.regulation is Regulation.CC
    bench.clock.sleep(1, "hiccup")
    falls = [t for t, volts in bench.board.history if volts < 2.8]
    assert len(falls) > 10
    assert len(set(falls)) == len(falls), "each brown-out takes its time"
    bench.board.amps = 0.1
    bench.clock.sleep(1, "recovery")
    assert bench.board.powered
    assert channel.regulation is Regulation.CV


def test_ocp_trips_after_its_delay_stays_latched_and_is_cleared_to_off(bench, supply):
    channel = power(supply, amps=0.2)
    channel.ocp = True
    bench.clock.sleep(1, "running")
    assert channel.tripped is None
    bench.board.take(0.5)
    bench.clock.sleep(0.049, "within the delay")
    assert channel.tripped is None
    bench.clock.sleep(0.002, "after the delay")
    assert channel.tripped is Trip.OVER_CURRENT
    assert bench.board.history[-1][1] == 0.0
    fallen = len(bench.board.history)
    bench.board.take(0.1)
    bench.clock.sleep(1, "latched")
    assert len(bench.board.history) == fallen
    channel.clear_protection()
    assert channel.tripped is None
    assert channel.output is False
    assert not bench.board.powered
    channel.output = True
    assert bench.board.powered


def test_short_overcurrent_does_not_trip(bench, supply):
    channel = power(supply, amps=0.2)
    channel.ocp = True

    def burst(amps):
        bench.board.amps = amps
        bench.rails[1].load_changed()

    bench.scheduler.after(1.0, lambda: burst(0.5))
    bench.scheduler.after(1.02, lambda: burst(0.1))
    bench.clock.sleep(2, "burst")
    assert channel.tripped is None
    assert bench.board.powered


def test_protection_whose_cause_remains_cannot_be_cleared_into_power(bench, supply):
    channel = power(supply)
    channel.ovp = 4.0
    channel.voltage = 4.5
    channel.clear_protection()
    channel.output = True
    assert channel.tripped is Trip.OVER_VOLTAGE
    assert max(volts for _, volts in bench.board.history) < 4.0


def test_error_of_the_instrument_is_raised_and_does_not_linger(supply):
    with pytest.raises(
        InstrumentError, match=r"psu at TCPIP.*: VOLT 9,\(@1\): refused: -222,\"Data out of range"
    ):
        supply.set("VOLT 9,(@1)")
    with pytest.raises(InstrumentError, match="-113"):
        supply.set("VOLTS 3")
    supply.channel(1).voltage = 3.3


def test_setting_that_does_not_read_back_is_an_error(bench, supply):
    channel = supply.channel(1)
    # a front-panel user limits the voltage: the instrument takes the command and does less
    output = bench.server.instrument.outputs[1]
    apply = output.apply

    def meddle():
        output.volts = min(output.volts, 3.0)
        apply()

    output.apply = meddle
    with pytest.raises(InstrumentError, match=r"psu:1: voltage was set to 3\.7 V, but reads back 3 V"):
        channel.voltage = 3.7


def test_errors_left_by_an_earlier_user_are_not_blamed_on_us(bench, supply):
    supply.transport.write("NONSENSE")
    supply.close()
    again = bench.open()
    again.channel(1).voltage = 3.3
    again.close()


def test_wire_log_is_on_the_timeline(bench, supply):
    mark = bench.timeline.mark()
    bench.clock.sleep(2, "later")
    supply.channel(1).voltage = 3.7
    entries = bench.timeline.since(mark, source="psu", kind="scpi")
    assert [e.text for e in entries] == [
        "> VOLT 3.7,(@1)",
        "> SYST:ERR?",
        '< +0,"No error"',
        "> VOLT? (@1)",
        "< +3.70000000E+00",
    ]
    assert {e.time for e in entries} == {2.0}


def test_identity_of_the_bench_file_is_the_beginning_of_the_idn(bench):
    opened = bench.open(identity="keysight technologies,E36312A")
    assert opened.idn.startswith("KEYSIGHT TECHNOLOGIES,E36312A,")
    opened.close()


def test_wrong_instrument_is_refused_naming_both(bench):
    with pytest.raises(
        InstrumentError, match=r"psu at TCPIP.*'KEYSIGHT TECH.*E36312A.*'RIGOL TECHNOLOGIES,DP832'"
    ):
        bench.open(identity="RIGOL TECHNOLOGIES,DP832")


def test_unknown_driver_names_the_known_ones(bench):
    with pytest.raises(ConfigError, match=r"instruments\.psu\.driver = 'e3631'(.|\n)*keysight_e36312a"):
        open_instrument("psu", "e3631", bench.server.address, bench.clock, bench.timeline)


def test_closed_supply_does_not_answer(supply):
    supply.close()
    supply.close()
    with pytest.raises(InstrumentError, match="not open"):
        supply.channel(1).measure_voltage()


def test_supply_switched_off_at_the_wall(bench, supply):
    bench.server.close()
    with pytest.raises(InstrumentError, match="psu at TCPIP"):
        supply.channel(1).output = False
    with pytest.raises(InstrumentError, match=r"psu at TCPIP.*open"):
        supply.channel(1).output = False


def test_no_nagle_stall(supply):
    start = time.monotonic()
    for _ in range(200):
        supply.set("VOLT 3.3,(@1)")  # write, write, read: the pattern that stalls 40 ms each, 8 s in all
    assert time.monotonic() - start < 6
