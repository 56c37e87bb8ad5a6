"""The simulated instruments under clients that this project did not write.

RsNgx is the maker's own driver of the NGM; ppk2-api was written from Nordic's software. Neither knows our
tables: a command that only our driver and our model agree on fails here.
"""

import time

import numpy
import pytest
import serial
from ppk2_api.ppk2_api import PPK2_API
from RsNgx import RsNgx, enums


@pytest.fixture
def ngm(bench):
    client = RsNgx(f"TCPIP::127.0.0.1::{bench.server.port}::SOCKET", False, False, "SelectVisa='socket'")
    yield client
    client.close()


@pytest.mark.parametrize("bench", ["rs_ngm202"], indirect=True)
def test_the_makers_driver_powers_a_board_from_the_ngm(bench, ngm):
    ngm.instrument.select.set(1)
    ngm.source.voltage.level.immediate.set_amplitude(3.7)
    ngm.source.current.level.immediate.set_amplitude(0.5)
    ngm.source.voltage.protection.set_level(5.0)
    ngm.source.voltage.protection.set_state(True)
    ngm.fuse.set_state(True)
    ngm.output.set_select(True)
    assert not bench.board.powered
    ngm.output.general.set_state(True)
    assert bench.board.powered
    assert ngm.measure.scalar.voltage.dc.get_value() == pytest.approx(3.7)
    assert ngm.measure.scalar.current.dc.get_value() == pytest.approx(0.1)
    assert ngm.status.questionable.instrument.isummary.condition.get() & 3 == 2
    bench.board.take(0.9)
    bench.clock.sleep(0.5, "the fuse")
    assert ngm.fuse.tripped.get_value()
    assert not bench.board.powered
    ngm.fuse.tripped.clear()
    assert not ngm.fuse.tripped.get_value()
    ngm.source.voltage.level.immediate.set_amplitude(6.0)
    assert ngm.source.voltage.protection.get_tripped()
    assert ngm.utilities.query_all_errors() is None


@pytest.mark.parametrize("bench", ["rs_ngm202"], indirect=True)
def test_the_makers_driver_reads_the_fast_log(bench, ngm):
    ngm.source.voltage.level.immediate.set_amplitude(3.7)
    ngm.output.set_select(True)
    ngm.output.general.set_state(True)
    ngm.flog.set_symbol_rate(enums.FastLogSampleRate.S001k)
    ngm.flog.set_target(enums.FastLogTarget.SCPI)
    ngm.flog.set_state(True)
    bench.clock.sleep(0.255, "a block")
    assert ngm.status.operation.instrument.isummary.event.get() & 1 << 12
    pairs = numpy.array(ngm.flog.get_data()).reshape(-1, 2)
    ngm.flog.set_state(False)
    assert len(pairs) == 250
    assert pairs[1:, 0] == pytest.approx(3.7)
    assert pairs[1:, 1] == pytest.approx(0.1)


@pytest.mark.parametrize("bench", ["nordic_ppk2"], indirect=True)
@pytest.mark.parametrize("amps", [0.1, 3e-3, 2e-4, 20e-6])
def test_another_client_reads_the_ppk2(bench, amps, monkeypatch):
    monkeypatch.setattr(serial, "Serial", lambda port, **options: serial.serial_for_url(port, **options))
    monkeypatch.setattr(time, "sleep", lambda seconds: bench.clock.sleep(seconds, "the client waits"))
    bench.feed(3.7)
    client = PPK2_API(bench.server.address)
    assert client.get_modifiers()
    client.use_ampere_meter()
    client.set_source_voltage(3700)
    client.toggle_DUT_power("ON")
    bench.board.take(amps)
    bench.server.instrument.set_logic(0b101)
    client.start_measuring()
    bench.clock.sleep(0.5, "measuring")
    data = client.get_data()
    client.stop_measuring()
    microamperes, logic = client.get_samples(data)
    assert len(microamperes) == len(data) // 4 > 40_000
    assert numpy.mean(microamperes[100:]) == pytest.approx(amps * 1e6, rel=2e-3)
    assert set(logic[100:]) == {0b101}


@pytest.mark.parametrize("bench", ["nordic_ppk2"], indirect=True)
def test_another_client_feeds_a_board_from_the_ppk2(bench, monkeypatch):
    monkeypatch.setattr(serial, "Serial", lambda port, **options: serial.serial_for_url(port, **options))
    client = PPK2_API(bench.server.address)
    client.use_source_meter()
    client.set_source_voltage(3300)
    client.toggle_DUT_power("ON")
    bench.clock.sleep(0.1, "the commands arrive")
    assert bench.rails[1].measure()[0] == pytest.approx(3.3)
    assert bench.board.powered
    client.toggle_DUT_power("OFF")
    bench.clock.sleep(0.1, "the command arrives")
    assert not bench.board.powered
