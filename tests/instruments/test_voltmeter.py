"""A multimeter across a rail, through the driver, and by the question as a manual has it."""

import pytest
from instrument_rig import SupplyBench

from bench.errors import InstrumentError
from bench.instruments.models import open_instrument


@pytest.fixture
def bench():
    made = SupplyBench("scpi_voltmeter")
    yield made
    made.close()


def test_it_shows_the_rail_whatever_feeds_it(bench):
    meter = bench.open()
    assert meter.measure_voltage() == pytest.approx(0.0, abs=1e-6)
    bench.feed(3.7)
    assert meter.measure_voltage() == pytest.approx(bench.rails[1].board_voltage, abs=1e-6)
    with bench.scheduler.lock:
        bench.rails[1].off()
        bench.rails[1].back_feed(3.3, 0.5)
    assert meter.measure_voltage() == pytest.approx(3.3, abs=0.01)
    meter.close()


def test_a_range_may_be_named(bench):
    """HP 34401A user's guide: {range|MIN|MAX|DEF}, {resolution|MIN|MAX|DEF}."""
    meter = bench.open()
    bench.feed(3.7)
    for question in ("MEASure:VOLTage:DC? 10", "MEAS:VOLT:DC? DEF", "meas?"):
        assert float(meter.transport.query(question)) == pytest.approx(3.7, abs=0.01)
    meter.close()


def test_another_instrument_is_refused(bench):
    other = SupplyBench("keysight_e36312a")
    try:
        with pytest.raises(InstrumentError, match="E36312A"):
            open_instrument("dmm", "scpi_voltmeter", other.server.address, bench.clock, bench.timeline)
    finally:
        other.close()
