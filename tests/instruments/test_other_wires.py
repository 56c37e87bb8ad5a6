"""Serial ports without line ends, web interfaces, spacing, and everything on a wall clock."""

import socket
import threading
import time

import pytest
from instrument_rig import AttenuatorBench, SupplyBench

from bench.clock import WallClock
from bench.errors import InstrumentError
from bench.instruments.attenuator import ProfileStep
from bench.instruments.models import open_instrument
from bench.instruments.samples import Sampling
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.serial_wire import SerialWire, port_of
from bench.timeline import Timeline


@pytest.fixture
def korad():
    made = SupplyBench("korad_ka3005p")
    made.supply = made.open()
    yield made
    made.supply.close()
    made.close()


# ---- serial


def test_stray_byte_never_becomes_part_of_an_answer(korad):
    channel = korad.supply.channel(1)
    channel.current_limit = 0.5
    for _ in range(5):
        assert channel.current_limit == 0.5
        assert channel.voltage == 0.0
    assert [e.text for e in korad.timeline if e.text.startswith("stray")] == ["stray: K"] * 6


def test_spacing_keeps_commands_apart(korad):
    start = korad.clock.now()
    for _ in range(10):
        assert korad.supply.channel(1).voltage == 0.0
    assert korad.server.instrument.merged == 0
    assert korad.clock.now() - start == pytest.approx(10 * 0.1, abs=0.1)


def test_silence_is_a_time_out_in_the_ports_own_time(korad):
    began = time.monotonic()
    with pytest.raises(InstrumentError, match=r"psu at vboard.*: VOLT\?: no reply within 3 s"):
        korad.supply.transport.query("VOLT?")
    assert time.monotonic() - began < 3
    assert korad.supply.channel(1).voltage == 0.0


def test_setting_that_is_silently_ignored_shows_in_the_read_back(korad):
    output = korad.server.instrument.output
    korad.server.instrument._set = lambda command: None
    with pytest.raises(InstrumentError, match=r"psu:1: voltage was set to 3\.7 V, but reads back 0 V"):
        korad.supply.channel(1).voltage = 3.7
    assert output.volts == 0


@pytest.mark.parametrize("reply", [b"1.2", b"ABCDE", b"nan  ", b"1e+03", b""])
def test_answer_that_is_no_number(korad, reply):
    korad.server.instrument._execute = lambda command: reply
    with pytest.raises(InstrumentError, match=r"psu at vboard.*: VOUT1\?: "):
        korad.supply.channel(1).measure_voltage()


def test_late_answer_never_answers_another_question(korad):
    model = korad.server.instrument
    execute = model._execute

    def slow(command):
        if command == "IOUT1?":
            korad.scheduler.after(4.0, lambda: korad.server.uart.transmit(b"0.300"))
            return b""
        return execute(command)

    model._execute = slow
    channel = korad.supply.channel(1)
    channel.voltage = 3.7
    channel.output = True
    with pytest.raises(InstrumentError, match=r"IOUT1\?: no reply"):
        channel.measure_current()
    korad.clock.sleep(2, "the late reply comes")
    assert channel.measure_voltage() == pytest.approx(3.7)


def test_unplugged_adapter_is_an_instrument_error_and_comes_back(korad):
    korad.server.uart.vanish()
    with pytest.raises(InstrumentError, match="psu at vboard"):
        korad.supply.channel(1).measure_voltage()
    with pytest.raises(InstrumentError, match=r"psu at vboard.*: open: "):
        korad.supply.channel(1).measure_voltage()
    korad.server.uart.return_()
    assert korad.supply.channel(1).measure_voltage() == 0


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("ASRL/dev/ttyACM0::INSTR", "/dev/ttyACM0"),
        ("ASRL3::INSTR", "COM3"),
        ("asrlCOM7::instr", "COM7"),
        ("COM4", "COM4"),
        ("vboard://x", "vboard://x"),
    ],
)
def test_visa_names_of_serial_ports_are_understood(address, port):
    assert port_of(address) == port


def test_port_that_is_not_there(korad):
    wire = SerialWire("psu", "vboard://nobody", korad.timeline)
    with pytest.raises(InstrumentError, match=r"psu at vboard://nobody: open: "):
        wire.open()


# ---- HTTP


@pytest.fixture
def serve():
    """Serve `answer(request) -> bytes` and cut the connection; the wire to it."""
    clock = WallClock()
    listeners = []

    def build(answer, timeout=0.3):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    reply = answer(connection.recv(4096))
                    if reply:
                        connection.sendall(reply)

        threading.Thread(target=run, daemon=True).start()
        wire = HttpWire(
            "att", f"http://127.0.0.1:{listener.getsockname()[1]}", Timeline(clock), timeout=timeout
        )
        wire.identify = lambda: "ACME"
        wire.open()
        return wire

    yield build
    for listener in listeners:
        listener.close()
    clock.close()


def ok(body, length=None):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (length or len(body), body)


def test_answer_comes_without_its_line_end(serve):
    assert serve(lambda request: ok(b"12.25\r\n")).query_number(":ATT?") == 12.25


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (ok(b"12", length=20), "ends 18 bytes early"),
        (ok(b"x" * 70_000), "more than 65536 bytes"),
        (b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\n\r\n", "HTTP status 500"),
        (b"12.25\r\n", "BadStatusLine|12.25"),
        (b"", "closed|reset|RemoteDisconnected"),
        (ok(b"\xff\xfe"), "ascii"),
    ],
)
def test_what_is_no_answer_is_a_fault(serve, reply, reason):
    wire = serve(lambda request: reply)
    with pytest.raises(InstrumentError, match=rf"att at http.*: :ATT\?: .*({reason})"):
        wire.query(":ATT?")


def test_web_interface_that_hangs(serve):
    release = threading.Event()
    wire = serve(lambda request: release.wait(60) and b"")
    began = time.monotonic()
    with pytest.raises(InstrumentError, match=r":ATT\?: timed out"):
        wire.query(":ATT?")
    assert time.monotonic() - began < 30
    release.set()


def test_address_that_is_no_url(serve):
    clock = WallClock()
    wire = HttpWire("att", "ftp://somewhere", Timeline(clock))
    with pytest.raises(InstrumentError, match="not http://host"):
        wire.open()
    clock.close()


# ---- on a wall clock, as with real instruments


@pytest.fixture
def wall():
    clock = WallClock()
    yield clock
    clock.close()


def test_read_back_meter_on_a_wall_clock_beside_other_commands(wall):
    bench = SupplyBench()
    supply = open_instrument("psu", "keysight_e36312a", bench.server.address, wall, Timeline(wall))
    channel = supply.channel(1)
    channel.voltage = 3.7
    channel.output = True
    meter = supply.meter(1)
    meter.configure(rate=10, mode=Sampling.POINT)
    meter.start()
    end = wall.now() + 0.55
    while wall.now() < end:
        assert channel.voltage == 3.7  # from this thread, while the meter asks from another
    meter.stop()
    samples = meter.read()
    assert len(samples) >= 1
    assert samples.current[~(samples.current != samples.current)] == pytest.approx(0.1, abs=1e-4)
    supply.close()
    bench.close()


def test_profile_on_a_wall_clock(wall):
    bench = AttenuatorBench("minicircuits_rcdat")
    attenuator = open_instrument("att", "minicircuits_rcdat", bench.server.address, wall, Timeline(wall))
    run = attenuator.path().run_profile([ProfileStep(10, 0.1), ProfileStep(20, 0.1)])
    run.wait()
    assert attenuator.path().attenuation == 20
    attenuator.close()
    bench.close()
