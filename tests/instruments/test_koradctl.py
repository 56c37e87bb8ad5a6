"""koradctl, written against a TENMA 72-2540, drives the simulated Korad.

Its `ISET1?` does not expect the sixth byte that a KA3005P sends, and it takes bit 7 for over-current
protection, as a TENMA has it: neither is asked here.
"""

import datetime
import time
from types import SimpleNamespace

import koradctl.psu
import pytest
import serial


@pytest.fixture
def psu(bench, monkeypatch):
    """Its pauses pass on the bench's clock, a little longer than it asks, as on any PC."""
    monkeypatch.setattr(koradctl.psu, "sleep", lambda seconds: bench.clock.sleep(seconds + 1e-3, "koradctl"))
    now = lambda: datetime.datetime.fromtimestamp(bench.clock.now(), datetime.UTC)  # noqa: E731
    monkeypatch.setattr(koradctl.psu, "datetime", SimpleNamespace(now=now))
    monkeypatch.setattr(time, "sleep", lambda seconds: bench.clock.sleep(seconds, "koradctl"))
    port = serial.serial_for_url(bench.server.address, baudrate=9600, timeout=0.1)
    bench.clock.sleep(1, "after what was said before")
    yield koradctl.psu.PowerSupply(port)
    port.close()


@pytest.mark.parametrize("bench", ["korad_ka3005p"], indirect=True)
def test_it_powers_a_board(bench, psu):
    assert "KA3005P" in psu.get_identity()
    psu.set_voltage_setpoint(3.7)
    psu.set_current_setpoint(0.5)
    assert psu.get_voltage_setpoint().value == 3.7
    assert psu.get_output_state() is False
    psu.set_output_state(True)
    status = psu.get_status()
    assert (status.output_enabled, status.cv_active) == (True, True)
    assert bench.board.powered
    assert psu.get_output_voltage().value == pytest.approx(3.7, abs=0.01)
    assert psu.get_output_current().value == pytest.approx(0.1, abs=1e-3)
    psu.set_output_state(False)
    assert psu.get_output_state() is False
    assert not bench.board.powered
