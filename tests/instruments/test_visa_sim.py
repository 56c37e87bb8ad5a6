"""Our VISA transport and drivers on pyvisa-sim, with definitions of instruments that others ship.

Among those of QCoDeS, its contributed drivers and pyvisa-sim itself one is of an instrument that we drive:
QCoDeS's N6705B. It knows `*IDN?`, `*RST` and `*CLS` alone: our driver gets to its first other question.
"""

from importlib import resources

import pytest
import pyvisa

from bench.clock import WallClock
from bench.errors import InstrumentError
from bench.instruments.models import DRIVERS, open_instrument
from bench.instruments.wires import transport as transport_module
from bench.instruments.wires.transport import Transport
from bench.timeline import Timeline

N6705B = "Agilent Technologies,N6705B,MY50001897,D.01.08"


@pytest.fixture
def timeline(monkeypatch):
    definition = resources.files("qcodes.instrument.sims") / "Keysight_N6705B.yaml"
    with resources.as_file(definition) as path:
        manager = pyvisa.ResourceManager(f"{path}@sim")
    monkeypatch.setattr(transport_module, "_resource_manager", lambda: manager)
    clock = WallClock()
    yield Timeline(clock)
    clock.close()
    manager.close()


def test_identification_of_anothers_n6705b_is_one_that_our_driver_is_for(timeline):
    wire = Transport("psu", "GPIB::1::INSTR", timeline, identity=N6705B, timeout=1)
    wire.models = DRIVERS["keysight_n6705c"].models
    wire.open()
    assert wire.idn == N6705B
    wire.write("*CLS")
    wire.close()


def test_what_it_does_not_know_is_an_instrument_error(timeline):
    with pytest.raises(InstrumentError, match=r"^psu at GPIB::1::INSTR: .*(answered|no reply|not complete)"):
        open_instrument("psu", "keysight_n6705c", "GPIB::1::INSTR", timeline._clock, timeline, timeout=1)


def test_driver_for_another_instrument_is_refused(timeline):
    with pytest.raises(InstrumentError, match="which its driver is not for"):
        open_instrument("psu", "keysight_e36312a", "GPIB::1::INSTR", timeline._clock, timeline, timeout=1)
