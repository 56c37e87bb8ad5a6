"""Every attenuator driver against its simulated counterpart and a radio path."""

import contextlib
import math
import os
import sys
import threading
from dataclasses import replace

import pytest
from instrument_rig import AttenuatorBench, SupplyBench

from bench.clock import WallClock
from bench.errors import ConfigError, InstrumentError
from bench.instruments.attenuator import AttenuationRange, ProfileStep
from bench.instruments.models import open_instrument
from bench.timeline import Timeline
from bench.virtual.instruments.adaura import AdauraUnit, AdauraUsb
from bench.virtual.instruments.hislip_server import HislipServer
from bench.virtual.instruments.http_server import HttpServer
from bench.virtual.instruments.j7211 import J7211
from bench.virtual.instruments.line_server import LineServer
from bench.virtual.instruments.nine_fives import NineFives
from bench.virtual.instruments.rcdat import GREETING, Rcdat
from bench.virtual.instruments.serial_server import SerialServer
from bench.virtual.scheduler import Scheduler


def telnet(model, **options):
    return lambda w: LineServer(
        Rcdat(w.scheduler, w.paths, model=model, **options),
        w.scheduler,
        ending=b"\r\n",
        command_ending=b"\n",  # a line feed is enough, as Meta's driver for the RC4DAT has it
        greeting=GREETING,
    )


def web(model, **options):
    return lambda w: HttpServer(Rcdat(w.scheduler, w.paths, model=model, **options), w.scheduler)


class EmptyLines:
    """An instrument that puts an empty line before each reply, as firmware of an RC4DAT-6G-95 does."""

    def __init__(self, instrument, before=b"\r\n", after=b""):
        self.instrument, self.before, self.after = instrument, before, after

    def execute(self, line):
        reply = self.instrument.execute(line)
        return None if reply is None else self.before + reply + self.after

    def __getattr__(self, name):
        return getattr(self.instrument, name)


def with_empty_lines(w):
    instrument = EmptyLines(Rcdat(w.scheduler, w.paths, model="RC4DAT-6G-95"))
    return LineServer(instrument, w.scheduler, ending=b"\r\n")


def with_line_feeds(w):
    return LineServer(EmptyLines(J7211(w.paths), b"", b"\r\n"), w.scheduler, ending=b"", command_ending=b"\r")


KINDS = {
    "rcdat http": ("minicircuits_rcdat", None),
    "rcdat telnet": ("minicircuits_rcdat", telnet("RCDAT-8000-90")),
    "rudat telnet": ("minicircuits_rcdat", telnet("RUDAT-3000-60", step=0.5)),
    "rc2dat telnet": ("minicircuits_rcdat", telnet("RC2DAT-6G-95")),
    "rc4dat http": ("minicircuits_rcdat", web("RC4DAT-6G-95")),
    "rc4dat telnet": ("minicircuits_rcdat", telnet("RC4DAT-6G-95")),
    "rc4dat empty lines": ("minicircuits_rcdat", with_empty_lines),
    "rc8dat http": ("minicircuits_rcdat", web("RC8DAT-8G-95")),
    "j7211": ("keysight_j7211", None),
    "j7211 line feeds": ("keysight_j7211", with_line_feeds),
    "scpi hislip": ("scpi_attenuator", None),
    "scpi socket": ("scpi_attenuator", lambda w: LineServer(NineFives(w.paths), w.scheduler)),
    "adaura": ("adaura", None),
    "adaura breaks": ("adaura", lambda w: HttpServer(AdauraUnit(w.paths, line_end="<br>"), w.scheduler)),
    "adaura 8": ("adaura", lambda w: HttpServer(AdauraUnit(w.paths, model="AD-USB8AR38G95"), w.scheduler)),
    "adaura usb": ("adaura", lambda w: SerialServer(AdauraUsb(AdauraUnit(w.paths)), w.scheduler)),
}
HIGHEST = {
    "rcdat http": 110,
    "rcdat telnet": 90,
    "rudat telnet": 60,
    "j7211": 120,
    "j7211 line feeds": 120,
    "scpi hislip": 95.25,
    "scpi socket": 95.25,
}
STEPS = {"rudat telnet": 0.5, "j7211": 1, "j7211 line feeds": 1}
PATHS = {"rc2dat telnet": 2, "rc8dat http": 8, "adaura 8": 8}
PATHS |= dict.fromkeys(("rc4dat http", "rc4dat telnet", "rc4dat empty lines"), 4)
PATHS |= dict.fromkeys(("adaura", "adaura breaks", "adaura usb"), 4)


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
    assert path.range == AttenuationRange(0, HIGHEST.get(bench.kind, 95), STEPS.get(bench.kind, 0.25))
    for db in (0, path.range.step, 45, path.range.high):
        path.attenuation = db
        assert path.attenuation == db
        assert bench.paths["1"].attenuation == db
    entries = [e for e in bench.timeline if e.kind == "attenuation"]
    assert [e.data["read_back"] for e in entries] == [0, path.range.step, 45, path.range.high]


@pytest.mark.parametrize("bench", PATHS, indirect=True)
def test_paths_are_apart(bench, attenuator):
    count = PATHS[bench.kind]
    assert attenuator.paths == tuple("12345678"[:count])
    for number, name in enumerate(attenuator.paths):
        attenuator.path(name).attenuation = 10 + number
    assert [p.attenuation for p in bench.paths.values()][:count] == [10 + n for n in range(count)]
    assert attenuator.path("2").attenuation == 11


@pytest.mark.parametrize("bench", KINDS, indirect=True)
def test_more_than_one_path_is_only_where_the_model_has_it(bench, attenuator):
    assert len(attenuator.paths) == PATHS.get(bench.kind, 1)


@pytest.mark.parametrize(
    ("model", "paths", "high", "step"),
    [
        ("RCDAT-6000-60", 1, 60, 0.25),
        ("RCDAT-18G-63", 1, 63, 0.25),
        ("RCDAT-3000-63W2", 1, 63, 0.25),
        ("RUDAT-13G-90", 1, 90, 0.25),
        ("RUDAT-6000-30", 1, 30, 0.25),
        ("RUDAT-3000-50", 1, 50, 0.5),
        ("RC2DAT-40G-30", 2, 30, 0.25),
        ("RC8DAT-6G-95", 8, 95, 0.25),
    ],
)
def test_model_name_tells_paths_and_range(model, paths, high, step):
    bench = AttenuatorBench("minicircuits_rcdat", web(model, step=step))
    opened = bench.open()
    assert len(opened.paths) == paths
    assert opened.path().range == AttenuationRange(0, high, step)
    opened.close()
    bench.close()


@pytest.mark.parametrize(
    "model", ["ZTDAT-8-6G95S", "RC4SPDT-A18", "USB-4SP4T-63", "-99 Unrecognized Command"]
)
def test_other_products_of_that_maker_are_refused(model):
    bench = AttenuatorBench("minicircuits_rcdat")
    bench.server.instrument.model = model
    with pytest.raises(InstrumentError, match=r"att at .* is '.*', which its driver is not for"):
        bench.open()
    bench.close()


def test_coarser_steps_than_the_driver_knows_are_told_with_the_key_that_mends_it():
    bench = AttenuatorBench("minicircuits_rcdat", web("RCDAT-40G-30", step=1))
    opened = bench.open()
    with pytest.raises(InstrumentError, match=r"set to 12\.25 dB, but reads back 12 dB(.|\n)*give `step`"):
        opened.path().attenuation = 12.25
    opened.close()
    opened = bench.open(step=1)
    assert opened.path().nearest(12.25) == 12
    with pytest.raises(InstrumentError, match=r"between two steps of 1 dB"):
        opened.path().attenuation = 12.25
    opened.close()
    bench.close()


def test_step_is_for_attenuators():
    bench = SupplyBench()
    with pytest.raises(ConfigError, match=r"psu\.step = 0\.5: keysight_e36312a is no attenuator"):
        bench.open(step=0.5)
    bench.close()


def test_simulated_rc4dat_understands_what_others_send_it():
    """osmo-gsm-tester, Meta's and an accelerator laboratory's drivers, Mini-Circuits' example."""
    unit = Rcdat(Scheduler(1), {}, model="RC4DAT-6G-95")

    def said(line):
        return unit.execute(line).decode(), [path.attenuation for path in unit.paths.values()]

    assert said(":CHAN:1:2:3:4:SetAtt:12.5") == ("1", [12.5] * 4)
    assert said("CHAN:2:3:4:SETATT:10.25") == ("1", [12.5, 10.25, 10.25, 10.25])
    assert said(":SetAttPerChan:1:1.25_4:4") == ("1", [1.25, 10.25, 10.25, 4])
    assert said("ATT?")[0].split("  ") == ["1.25", "10.25", "10.25", "4.00"]
    assert said(":CHAN:1:5:SETATT:3")[0] == "0"
    assert said(":CHAN:1:SETATT:99") == ("2", [95, 10.25, 10.25, 4])
    assert said("aoeu")[0] == "-99 Unrecognized Command. MN:RC4DAT-6G-95"


# ---- what an earlier user has left


@pytest.mark.parametrize("bench", ["rcdat http", "rcdat telnet", "rc4dat telnet"], indirect=True)
@pytest.mark.parametrize("kind", ["SWEEP", "HOP"])
def test_sequence_left_running_does_not_go_on(bench, kind):
    unit, changes = bench.server.instrument, []
    for command in ("HOP:ATT:20", "HOP:POINT:2", "HOP:ATT:40", f"{kind}:DWELL_UNIT:M", f"{kind}:DWELL:100"):
        assert unit.execute(f":{command}") == b"1"
    assert unit.execute(f":{kind}:MODE:ON") == b"1"
    bench.clock.sleep(1, "it runs")
    bench.paths["1"].watch(changes.append)
    bench.clock.sleep(3, "it runs")
    assert len(set(changes)) >= 2
    opened = bench.open()
    opened.path().attenuation = 50
    changes.clear()
    bench.clock.sleep(5, "nothing runs")
    assert changes == []
    assert opened.path().attenuation == 50
    opened.close()


def test_firmware_without_sequences_is_no_fault(monkeypatch):
    monkeypatch.setattr(Rcdat, "_sequence", lambda self, *_: f"-99 Unrecognized Command. MN:{self.model}")
    bench = AttenuatorBench("minicircuits_rcdat")
    opened = bench.open()
    opened.path().attenuation = 50
    assert bench.paths["1"].attenuation == 50
    opened.close()
    bench.close()


def test_relative_attenuation_left_on_is_switched_off():
    bench = AttenuatorBench("keysight_j7211")
    unit = bench.server.instrument
    unit.execute("ATT 030")
    unit.execute("ATT:REL:STAT ON")
    assert unit.execute("ATT?") == b"+0"
    opened = bench.open()
    assert opened.path().attenuation == 30
    opened.path().attenuation = 45
    assert bench.paths["1"].attenuation == 45
    opened.close()
    bench.close()


def test_relative_attenuation_that_stays_on_is_refused(monkeypatch):
    bench = AttenuatorBench("keysight_j7211")
    execute = J7211.execute
    monkeypatch.setattr(J7211, "execute", lambda self, line: None if " 0" in line else execute(self, line))
    bench.server.instrument.reference = 10
    with pytest.raises(InstrumentError, match="relative attenuation stays on"):
        bench.open()
    bench.close()


@pytest.mark.parametrize(("mode", "comes_up"), [("N", 110), ("F", 35), ("L", 20)])
def test_start_up_mode_of_an_rcdat_is_not_what_the_bench_relies_on(mode, comes_up):
    bench = AttenuatorBench("minicircuits_rcdat")
    unit = bench.server.instrument
    for command in (
        "SETATT=20",
        "LASTATT:STORE:INITIATE",
        "STARTUPATT:VALUE:35",
        f"STARTUPATT:INDICATOR:{mode}",
    ):
        assert unit.execute(f":{command}") == b"1"
    opened = bench.open()
    opened.path().attenuation = 5
    unit.power_up()
    assert opened.path().attenuation == comes_up  # read anew each time, nothing is remembered
    opened.close()
    bench.close()


# ---- passwords


def test_password_of_an_rcdat_goes_in_front_of_each_command():
    bench = AttenuatorBench("minicircuits_rcdat", web("RCDAT-6000-110", password="a b;1"))
    with pytest.raises(InstrumentError, match="which its driver is not for"):
        bench.open()
    opened = bench.open(password="a b;1")
    opened.path().attenuation = 12.5
    assert bench.paths["1"].attenuation == 12.5
    assert not any("a b;1" in entry.text or "PWD" in entry.text for entry in bench.timeline)
    opened.close()
    bench.close()


def test_user_and_password_of_an_adaura():
    bench = AttenuatorBench(
        "adaura", lambda w: HttpServer(AdauraUnit(w.paths), w.scheduler, login="admin:secret")
    )
    with pytest.raises(InstrumentError, match=r"INFO: HTTP status 401: it wants user and password") as caught:
        bench.open()
    assert "keys user and password" in caught.value.help
    with pytest.raises(InstrumentError, match=r"401: it refuses user and password"):
        bench.open(user="admin", password="admin")
    opened = bench.open(user="admin", password="secret")
    opened.path().attenuation = 12.5
    assert bench.paths["1"].attenuation == 12.5
    opened.close()
    bench.close()


@pytest.mark.parametrize("bench", ["j7211", "rcdat telnet", "adaura usb"], indirect=True)
def test_password_where_none_is_taken(bench):
    with pytest.raises(ConfigError, match=r"instruments\.att\.password: .* takes none"):
        bench.open(password="x")


# ---- RS-232


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_rudat_on_a_serial_port():
    """Lines ended by CR at 9600 baud, as pyHegel drives it."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    unit = Rcdat(Scheduler(1), {}, model="RUDAT-13G-90")

    def serve():
        held = b""
        with contextlib.suppress(OSError):
            while data := os.read(ours, 100):
                held += data
                while b"\r" in held:
                    line, _, held = held.partition(b"\r")
                    os.write(ours, unit.execute(line.decode()) + b"\r")

    tty.setraw(theirs)
    threading.Thread(target=serve, daemon=True).start()
    clock = WallClock()
    address = f"ASRL{os.ttyname(theirs)}::INSTR"
    opened = open_instrument("att", "minicircuits_rcdat", address, clock, Timeline(clock))
    assert opened.idn == "RUDAT-13G-90,11810150042"
    opened.path().attenuation = 12.25
    assert unit.paths["1"].attenuation == 12.25
    opened.close()
    clock.close()
    os.close(theirs)
    os.close(ours)


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
    with pytest.raises(InstrumentError, match=r"between two steps(.|\n)*use 12 or (12\.25|12\.5|13) dB"):
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
