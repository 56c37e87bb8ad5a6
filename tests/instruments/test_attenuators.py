"""Every attenuator driver against its simulated counterpart and a radio path."""

import math
from dataclasses import replace

import pytest
from instrument_rig import AttenuatorBench

from bench.errors import InstrumentError
from bench.instruments.attenuator import ProfileStep
from bench.instruments.models import open_instrument
from bench.virtual.instruments.adaura import AdauraUnit, AdauraUsb
from bench.virtual.instruments.hislip_server import HislipServer
from bench.virtual.instruments.http_server import HttpServer
from bench.virtual.instruments.line_server import LineServer
from bench.virtual.instruments.nine_fives import NineFives
from bench.virtual.instruments.rcdat import GREETING, Rcdat
from bench.virtual.instruments.serial_server import SerialServer


def telnet(model):
    return lambda w: LineServer(
        Rcdat(w.scheduler, w.paths, model=model), w.scheduler, ending=b"\r\n", greeting=GREETING
    )


KINDS = {
    "rcdat http": ("minicircuits_rcdat", None),
    "rcdat telnet": ("minicircuits_rcdat", telnet("RCDAT-8000-90")),
    "rc4dat http": (
        "minicircuits_rcdat",
        lambda w: HttpServer(Rcdat(w.scheduler, w.paths, model="RC4DAT-6G-95"), w.scheduler),
    ),
    "rc4dat telnet": ("minicircuits_rcdat", telnet("RC4DAT-6G-95")),
    "j7211": ("keysight_j7211", None),
    "scpi hislip": ("scpi_attenuator", None),
    "scpi socket": ("scpi_attenuator", lambda w: LineServer(NineFives(w.paths), w.scheduler)),
    "adaura": ("adaura", None),
    "adaura usb": ("adaura", lambda w: SerialServer(AdauraUsb(AdauraUnit(w.paths)), w.scheduler)),
}
HIGHEST = {
    "rcdat http": 110,
    "rcdat telnet": 90,
    "rc4dat http": 95,
    "rc4dat telnet": 95,
    "j7211": 120,
    "scpi hislip": 95.25,
    "scpi socket": 95.25,
    "adaura": 95,
    "adaura usb": 95,
}
FOUR = ("rc4dat http", "rc4dat telnet", "adaura", "adaura usb")


@pytest.fixture
def bench(request):
    made = AttenuatorBench(*KINDS[request.param])
    made.kind = request.param
    yield made
    made.close()


@pytest.fixture
def attenuator(bench):
    opened = bench.open()
    yield opened
    opened.close()


each = pytest.mark.parametrize("bench", KINDS, indirect=True)


@each
def test_set_and_read_back(bench, attenuator):
    path = attenuator.path("1")
    assert (path.range.low, path.range.high) == (0, HIGHEST[bench.kind])
    for db in (0, path.range.step, 45, path.range.high):
        path.attenuation = db
        assert path.attenuation == db
        assert bench.paths["1"].attenuation == db
    entries = [e for e in bench.timeline if e.kind == "attenuation"]
    assert [e.data["read_back"] for e in entries] == [0, path.range.step, 45, path.range.high]


@pytest.mark.parametrize("bench", FOUR, indirect=True)
def test_paths_are_apart(bench, attenuator):
    assert attenuator.paths == ("1", "2", "3", "4")
    for number, name in enumerate(attenuator.paths):
        attenuator.path(name).attenuation = 10 + number
    assert [p.attenuation for p in bench.paths.values()] == [10, 11, 12, 13]
    assert attenuator.path("3").attenuation == 12


@each
@pytest.mark.parametrize("db", [math.nan, math.inf, -1, 121])
def test_what_cannot_be_set_is_refused_before_anything_is_sent(bench, attenuator, db):
    mark = bench.timeline.mark()
    with pytest.raises(InstrumentError, match=r"att:1: .* dB is outside 0 to"):
        attenuator.path("1").attenuation = db
    with pytest.raises(InstrumentError, match="no path '9'; it has 1"):
        attenuator.path("9")
    assert bench.timeline.since(mark) == []


@each
def test_between_two_steps_is_refused_naming_both(bench, attenuator):
    path = attenuator.path("1")
    off = 12 + path.range.step / 2
    mark = bench.timeline.mark()
    with pytest.raises(InstrumentError, match=r"between two steps(.|\n)*use 12 or 12\.25|use 12 or 13"):
        path.attenuation = off
    assert bench.timeline.since(mark) == []
    path.attenuation = path.nearest(off)
    assert path.nearest(500) == path.range.high


@pytest.mark.parametrize("bench", ["rcdat http", "rcdat telnet"], indirect=True)
def test_clipped_setting_is_an_error(bench, attenuator):
    bench.server.instrument.limit = 60.0
    attenuator.path("1").attenuation = 60
    with pytest.raises(InstrumentError, match=r"att at .*: :SETATT=80\.00: clipped it to its range"):
        attenuator.path("1").attenuation = 80


@pytest.mark.parametrize("bench", ["j7211", "adaura", "adaura usb"], indirect=True)
def test_silently_refused_setting_shows_in_the_read_back(bench, attenuator):
    path = attenuator.path("1")
    path.attenuation = 20
    path.range = replace(path.range, high=500)  # the instrument has less than the driver believes
    with pytest.raises(InstrumentError, match=r"set to 300 dB, but reads back 20 dB"):
        path.attenuation = 300


@pytest.mark.parametrize("bench", ["scpi hislip", "scpi socket"], indirect=True)
def test_error_queue_names_the_refusal(bench, attenuator):
    with pytest.raises(InstrumentError, match=r"INP:ATT 99: refused: -222"):
        attenuator.set("INP:ATT 99")
    attenuator.path("1").attenuation = 50


@each
def test_profile_runs_at_fixed_moments_while_the_test_waits(bench, attenuator):
    path = attenuator.path("1")
    path.attenuation = 0
    seen = []
    bench.paths["1"].watch(lambda db: seen.append((bench.clock.now() - start, db)))
    start = bench.clock.now()
    run = path.run_profile([ProfileStep(10, 5), ProfileStep(60, 2.5), ProfileStep(20, 1)])
    assert run.duration == 8.5
    with pytest.raises(InstrumentError, match="a profile is running"):
        path.attenuation = 5
    bench.clock.sleep(6, "half way")
    assert not run.done
    assert path.attenuation == 60
    run.wait()
    assert bench.clock.now() - start == pytest.approx(8.5)
    assert seen == [(pytest.approx(0), 10), (pytest.approx(5), 60), (pytest.approx(7.5), 20)]
    path.attenuation = 5


@each
def test_profile_is_checked_whole_before_it_starts(bench, attenuator):
    with pytest.raises(InstrumentError, match="outside"):
        attenuator.path("1").run_profile([ProfileStep(10, 1), ProfileStep(500, 1)])
    with pytest.raises(InstrumentError, match="a step of -1 s"):
        attenuator.path("1").run_profile([ProfileStep(10, -1)])
    bench.clock.sleep(1, "nothing runs")
    assert bench.paths["1"].attenuation != 10


@each
def test_profile_can_be_cancelled_and_its_fault_is_raised(bench, attenuator):
    path = attenuator.path("1")
    run = path.run_profile([ProfileStep(10, 5), ProfileStep(60, 5)])
    bench.clock.sleep(1, "begun")
    run.cancel()
    run.wait()
    bench.clock.sleep(10, "no more of it")
    assert bench.paths["1"].attenuation == 10
    run = path.run_profile([ProfileStep(30, 5), ProfileStep(60, 5)])
    bench.clock.sleep(1, "begun")
    bench.server.close()
    with pytest.raises(InstrumentError, match="att at "):
        run.wait()
    assert run.done


@each
def test_wrong_instrument_is_refused(bench):
    with pytest.raises(InstrumentError, match=r"att at .* is '.*', but the bench file names 'ACME'"):
        bench.open(identity="ACME")


@pytest.mark.parametrize("bench", ["scpi socket"], indirect=True)
def test_driver_for_another_model_is_refused(bench):
    with pytest.raises(InstrumentError, match=r"att at .* is 'Nine Fives.*', which its driver is not for"):
        open_instrument("att", "rigol_dp832", bench.server.address, bench.clock, bench.timeline)


@pytest.mark.parametrize("bench", ["adaura"], indirect=True)
def test_web_page_that_is_not_there(bench):
    with pytest.raises(InstrumentError, match=r"att at http.*: :MN\?: HTTP status 404"):
        open_instrument("att", "minicircuits_rcdat", bench.server.address, bench.clock, bench.timeline)


def test_identity_of_rcdat_is_model_and_serial():
    bench = AttenuatorBench("minicircuits_rcdat")
    opened = bench.open(identity="RCDAT-6000-110,11810150042")
    assert opened.idn == "RCDAT-6000-110,11810150042"
    opened.close()
    bench.close()


def test_hislip_that_goes_away_is_an_instrument_error():
    bench = AttenuatorBench("scpi_attenuator", lambda w: HislipServer(NineFives(w.paths), w.scheduler))
    opened = bench.open(timeout=0.5)
    opened.path().attenuation = 10
    bench.server.close()
    with pytest.raises(InstrumentError, match=r"att at TCPIP.*hislip"):
        opened.path().attenuation = 20
    with pytest.raises(InstrumentError, match=r"att at TCPIP.*hislip"):
        opened.path().attenuation = 20
    opened.close()
    bench.close()
