"""QCoDeS's drivers, and those contributed to it, on the simulated instruments.

Its N6705B driver has `SOUR:VOLT:PROT <v>, @(<n>)`, which is no channel list (SCPI writes `(@<n>)`) and no
command of an N678x: not used. Its RUDAT driver is for USB, and goes over a socket here by QCoDeS's own class.
"""

import sys
import types

import pytest
from instrument_rig import AttenuatorBench
from qcodes.instrument import IPInstrument
from qcodes.instrument_drivers.Keysight import KeysightN6705B
from qcodes.instrument_drivers.rigol import RigolDP832
from qcodes_contrib_drivers.drivers.Keysight.Keysight_E36313A import E36313A
from qcodes_contrib_drivers.drivers.Keysight.Keysight_J7211 import Keysight_J7211

from bench.virtual.instruments.line_server import LineServer
from bench.virtual.instruments.rcdat import Rcdat


@pytest.fixture
def opened():
    """Opens a QCoDeS instrument; all are closed at the end."""
    made = []

    def build(kind, *arguments, **options):
        made.append(kind("instrument", *arguments, **options))
        return made[-1]

    yield build
    for instrument in made:
        instrument.close()


@pytest.mark.parametrize("bench", ["keysight_n6705c"], indirect=True)
def test_n6705b_powers_a_board(bench, opened):
    psu = opened(KeysightN6705B, bench.server.address, visalib="@py")
    assert psu.get_idn()["model"].startswith("N6705")
    channel = psu.ch1
    channel.source_voltage(3.7)
    channel.source_current(0.5)
    channel.enable("on")
    assert channel.enable() == "on"
    assert bench.board.powered
    assert channel.source_voltage() == pytest.approx(3.7)
    assert channel.voltage() == pytest.approx(3.7, abs=1e-3)
    assert channel.current() == pytest.approx(0.1, abs=1e-3)
    channel.enable("off")
    assert channel.enable() == "off"
    assert not bench.board.powered


@pytest.mark.parametrize("bench", ["keysight_e36312a"], indirect=True)
def test_e36313a_of_the_same_series_powers_a_board(bench, opened):
    psu = opened(E36313A, bench.server.address, visalib="@py")
    channel = psu.ch1
    channel.source_voltage(3.7)
    channel.source_current(0.5)
    channel.enable("on")
    assert (channel.source_voltage(), channel.source_current(), channel.enable()) == (3.7, 0.5, "on")
    assert bench.board.powered
    assert channel.voltage() == pytest.approx(3.7)
    assert channel.current() == pytest.approx(0.1)
    channel.enable("off")
    assert channel.enable() == "off"
    assert not bench.board.powered
    assert psu.ask("SYST:ERR?").startswith("+0")


@pytest.mark.parametrize("bench", ["rigol_dp832"], indirect=True)
def test_dp832_powers_a_board_and_trips(bench, opened):
    psu = opened(RigolDP832, bench.server.address, visalib="@py", terminator="\n")
    channel = psu.ch1
    channel.set_voltage(3.7)
    channel.set_current(0.5)
    channel.ovp_value(5.0)
    channel.ovp_state("on")
    channel.ocp_value(0.4)
    channel.ocp_state("on")
    assert (channel.ovp_value.get(), channel.ovp_state.get()) == (5.0, "ON")
    assert (channel.ocp_value.get(), channel.ocp_state.get()) == (0.4, "ON")
    channel.state("on")
    assert (channel.state.get(), channel.mode.get()) == ("ON", "ConstantVoltage")
    assert bench.board.powered
    assert channel.voltage() == pytest.approx(3.7, abs=1e-3)
    assert channel.current() == pytest.approx(0.1, abs=1e-3)
    assert channel.power() == pytest.approx(0.37, abs=5e-3)
    bench.board.take(0.45)
    bench.clock.sleep(1, "over-current protection")
    assert channel.state.get() == "OFF"
    assert not bench.board.powered
    assert psu.ask(":SYST:ERR?").startswith("0")


def test_j7211_attenuates(opened):
    bench = AttenuatorBench("keysight_j7211")
    attenuator = opened(Keysight_J7211, bench.server.address, visalib="@py")
    for db in (0, 45, 120):
        attenuator.attenuation(db)
        assert attenuator.attenuation.get() == db
        assert bench.paths["1"].attenuation == db
    bench.close()


def test_rudat_attenuates(opened, monkeypatch):
    monkeypatch.setitem(sys.modules, "clr", types.ModuleType("clr"))  # .NET, for its neighbour's USB switch
    from qcodes.instrument_drivers.Minicircuits import MiniCircuitsRudat13G90Base

    class RudatOnASocket(MiniCircuitsRudat13G90Base, IPInstrument):
        """Every setting of it is answered, which QCoDeS calls a confirmation."""

    def start(wiring):
        unit = Rcdat(wiring.scheduler, wiring.paths, model="RUDAT-13G-90")
        return LineServer(unit, wiring.scheduler, ending=b"\r\n")

    bench = AttenuatorBench("minicircuits_rcdat", start)
    attenuator = opened(RudatOnASocket, address="127.0.0.1", port=bench.server.port, terminator="\r\n")
    assert attenuator.model_name().strip() == "MN=RUDAT-13G-90"
    assert attenuator.serial_number().strip() == "SN=11810150042"
    assert attenuator.firmware()
    for db in (0, 12.25, 90):
        attenuator.attenuation(db)
        assert attenuator.attenuation.get() == db
        assert bench.paths["1"].attenuation == db
    attenuator.startup_attenuation(35)
    assert attenuator.startup_attenuation.get() == 35
    assert attenuator.hop_points() == 1
    bench.close()
