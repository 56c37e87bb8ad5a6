"""The PPK2 driver over a virtual serial port: ranges, logic, rates, and everything that can be lost."""

import itertools

import numpy
import pytest
from instrument_rig import SupplyBench, recorded

from bench.errors import InstrumentError
from bench.instruments.drivers.ppk2_stream import RATE, WordStream, readings_of
from bench.instruments.samples import Sampling
from bench.virtual.instruments.ppk2 import CHUNK


@pytest.fixture
def bench():
    made = SupplyBench("nordic_ppk2")
    made.feed()
    yield made
    made.close()


@pytest.fixture
def ppk(bench):
    opened = bench.open(identity="PPK2,HW 9173")
    opened.pass_through(3.7)
    yield opened
    opened.close()


def damage(bench, at, change):
    """Pass the stream's `at`-th chunk through `change`."""
    uart = bench.server.uart
    sent, count = uart.transmit, iter(range(10**9))

    def transmit(data):
        sent(change(data) if next(count) == at else data)

    uart.transmit = transmit


@pytest.mark.parametrize("amps", [2.7e-6, 40e-6, 300e-6, 2.2e-3, 19.6e-3, 0.105, 0.3])
def test_every_range_measures_what_flows(bench, ppk, amps):
    bench.board.take(amps)
    meter = ppk.meter()
    meter.configure(rate=RATE, mode=Sampling.POINT)
    start = bench.clock.now()
    samples = recorded(bench, meter, 0.1)
    assert samples.start == start
    assert (samples.rate, samples.lost) == (RATE, 0)
    assert len(samples) == pytest.approx(0.1 * RATE, abs=2)
    assert samples.current == pytest.approx(amps, rel=0.02, abs=5e-8)
    assert samples.range is not None
    assert len(set(samples.range.tolist())) == 1


def test_steps_and_logic_are_at_their_sample(bench, ppk):
    bench.board.take(2.7e-6)
    bench.take_at(0.5, 0.1)
    bench.scheduler.after(0.25, lambda: bench.server.instrument.set_logic(0b101))
    meter = ppk.meter()
    meter.configure(rate=RATE, mode=Sampling.POINT)
    samples = recorded(bench, meter, 1)
    assert int(numpy.argmax(samples.current > 0.05)) == pytest.approx(50_000, abs=1)
    assert samples.range[0] == 0
    assert samples.range[-1] == 4
    assert int(numpy.argmax(samples.logic > 0)) == pytest.approx(25_000, abs=1)
    assert set(samples.logic.tolist()) == {0, 0b101}


def test_average_keeps_the_charge_of_bursts_that_points_miss(bench, ppk):
    bench.board.take(1e-3)
    for k in range(100):
        bench.take_at(0.01 * k + 0.0052, 0.1)
        bench.take_at(0.01 * k + 0.0062, 1e-3)
    meter = ppk.meter()
    assert meter.configure(rate=100).rate == 100
    mean = recorded(bench, meter, 1)
    assert float(mean.current.astype(float).mean()) == pytest.approx(0.9 * 1e-3 + 0.1 * 0.1, rel=0.02)
    assert len(mean) == 100


def test_rate_is_the_next_faster_one_it_has(ppk):
    meter = ppk.meter()
    assert meter.configure(rate=30_000).rate == pytest.approx(RATE / 3)
    for rate in (0, -1, 200_000, float("nan")):
        with pytest.raises(InstrumentError, match=r"psu: rate .* is outside 1 to 100000/s"):
            meter.configure(rate=rate)
    with pytest.raises(InstrumentError, match="no range takes"):
        meter.configure(rate=1000, range=0.1)


def test_reading_in_pieces_gives_the_same_as_at_once(bench, ppk):
    for k in range(40):
        bench.take_at(0.05 * k, 0.001 * (k % 7 + 1))
    meter = ppk.meter()
    meter.configure(rate=1000)
    meter.start()
    pieces = []
    for _ in range(8):
        bench.clock.sleep(0.25, "measuring")
        pieces.append(meter.read())
    meter.stop()
    pieces.append(meter.read())
    current = numpy.concatenate([p.current for p in pieces])
    assert len(current) == pytest.approx(2000, abs=1)
    for before, after in itertools.pairwise(pieces):
        assert after.start == pytest.approx(before.start + before.duration)
    expected = numpy.repeat(0.001 * (numpy.arange(40) % 7 + 1), 50)
    assert current[:2000] == pytest.approx(expected[: len(current)], rel=0.03, abs=5e-6)


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 4 * 17 + 1, 1203])
@pytest.mark.parametrize("within", range(4))
def test_lost_bytes_never_become_a_wrong_number(bench, ppk, lost, within):
    """2.2 mA, and a stream from which `lost` bytes vanish in the middle of a chunk."""
    bench.board.take(2.2e-3)
    at = 4 * 800 + within
    damage(bench, 5, lambda data: data[:at] + data[at + lost :])
    meter = ppk.meter()
    meter.configure(rate=RATE, mode=Sampling.POINT)
    samples = recorded(bench, meter, 0.3)
    good = samples.current[~numpy.isnan(samples.current)]
    assert good == pytest.approx(2.2e-3, rel=0.02)
    touched = -(-(within + lost) // 4)
    assert touched % 64 <= samples.lost <= touched % 64 + 5
    assert meter.resyncs == (lost % 4 != 0)
    whole = 0.3 * RATE - touched // 64 * 64
    assert len(samples) == pytest.approx(whole, abs=2)


@pytest.mark.parametrize("words", [1, 5, 63])
def test_lost_samples_leave_a_gap_and_nothing_shifts(bench, ppk, words):
    bench.board.take(2.2e-3)
    bench.take_at(0.2, 0.1)
    damage(bench, 3, lambda data: data[:400] + data[400 + 4 * words :])
    meter = ppk.meter()
    meter.configure(rate=RATE, mode=Sampling.POINT)
    samples = recorded(bench, meter, 0.3)
    assert samples.lost == words
    gap = numpy.flatnonzero(numpy.isnan(samples.current))
    assert gap.tolist() == list(range(3 * CHUNK + 100, 3 * CHUNK + 100 + words))
    assert int(numpy.argmax(samples.current > 0.05)) == pytest.approx(20_000, abs=1)
    assert meter.resyncs == 0


def test_mean_with_a_lost_sample_in_it_is_lost(bench, ppk):
    damage(bench, 3, lambda data: data[:400] + data[404:])
    meter = ppk.meter()
    meter.configure(rate=1000)
    samples = recorded(bench, meter, 0.3)
    assert samples.lost == 1
    assert numpy.flatnonzero(numpy.isnan(samples.current)).tolist() == [(3 * CHUNK + 100) * 1000 // RATE]


def test_whole_blocks_that_no_counter_shows_are_an_error(bench, ppk):
    meter = ppk.meter()
    meter.configure(rate=1000)
    uart = bench.server.uart
    sent = uart.transmit
    meter.start()
    uart.transmit = lambda data: sent(data[: -4 * 64 * 20])
    bench.clock.sleep(3, "a slow host")
    meter.stop()
    with pytest.raises(InstrumentError, match=r"stream: gave \d+ samples in the time of 300000"):
        meter.read()


def test_too_much_unread_is_an_error(bench, ppk, monkeypatch):
    monkeypatch.setattr("bench.instruments.drivers.nordic_ppk2.KEPT", 100_000)
    meter = ppk.meter()
    meter.configure(rate=1000)
    meter.start()
    bench.clock.sleep(2, "nobody reads")
    meter.stop()
    with pytest.raises(InstrumentError, match=r"were not read, and the next are gone"):
        meter.read()


def test_unplugged_while_it_measures(bench, ppk):
    meter = ppk.meter()
    meter.configure(rate=1000)
    meter.start()
    bench.clock.sleep(0.5, "measuring")
    bench.server.uart.vanish()
    bench.clock.sleep(0.5, "unplugged")
    with pytest.raises(InstrumentError, match="psu at vboard"):
        meter.stop()
    with pytest.raises(InstrumentError, match="psu at vboard"):
        meter.read()


def test_source_feeds_the_board_when_connected(bench):
    bench.rails[1].off()
    ppk = bench.open()
    for volts in (0.5, 5.1, float("nan")):
        with pytest.raises(InstrumentError, match=r"psu: .* V is outside 0\.8 to 5 V"):
            ppk.use_source(volts)
    ppk.use_source(3.3)
    assert not bench.board.powered
    ppk.connected = True
    assert bench.board.powered
    assert bench.rails[1].measure()[0] == pytest.approx(3.3)
    ppk.connected = False
    assert not bench.board.powered
    ppk.close()


def test_as_ampere_meter_it_is_a_switch_in_the_lead_of_the_supply(bench):
    ppk = bench.open()
    assert not bench.board.powered, "DUT power is off after its power-up"
    ppk.use_ampere_meter(3.7)
    assert not bench.board.powered
    assert bench.rails[1].measure() == (3.7, 0.0, "CV"), "the supply feeds an open lead"
    ppk.connected = True
    assert bench.board.powered
    meter = ppk.meter()
    meter.configure(rate=1000)
    meter.start()
    bench.clock.sleep(0.2, "measuring")
    ppk.connected = False
    assert not bench.board.powered
    bench.clock.sleep(0.2, "measuring nothing")
    meter.stop()
    current = meter.read().current
    assert current[:199] == pytest.approx(0.1, rel=0.02)
    assert current[202:] == pytest.approx(0, abs=1e-7)
    ppk.close()


def test_mode_must_be_chosen_first(bench):
    ppk = bench.open()
    meter = ppk.meter()
    meter.configure(rate=1000)
    with pytest.raises(InstrumentError, match="neither use_ampere_meter nor use_source"):
        meter.start()
    with pytest.raises(InstrumentError, match="no meter 2"):
        ppk.meter(2)
    ppk.close()


def test_calibration_that_cannot_be_is_refused(bench, monkeypatch):
    monkeypatch.setattr("bench.virtual.instruments.ppk2.SHUNTS", (0, 1, 1, 1, 1))
    ppk = bench.open()
    ppk.use_ampere_meter(3.7)
    ppk.meter().configure(rate=1000)
    with pytest.raises(InstrumentError, match=r"shunts of \[0\.0, "):
        ppk.meter().start()
    ppk.close()


def test_left_running_by_an_earlier_user(bench):
    first = bench.open()
    first.use_ampere_meter(3.7)
    first.transport.send_bytes(b"\x06")
    bench.clock.sleep(0.5, "it streams")
    first.transport.close()
    again = bench.open()
    again.pass_through(3.7)
    again.meter().configure(rate=1000)
    again.meter().start()
    bench.clock.sleep(0.5, "measuring")
    again.meter().stop()
    assert again.meter().read().current == pytest.approx(0.1, rel=0.02)
    again.close()


def words(count, first=0, value=100):
    counter = (first + numpy.arange(count)) & 63
    return (value | counter << 18).astype("<u4").tobytes()


def test_noise_without_words_gives_no_samples():
    stream = WordStream()
    stream.feed(bytes(range(256)) * 3)
    got, lost = stream.take(final=True)
    assert numpy.count_nonzero(~lost) == 0 or set((got[~lost] & 0x3FFF).tolist()) != {100}


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 7, 69])
def test_no_wrong_number_wherever_the_counter_stands(lost):
    """Shifted words count up by chance, one in 64: at some counter they do."""
    for first, within in itertools.product(range(64), range(4)):
        data = words(200, first=first)
        reading = readings_of(numpy.frombuffer(data[:4], dtype="<u4"))[0]
        at = 4 * 100 + within
        stream = WordStream()
        stream.feed(data[:at] + data[at + lost :])
        got, gone = stream.take(final=True)
        assert set(readings_of(got[~gone])) == {reading}, (first, within)


def test_every_split_of_the_bytes_gives_the_same_words():
    data = words(100)[:-150] + words(60, first=70)
    whole = WordStream()
    whole.feed(data)
    expected, gaps = whole.take(final=True)
    for size in (1, 3, 7, 64, 130):
        stream = WordStream()
        got, lost = [], []
        for start in range(0, len(data), size):
            stream.feed(data[start : start + size])
            for part, target in zip(stream.take(), (got, lost), strict=True):
                target.append(part)
        for part, target in zip(stream.take(final=True), (got, lost), strict=True):
            target.append(part)
        assert numpy.concatenate(got).tolist() == expected.tolist()
        assert numpy.concatenate(lost).tolist() == gaps.tolist()
