"""FastLog of the NGM202; data log and scope of the N6705C: values, gaps, overruns, byte order."""

import numpy
import pytest
from instrument_rig import power, recorded

from bench.errors import InstrumentError
from bench.instruments.samples import Sampling


@pytest.fixture
def supply(bench):
    opened = bench.open()
    power(opened, amps=1)
    yield opened
    opened.close()


ngm = pytest.mark.parametrize("bench", ["rs_ngm202"], indirect=True)
n6705 = pytest.mark.parametrize("bench", ["keysight_n6705c"], indirect=True)


# ---- FastLog


@ngm
def test_fastlog_has_every_sample_of_both_quantities(bench, supply):
    bench.take_at(0.6, 0.25)
    meter = supply.meter(1)
    assert meter.configure(rate=9_000, mode=Sampling.POINT).rate == 10_000
    start = bench.clock.now()
    samples = recorded(bench, meter, 1.1)
    assert (samples.start, samples.rate, samples.lost) == (start, 10_000, 0)
    assert len(samples) == 10_000  # four whole blocks
    assert samples.current[:6000] == pytest.approx(0.1, rel=1e-5)
    assert samples.current[6001:] == pytest.approx(0.25, rel=1e-5)
    assert samples.voltage == pytest.approx(3.7, rel=1e-4)


@ngm
def test_fastlog_block_that_was_overwritten_is_counted_and_its_place_kept(bench, supply, monkeypatch):
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=Sampling.POINT)
    meter.start()
    bench.take_at(1.6, 0.25)
    bench.clock.sleep(0.6, "measuring")
    log = bench.server.instrument.logs[1]
    take, gone = log.take, []

    def late():
        if len(gone) < 2:
            gone.append(log.event())
            return b""
        return take()

    log.take = late  # the host was busy for the next two blocks
    bench.clock.sleep(1.5, "measuring")
    meter.stop()
    samples = meter.read()
    assert samples.lost == 500
    assert numpy.flatnonzero(numpy.isnan(samples.current)).tolist() == list(range(500, 1000))
    assert int(numpy.argmax(samples.current > 0.2)) == pytest.approx(1600, abs=1)


@ngm
def test_fastlog_is_heard_whatever_events_an_earlier_user_wanted(bench, supply):
    bench.server.instrument.logs[1].latched.update(rising=0, falling=0xFFFF)
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=Sampling.POINT)
    assert len(recorded(bench, meter, 1.1)) == 1000


@ngm
def test_fastlog_in_the_wrong_byte_order_is_told(bench, supply):
    bench.server.instrument.logs[1].swapped = True
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=Sampling.POINT)
    meter.start()
    bench.clock.sleep(1, "measuring")
    with pytest.raises(InstrumentError, match=r"FLOG:DATA\?: answered values in the wrong byte order"):
        meter.read()
    with pytest.raises(InstrumentError, match="wrong byte order"):
        meter.stop()


@ngm
def test_fastlog_short_block_is_an_error(bench, supply):
    log = bench.server.instrument.logs[1]
    take = log.take
    log.take = lambda: take()[:-800]
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=Sampling.POINT)
    meter.start()
    bench.clock.sleep(1, "measuring")
    with pytest.raises(InstrumentError, match="answered 150 samples instead of 250"):
        meter.read()
    with pytest.raises(InstrumentError, match="150 samples"):
        meter.stop()


@ngm
def test_main_switch_powers_no_output_that_an_earlier_user_left_selected(bench):
    opened = bench.open()
    opened.set("INST OUT2;:VOLT 5;:OUTP:SEL 1")
    opened.channel(1).voltage = 3.7
    opened.channel(1).output = True
    assert bench.board.powered
    assert bench.rails[2].measure()[2] == "OFF"
    opened.channel(2).output = True
    assert bench.rails[2].measure()[2] == "CV"
    opened.channel(1).output = False
    assert not bench.board.powered
    assert bench.rails[2].measure()[2] == "CV"
    opened.channel(1).output = True
    assert (opened.channel(1).output, opened.channel(2).output) == (True, True)
    opened.close()


@ngm
def test_fastlog_offers_points_at_its_rates_only(supply):
    meter = supply.meter(1)
    with pytest.raises(InstrumentError, match="it has no average samples"):
        meter.configure(rate=1000)
    with pytest.raises(InstrumentError, match=r"rate 600000/s is outside 100 to 500000/s"):
        meter.configure(rate=600_000, mode=Sampling.POINT)


# ---- data log


@n6705
def test_data_log_means_keep_the_charge(bench, supply):
    for k in range(200):
        bench.take_at(0.01 * k + 0.0031, 0.5)
        bench.take_at(0.01 * k + 0.0035, 0.1)
    meter = supply.meter(1)
    measuring = meter.configure(rate=1000, range=1.0)
    assert measuring.range == 3.0
    assert measuring.rate >= 1000
    start = bench.clock.now()
    samples = recorded(bench, meter, 2.0)
    assert samples.start == start
    assert samples.lost == 0
    assert samples.duration == pytest.approx(2.0, abs=0.002)
    mean = float(samples.current.astype(float).mean())
    assert mean == pytest.approx(0.1 + 0.4 * 0.04, rel=2e-3)


@n6705
def test_data_log_resolves_a_sleeping_board(bench, supply):
    """Its range is not the scope's, and at first it is the largest, in which a sleeping board is nothing."""
    bench.board.take(2.7e-6)
    supply.set("SENS:CURR:RANG:AUTO 1,(@1)")
    meter = supply.meter(1)
    meter.configure(rate=1000)
    assert recorded(bench, meter, 1.0).current == pytest.approx(2.7e-6, rel=1e-3)


@n6705
@pytest.mark.parametrize(("range", "taken"), [(0.5, 3.0), (0.05, 0.1)])
def test_data_log_has_the_range_that_was_asked_for(bench, supply, range, taken):
    bench.board.take(0.2)
    meter = supply.meter(1)
    assert meter.configure(rate=1000, range=range).range == taken
    assert recorded(bench, meter, 1.0).current.max() == pytest.approx(min(0.2, 1.05 * taken), rel=1e-3)


@n6705
def test_range_that_is_not_taken_is_told(bench, supply, monkeypatch):
    meter = supply.meter(1)
    log = type(bench.server.instrument.logs[1])
    for name, value in (("range", 10e-6), ("auto", False)):
        monkeypatch.setattr(log, name, property(lambda _, kept=value: kept, lambda *_: None), raising=False)
    with pytest.raises(
        InstrumentError, match=r"SENS:ELOG:CURR:RANG\?: answered 1e-05 A after it was set to 3 A"
    ):
        meter.configure(rate=1000, range=1.0)
    with pytest.raises(InstrumentError, match=r"SENS:ELOG:CURR:RANG:AUTO\?: answered off"):
        meter.configure(rate=1000)


@n6705
@pytest.mark.parametrize("rate", [0.02, 3, 1000, 4567, 9300, 1 / 102.4e-6])
def test_data_log_takes_any_rate_at_the_next_shorter_of_its_periods(bench, supply, rate):
    period = 1 / supply.meter(1).configure(rate=rate).rate
    assert period == pytest.approx(round(period / 20.48e-6) * 20.48e-6)
    assert 0 <= 1 / rate - period < 20.49e-6


@n6705
def test_data_log_over_minutes_read_now_and_then(bench, supply):
    bench.take_at(60, 0.2)
    meter = supply.meter(1)
    meter.configure(rate=100)
    meter.start()
    parts = []
    for _ in range(12):
        bench.clock.sleep(10, "measuring")
        parts.append(meter.read())
    meter.stop()
    parts.append(meter.read())
    current = numpy.concatenate([p.current for p in parts])
    rate = parts[0].rate
    assert len(current) == pytest.approx(120 * rate, abs=2)
    assert int(numpy.argmax(current > 0.15)) == pytest.approx(60 * rate, abs=2)


@n6705
def test_data_log_whose_buffer_ran_over_is_an_error(bench, supply, monkeypatch):
    monkeypatch.setattr("bench.virtual.instruments.n6705c.BUFFER", 500)
    meter = supply.meter(1)
    meter.configure(rate=5000)
    meter.start()
    bench.clock.sleep(3, "measuring")
    with pytest.raises(InstrumentError, match=r"FETC:ELOG\?: gave \d+ records where \d+ were taken"):
        meter.read()
    with pytest.raises(InstrumentError, match="its buffer ran over"):
        meter.stop()


@n6705
def test_data_log_in_the_wrong_byte_order_is_told(bench, supply):
    meter = supply.meter(1)
    meter.configure(rate=1000)
    meter.start()
    bench.server.instrument.swapped = True  # another program changed FORM:BORD
    bench.clock.sleep(1, "measuring")
    with pytest.raises(InstrumentError, match=r"FETC:ELOG\? .*: answered values in the wrong byte order"):
        meter.read()


@n6705
def test_format_that_cannot_be_set_is_told_before_anything_is_measured(bench, supply):
    model = bench.server.instrument
    type(model).swapped = property(lambda self: True, lambda self, value: None)
    try:
        with pytest.raises(InstrumentError, match=r"FORM:BORD\?: answered 'SWAP' after it was set to NORM"):
            supply.meter(1).configure(rate=1000)
    finally:
        del type(model).swapped


# ---- scope


@n6705
def test_scope_takes_points_at_its_ticks(bench, supply):
    bench.take_at(0.02, 0.3)
    start = bench.clock.now()
    samples = supply.scope(1).capture(10_000, rate=150_000)
    assert samples.rate == pytest.approx(1 / 5.12e-6)
    assert len(samples) == 10_000
    assert samples.start == start
    assert int(numpy.argmax(samples.current > 0.2)) == pytest.approx(0.02 / 5.12e-6, abs=1)
    assert bench.clock.now() - start == pytest.approx(10_000 * 5.12e-6, abs=0.06)


@n6705
@pytest.mark.parametrize(
    ("rate", "interval"),
    [
        (195_312.5, 5.12e-6),
        (100_000, 5.12e-6),
        (97_000, 10.24e-6),
        (49_000, 10.24e-6),
        (48_000, 20.48e-6),
        (20_000, 2 * 20.48e-6),
        (1000, 48 * 20.48e-6),
    ],
)
def test_scope_takes_any_rate_at_the_next_shorter_of_its_intervals(supply, rate, interval):
    """The mainframe rounds others to these: 5.12 and 10.24 us, and multiples of 20.48 us."""
    assert 1 / supply.scope(1).capture(10, rate=rate).rate == pytest.approx(interval)


@n6705
def test_scope_refuses_what_it_cannot(bench, supply):
    mark = bench.timeline.mark()
    for points, rate in ((0, 1000), (600_000, 1000), (10, 1e6), (10, float("nan"))):
        with pytest.raises(InstrumentError, match="scope: "):
            supply.scope(1).capture(points, rate=rate)
    assert bench.timeline.since(mark) == []


@n6705
def test_scope_that_gives_fewer_points_is_an_error(bench, supply):
    scope = bench.server.instrument.scopes[1]
    finish = scope._finish

    def short():
        finish()
        scope.result = scope.result[:-10]

    scope._finish = short
    with pytest.raises(InstrumentError, match=r"FETC:ARR:CURR\?: answered 990 points, not 1000"):
        supply.scope(1).capture(1000)


@n6705
def test_scope_that_never_ends_is_an_error(bench, supply):
    bench.server.instrument.scopes[1]._finish = lambda: None
    with pytest.raises(InstrumentError, match="says that it still measures"):
        supply.scope(1).capture(1000)


@n6705
def test_modules_of_another_kind_are_left_out(bench):
    bench.server.instrument.modules[1] = "N6731B"
    opened = bench.open()
    assert opened.channels == (2, 3, 4)
    with pytest.raises(InstrumentError, match="no channel 1; it has 2, 3, 4"):
        opened.meter(1)
    opened.close()
    bench.server.instrument.modules.update(dict.fromkeys((1, 2, 3, 4), "N6731B"))
    with pytest.raises(InstrumentError, match="none of the modules N6781A"):
        bench.open()


# ---- all meters


@pytest.mark.parametrize("bench", ["rs_ngm202", "keysight_n6705c"], indirect=True)
def test_meter_says_what_it_needs(bench, supply):
    meter = supply.meter(1)
    with pytest.raises(InstrumentError, match="never configured"):
        meter.start()
    with pytest.raises(InstrumentError, match="never configured"):
        meter.read()
    meter.configure(rate=1000, mode=meter.ratings.modes[0])
    meter.start()
    with pytest.raises(InstrumentError, match="running already"):
        meter.start()
    with pytest.raises(InstrumentError, match="it is running"):
        meter.configure(rate=1000, mode=meter.ratings.modes[0])
    bench.clock.sleep(1, "measuring")
    meter.stop()
    meter.stop()
    assert len(meter.read()) > 0
    assert len(meter.read()) == 0


@pytest.mark.parametrize("bench", ["rs_ngm202", "keysight_n6705c"], indirect=True)
def test_supply_is_used_while_it_measures(bench, supply):
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=meter.ratings.modes[0])
    meter.start()
    channel = supply.channel(1)
    for volts in (3.6, 3.5, 3.4):
        bench.clock.sleep(0.5, "measuring")
        channel.voltage = volts
        assert channel.measure_voltage() == pytest.approx(volts, abs=1e-3)
    bench.clock.sleep(0.3, "measuring")
    meter.stop()
    samples = meter.read()
    assert samples.lost == 0
    assert samples.current == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(
    ("bench", "module"),
    [("rs_ngm202", "rs_fastlog"), ("keysight_n6705c", "keysight_n678x")],
    indirect=["bench"],
)
def test_samples_that_nobody_reads_are_an_error(bench, supply, monkeypatch, module):
    monkeypatch.setattr(f"bench.instruments.drivers.{module}.KEPT", 1500)
    meter = supply.meter(1)
    meter.configure(rate=1000, mode=meter.ratings.modes[0])
    meter.start()
    bench.clock.sleep(1, "measuring")
    assert len(meter.read()) > 0
    bench.clock.sleep(3, "nobody reads")
    with pytest.raises(InstrumentError, match=r"1500 (samples|records) were not read"):
        meter.read()
    with pytest.raises(InstrumentError, match="were not read"):
        meter.stop()
