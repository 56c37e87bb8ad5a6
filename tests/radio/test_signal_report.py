"""What a device says about its signal, and what it must not be believed."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from bench.clock import WallClock
from bench.dut.console import Console
from bench.errors import RadioError
from bench.radio.report import CesqReporter, ConevalReporter, ObjectReporter, SignalReport
from bench.timeline import Timeline

Answers = Callable[[bytes], None]


@pytest.fixture
def device() -> Iterator[tuple[Console, Answers]]:
    """A console at a socket, whose far side answers every line with what the test said."""
    clock = WallClock()
    listener = socket.create_server(("127.0.0.1", 0))
    said: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(100):
                connection.sendall(said[-1])

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    console = Console("dk", f"socket://127.0.0.1:{port}", clock, Timeline(clock), baud=115200)
    console.open()
    yield console, said.append
    console.close()
    listener.close()
    clock.close()


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("+CESQ: 99,99,255,255,22,60", SignalReport(-80.5, -8.75)),
        ("+CESQ: 99,99,255,255,1,16", SignalReport(-124.5, -19.25)),
        ("+CESQ: 99,99,255,255,255,60", SignalReport(-80.5, None)),
        ("+CESQ: 99,99,255,255,255,255", None),
        ("+CESQ: 99,99,255,255, 20, 0", SignalReport(-140.5, -9.75)),
    ],
)
def test_cesq(device, line, report):
    console, says = device
    says(f"{line}\r\nOK\r\n".encode())
    assert CesqReporter(console).read() == report


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("+CESQ: 99,99,255,255,22", "six numbers"),
        ("+CESQ: 99,99,255,255,22,6x", "six numbers"),
        ("+CSQ: 99,99", "OK without +CESQ"),
        ("+CME ERROR: 3", "answered by +CME ERROR: 3"),
        ("+CESQ: 99,99,255,255,22,120", "RSRP 0 to 97"),
        ("+CESQ: 99,99,255,255,60,60", "RSRQ 0 to 34"),
        ("ERROR", "answered by ERROR"),
    ],
)
def test_nonsense_of_cesq_is_refused(device, line, message):
    console, says = device
    says(f"{line}\r\nOK\r\n".encode())
    with pytest.raises(RadioError, match=re.escape(message)):
        CesqReporter(console).read()


GOOD = '%CONEVAL: 0,1,7,66,20,33,"014B5200","24201",331,6300,20,0,0,10,1,1,89'


def test_coneval(device):
    console, says = device
    says(f"{GOOD}\r\nOK\r\n".encode())
    assert ConevalReporter(console).read() == SignalReport(-74.5, -9.75, 9.0)


@pytest.mark.parametrize("result", range(1, 8))
def test_coneval_without_a_cell(device, result):
    console, says = device
    says(f"%CONEVAL: {result}\r\nOK\r\n".encode())
    assert ConevalReporter(console).read() is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.rpartition(",")[0], "17 fields"),
        (GOOD.replace(",66,", ",x,"), "numbers in fields 4 to 6"),
        (GOOD.replace(",66,", ",98,"), "RSRP 0 to 97"),
        ("%CONEVAL: 0", "17 fields"),
    ],
)
def test_nonsense_of_coneval_is_refused(device, line, message):
    console, says = device
    says(f"{line}\r\nOK\r\n".encode())
    with pytest.raises(RadioError, match=re.escape(message)):
        ConevalReporter(console).read()


def test_silence_is_an_error_that_names_the_command(device, monkeypatch):
    monkeypatch.setattr("bench.radio.report.ANSWER", 0.2)
    console, says = device
    says(b"something else\r\n")
    with pytest.raises(RadioError, match=r"AT\+CESQ was not answered within 0\.2 s"):
        CesqReporter(console).read()


class OneValue:
    """As much of a LwM2M client as is asked for."""

    endpoint = "urn:imei:1"

    def __init__(self, value: int) -> None:
        self.value = value

    def read(self, path: str) -> int:
        assert path == "/4/0/2"
        return self.value


def test_object_4():
    assert ObjectReporter(lambda: OneValue(-101)).read() == SignalReport(-101.0)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("value", [127, 0, -29, -141, 60])
def test_a_strength_that_cannot_be_is_refused(value):
    """-129 dBm in eight bits reads 127."""
    with pytest.raises(RadioError, match=f"/4/0/2 is {value} dBm"):
        ObjectReporter(lambda: OneValue(value)).read()  # type: ignore[arg-type,return-value]
