"""The PyVISA transport against instruments that misbehave on the wire."""

import select
import socket
import struct
import threading
import time

import numpy
import pytest

from bench.clock import WallClock
from bench.errors import InstrumentError
from bench.instruments.samples import plausible
from bench.instruments.wires.transport import Transport
from bench.timeline import Timeline


class Misbehaving:
    """A TCP instrument whose replies come from `answer(line, connection)`."""

    def __init__(self, answer) -> None:
        self.answer = answer
        self.connections = 0
        self.commands: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"TCPIP::127.0.0.1::{self._listener.getsockname()[1]}::SOCKET"
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            for line in connection.makefile("r", newline="\n"):
                command = line.strip()
                self.commands.append(command)
                if command == "*IDN?":
                    connection.sendall(b"ACME,X1,7,1.0\n")
                else:
                    self.answer(command, connection)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            connection.close()


@pytest.fixture
def timeline():
    clock = WallClock()
    yield Timeline(clock)
    clock.close()


@pytest.fixture
def connect(timeline):
    made = []

    def build(answer, timeout=0.4):
        server = Misbehaving(answer)
        transport = Transport("meter", server.address, timeline, identity="ACME,X1", timeout=timeout)
        transport.open()
        made.extend((transport, server))
        return transport, server

    yield build
    for part in made:
        part.close()


def test_late_reply_never_answers_another_question(connect):
    def answer(command, connection):
        if command == "CURR?":
            threading.Timer(0.6, lambda: connection.sendall(b"0.300\n")).start()
        elif command == "VOLT?":
            connection.sendall(b"3.700\n")

    transport, server = connect(answer)
    with pytest.raises(InstrumentError, match=r"meter at TCPIP.*: CURR\?: no reply within 0\.4 s"):
        transport.query_number("CURR?")
    time.sleep(0.5)  # the late reply is out by now
    assert transport.query_number("VOLT?") == 3.7
    assert server.connections == 2
    assert server.commands == ["*IDN?", "CURR?", "*IDN?", "VOLT?"]


def test_reply_nobody_asked_for_is_thrown_away(connect):
    def answer(command, connection):
        connection.sendall(b"1.0\n2.0\n" if command == "A?" else b"5.0\n")

    transport, server = connect(answer)
    assert transport.query_number("A?") == 1.0
    assert transport.query_number("B?") == 5.0
    assert server.connections == 2


def test_half_a_reply_is_no_reply(connect):
    transport, _ = connect(lambda command, c: c.sendall(b"3.7" if command == "VOLT?" else b"1\n"))
    with pytest.raises(InstrumentError, match=r"VOLT\?: reply not complete"):
        transport.query_number("VOLT?")
    assert transport.query_number("OTHER?") == 1


def test_dropped_peer_is_noticed_at_once_and_reconnected(connect):
    drop = [True]

    def answer(command, connection):
        if drop.pop() if drop else False:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(b"2.5\n")

    transport, _ = connect(answer, timeout=60.0)
    start = time.monotonic()
    with pytest.raises(InstrumentError, match=r"VOLT\?: the instrument closed the connection"):
        transport.query_number("VOLT?")
    assert time.monotonic() - start < 30
    assert transport.query_number("VOLT?") == 2.5


def test_other_instrument_after_reconnecting_is_refused(timeline):
    names = [b"ACME,X1,7,1.0\n", b"ACME,X2,8,1.0\n"]
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for name in names:
            connection, _ = listener.accept()
            connection.recv(100)
            connection.sendall(name)
            connection.recv(100)
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    address = f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
    transport = Transport("meter", address, timeline, identity="ACME,X1", timeout=0.3)
    transport.open()
    with pytest.raises(InstrumentError, match=r"closed|reset"):
        transport.query("VOLT?")
    with pytest.raises(InstrumentError, match=r"is 'ACME,X2,8,1\.0', but the bench file names 'ACME,X1'"):
        transport.query("VOLT?")
    transport.close()
    listener.close()


def test_closed_port_is_found_at_opening(timeline):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    transport = Transport("meter", f"TCPIP::127.0.0.1::{port}::SOCKET", timeline, timeout=2)
    with pytest.raises(InstrumentError, match=rf"meter at TCPIP::127\.0\.0\.1::{port}::SOCKET: .*refused"):
        transport.open()


def test_nonsense_address_is_an_instrument_error(timeline):
    with pytest.raises(InstrumentError, match="meter at NOWHERE: open"):
        Transport("meter", "NOWHERE", timeline).open()


@pytest.mark.parametrize(
    "reply", ["9.9E37", "9.91E+37", "-9.9E37", "NAN", "INF", "", "3,7", "3.7V", "ERR", "3_7"]
)
def test_what_is_not_a_reading_is_never_returned_as_a_number(connect, reply):
    transport, _ = connect(lambda command, c: c.sendall(reply.encode() + b"\n"))
    with pytest.raises(InstrumentError, match=r"meter at .*VOLT\?: answered"):
        transport.query_number("VOLT?")


def test_reply_that_is_not_text(connect):
    transport, _ = connect(lambda command, c: c.sendall(b"\xff\xfe\n"))
    with pytest.raises(InstrumentError, match=r"VOLT\?"):
        transport.query("VOLT?")


def test_peer_that_never_reads_does_not_hang_the_bench(connect):
    never = threading.Event()
    transport, _ = connect(lambda command, c: never.wait(20))
    start = time.monotonic()

    def flood():
        for _ in range(100_000):
            transport.write("X" * 4000)

    with pytest.raises(InstrumentError, match="takes no more bytes"):
        flood()
    assert time.monotonic() - start < 10
    never.set()


def test_one_command_larger_than_the_peer_takes_does_not_hang_either(connect):
    never = threading.Event()
    transport, _ = connect(lambda command, c: never.wait(20))
    transport.write("X")  # from here on it is busy
    start = time.monotonic()
    with pytest.raises(InstrumentError, match=r"takes no more bytes since 0\.4 s"):
        transport.write("X" * 30_000_000)
    assert time.monotonic() - start < 10
    never.set()


def test_command_to_a_peer_that_has_closed_is_not_lost_in_silence(connect):
    def answer(command, connection):
        connection.sendall(b"1\n")
        connection.shutdown(socket.SHUT_RDWR)

    transport, server = connect(answer)
    assert transport.query_number("A?") == 1
    assert select.select([transport._socket()], [], [], 5)[0]
    with pytest.raises(InstrumentError, match=r"VOLT 3: the instrument closed the connection"):
        transport.write("VOLT 3")
    assert "VOLT 3" not in server.commands


FLOATS = numpy.array([0.0, 1.0, -2.5, 10.0, 3.7e-6] * 500, dtype=">f4")


def block(data: bytes, length: int | None = None) -> bytes:
    size = str(len(data) if length is None else length)
    return f"#{len(size)}{size}".encode() + data


def test_binary_block_with_line_ends_inside(connect):
    floats = numpy.frombuffer(struct.pack(">f", 6.6e-33) + b"\n\n\n\n" * 4, dtype=">f4")
    both = numpy.concatenate([FLOATS, floats]).astype(">f4")  # concatenating makes it native
    transport, _ = connect(
        lambda command, c: c.sendall(block(both.tobytes()) + b"\n" if command == "FETC?" else b"1\n")
    )
    assert transport.query_floats("FETC?", big_endian=True).tolist() == both.tolist()
    assert transport.query_number("NEXT?") == 1


def test_truncated_block_is_a_fault(connect):
    transport, _ = connect(lambda command, c: c.sendall(block(FLOATS.tobytes()[:-40], FLOATS.nbytes)))
    with pytest.raises(InstrumentError, match=r"FETC\?: reply not complete"):
        transport.query_floats("FETC?", big_endian=True)


@pytest.mark.parametrize("reply", [b"3.7\n", b"#A123\n", b"#0123\n", b"#14abcdefgh\n", b"#2xxabcd\n"])
def test_what_is_no_block_is_never_returned_as_samples(connect, reply):
    transport, _ = connect(lambda command, c: c.sendall(reply))
    with pytest.raises(InstrumentError, match=r"FETC\?: "):
        transport.query_floats("FETC?", big_endian=True)


def test_block_of_odd_length_is_a_fault(connect):
    transport, _ = connect(lambda command, c: c.sendall(block(b"12345") + b"\n"))
    with pytest.raises(InstrumentError, match="block of 5 bytes"):
        transport.query_floats("FETC?", big_endian=True)


@pytest.mark.parametrize("order", ["<f4", ">f4"])
def test_floats_in_the_other_byte_order_are_told(connect, order):
    readings = numpy.array([0.1, 2.7e-6, 0.105, 3.7], dtype=order)
    transport, _ = connect(lambda command, c: c.sendall(block(readings.tobytes()) + b"\n"))
    big_endian = order == ">f4"
    right = transport.query_floats("FETC?", big_endian=big_endian, limit=10)
    assert right == pytest.approx([0.1, 2.7e-6, 0.105, 3.7])
    with pytest.raises(InstrumentError, match=r"FETC\?: answered values in the wrong byte order"):
        transport.query_floats("FETC?", big_endian=not big_endian, limit=10)


@pytest.mark.parametrize("reading", [numpy.nan, numpy.inf, 9.9e37, 11.0, -11.0])
def test_floats_that_cannot_be_readings_are_a_fault(connect, reading):
    readings = numpy.array([0.1, reading, 0.2], dtype=">f4")
    transport, _ = connect(lambda command, c: c.sendall(block(readings.tobytes()) + b"\n"))
    with pytest.raises(InstrumentError, match=r"FETC\?: answered values that are none, or beyond 10"):
        transport.query_floats("FETC?", big_endian=True, limit=10)


def test_readings_of_nothing_in_the_wrong_order_are_told_too():
    """Around zero the other byte order gives tiny numbers, which pass any upper limit."""
    noise = numpy.array([1e-5, -2e-5, 3e-6, 0.0], dtype="<f4")
    assert plausible(noise, 10)
    assert not plausible(numpy.frombuffer(noise.tobytes(), dtype=">f4"), 10)
    assert plausible(numpy.zeros(5, dtype="<f4"), 10)
    assert plausible(numpy.empty(0, dtype="<f4"), 10)


def test_silently_unsupported_query_is_a_time_out_and_leaves_no_trace(connect):
    transport, server = connect(lambda command, c: c.sendall(b"1\n") if command == "GOOD?" else None)
    with pytest.raises(InstrumentError, match=r"BAD\?: no reply within"):
        transport.query("BAD?")
    assert transport.query_number("GOOD?") == 1
    assert server.connections == 2


def test_peer_that_speaks_before_it_is_asked_is_refused_not_reopened_for_ever(timeline):
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.sendall(b"hello\n")

    threading.Thread(target=serve, daemon=True).start()
    address = f"TCPIP::127.0.0.1::{listener.getsockname()[1]}::SOCKET"
    transport = Transport("meter", address, timeline, identity="ACME", timeout=0.3)
    with pytest.raises(InstrumentError, match=r"before it is asked|the bench file names"):
        transport.open()
    transport.close()
    listener.close()


def test_exchanges_of_several_threads_do_not_mix(connect):
    transport, _ = connect(lambda command, c: c.sendall(command.strip("?").encode() + b"\n"), timeout=3)
    wrong = []

    def ask(number):
        for _ in range(50):
            if transport.query_number(f"{number}?") != number:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
