"""PyMeasure's drivers on the simulated instruments."""

import pytest
from pymeasure.instruments.keysight import KeysightE36312A


@pytest.fixture
def psu(bench):
    client = KeysightE36312A(bench.server.address, visa_library="@py", read_termination="\n", timeout=3000)
    yield client
    client.adapter.close()


@pytest.mark.parametrize("bench", ["keysight_e36312a"], indirect=True)
def test_e36312a_powers_a_board(bench, psu):
    assert psu.id.startswith("KEYSIGHT TECHNOLOGIES,E36312A,")
    channel = psu.ch_1
    channel.voltage_setpoint = 3.7
    channel.current_limit = 0.5
    assert not bench.board.powered
    channel.output_enabled = True
    assert (channel.voltage_setpoint, channel.current_limit) == (3.7, 0.5)
    assert channel.output_enabled is True
    assert bench.board.powered
    assert channel.voltage == pytest.approx(3.7)
    assert channel.current == pytest.approx(0.1)
    bench.board.take(0.25)
    assert channel.current == pytest.approx(0.25)
    channel.output_enabled = False
    assert channel.output_enabled is False
    assert not bench.board.powered
    assert psu.check_errors() == []


@pytest.mark.parametrize("bench", ["keysight_e36312a"], indirect=True)
@pytest.mark.parametrize(("number", "volts", "amps"), [(1, 6, 5), (2, 25, 1), (3, 25, 1)])
def test_e36312a_takes_that_drivers_whole_range(bench, psu, number, volts, amps):
    channel = psu.channels[number]
    channel.voltage_setpoint = volts
    channel.current_limit = amps
    assert (channel.voltage_setpoint, channel.current_limit) == (volts, amps)
    channel.voltage_setpoint = 0
    assert channel.voltage_setpoint == 0
    with pytest.raises(ValueError):
        channel.voltage_setpoint = volts + 1
    assert psu.check_errors() == []
