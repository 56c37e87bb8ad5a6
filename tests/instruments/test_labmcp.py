"""labmcp-bench-psu, whose commands are cited from the makers' guides by page, on both sides of the wire.

Its drivers use the simulated Rigol and Siglent; our drivers use its simulators of both.
"""

import time

import pytest
from instrument_rig import Resistor
from labmcp.transports.tcp import TCPTransport
from labmcp_bench_psu.driver import open_power_supply
from labmcp_bench_psu.simulator import make_simulator

from bench.clock import WallClock
from bench.errors import InstrumentError
from bench.instruments.models import DRIVERS
from bench.instruments.power_supply import Regulation, Trip
from bench.timeline import Timeline
from bench.virtual.instruments.line_server import LineServer
from bench.virtual.scheduler import Scheduler

# ---- its drivers, our instruments


@pytest.fixture
def psu(bench, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: bench.clock.sleep(seconds, "the client waits"))
    bench.clock.sleep(1, "some are deaf at first")
    transport = TCPTransport(bench.server.host, bench.server.port)
    opened = open_power_supply(transport)
    bench.clock.sleep(0.2, "it sets right after *IDN?, which an SPD3303X does not hear")
    yield opened
    transport.close()


@pytest.mark.parametrize("bench", ["rigol_dp832"], indirect=True)
def test_its_driver_finds_all_outputs_of_the_rigol(bench, psu):
    for channel in psu.channels:
        psu.set_voltage(channel.number, channel.max_voltage_v)
        psu.set_current(channel.number, channel.max_current_a)
        assert psu.setpoints(channel.number) == (channel.max_voltage_v, channel.max_current_a)
    assert psu.errors() == []


@pytest.mark.parametrize("bench", ["rigol_dp832", "siglent_spd3303x"], indirect=True)
def test_its_driver_powers_a_board(bench, psu):
    psu.set_voltage(1, 3.7)
    psu.set_current(1, 0.5)
    assert psu.setpoints(1) == (3.7, 0.5)
    psu.set_output(1, True)
    assert psu.output_state(1) is True
    assert bench.board.powered
    assert psu.mode(1) == "CV"
    volts, amps = psu.measure(1)
    assert volts == pytest.approx(3.7, abs=6e-3)
    assert amps == pytest.approx(0.1, abs=2e-3)
    assert psu.all_off() == []
    assert not bench.board.powered
    assert psu.errors() == []


@pytest.mark.parametrize("bench", ["siglent_spd3303x"], indirect=True)
def test_its_driver_tells_constant_current_of_the_siglent(bench, psu):
    bench.rails[1].detach(bench.board)
    bench.rails[1].attach(Resistor())
    psu.set_voltage(1, 5.0)
    psu.set_current(1, 0.2)
    psu.set_output(1, True)
    assert psu.output_state(1) is True
    assert psu.mode(1) == "CC"
    assert psu.measure(1)[1] == pytest.approx(0.2, abs=2e-3)


@pytest.mark.parametrize("bench", ["rigol_dp832"], indirect=True)
def test_its_driver_sees_and_clears_the_protections_of_the_rigol(bench, psu):
    psu.set_voltage(1, 3.7)
    psu.set_current(1, 1.0)
    psu.set_ovp(1, 5.0, True)
    psu.set_ocp(1, 0.4, True)
    psu.set_output(1, True)
    told = psu.protection(1)
    assert (told.ovp_v, told.ovp_enabled, told.ovp_tripped) == (5.0, True, False)
    assert (told.ocp_a, told.ocp_enabled, told.ocp_tripped) == (0.4, True, False)
    bench.board.take(0.6)
    bench.clock.sleep(1, "over-current protection")
    assert psu.protection(1).ocp_tripped is True
    assert psu.output_state(1) is False
    psu.clear_trips(1)
    assert psu.protection(1).ocp_tripped is False


# ---- our drivers, its instruments


class Served:
    """One of its simulators as what a `LineServer` serves. Its loads: 10 and 100 ohms on outputs 1 and 2."""

    def __init__(self, dialect):
        self.simulator = make_simulator(dialect)

    def execute(self, line):
        reply = self.simulator.handle(line)
        return None if reply is None else str(reply).encode()

    def overlong(self):
        raise AssertionError("a line without end")


@pytest.fixture
def served(request):
    clock, kind = WallClock(), DRIVERS[request.param]
    server = LineServer(Served(request.param.split("_")[0]), Scheduler(1))
    supply = kind("psu", kind.wire("psu", server.address, Timeline(clock), timeout=1), clock)
    supply.open()  # its simulators know none of the modes that an earlier user may have left
    yield supply, server.instrument.simulator
    supply.close()
    server.close()
    clock.close()


@pytest.mark.parametrize("served", ["rigol_dp832", "siglent_spd3303x"], indirect=True)
def test_our_driver_sets_and_reads_its_instrument(served):
    supply, simulator = served
    channel = supply.channel(2)
    channel.voltage = 3.7
    channel.current_limit = 0.5
    channel.output = True
    assert simulator.outputs[2].on
    assert (simulator.outputs[2].set_v, simulator.outputs[2].set_i) == (3.7, 0.5)
    assert channel.measure_voltage() == pytest.approx(3.7, abs=0.01)
    assert channel.measure_current() == pytest.approx(0.037, abs=0.002)
    assert channel.regulation is Regulation.CV
    channel.voltage = 5.0
    channel.current_limit = 0.02
    assert channel.regulation is Regulation.CC
    supply.switch_off()
    assert not any(output.on for output in list(simulator.outputs.values())[:2])
    assert simulator.error_queue == []


@pytest.mark.parametrize("served", ["rigol_dp832"], indirect=True)
def test_our_driver_sees_and_clears_a_trip_of_its_rigol(served):
    supply, simulator = served
    channel = supply.channel(1)
    channel.voltage = 3.7
    channel.current_limit = 1.0
    channel.ovp = 5.0
    channel.ocp = True
    channel.output = True
    assert channel.tripped is None
    simulator.outputs[1].load_ohm = 0.1
    simulator.outputs[1].ocp_a = 0.9
    simulator.outputs[1].update()
    assert channel.tripped is Trip.OVER_CURRENT
    channel.clear_protection()
    assert channel.tripped is None
    assert simulator.outputs[1].ovp_v == 5.0


@pytest.mark.parametrize("served", ["rigol_dp832"], indirect=True)
def test_our_driver_is_told_what_its_instrument_does_not_know(served):
    supply, _ = served
    with pytest.raises(InstrumentError, match=r"psu at .*: :OUTP:NONSENSE 1: refused: .*-113"):
        supply.set(":OUTP:NONSENSE 1")
    supply.close()
