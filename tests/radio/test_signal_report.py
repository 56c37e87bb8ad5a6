"""What a device says about its signal, and what it must not be believed."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from aiocoap.numbers.codes import Code

from bench.clock import WallClock
from bench.dut.console import Console
from bench.errors import RadioError, ServerError
from bench.lwm2m.client import Client, CoapError, NotReachable
from bench.lwm2m.codecs.error import CodecError
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
        # nRF Connect SDK, modem_info.h: RSRP_IDX_TO_DBM and RSRQ_IDX_TO_DB with their tables
        ("+CESQ: 99,99,255,255,20,-1", SignalReport(-140.5, -9.75)),  # -141 to -140 dBm
        ("+CESQ: 99,99,255,255,20,-16", SignalReport(-155.5, -9.75)),  # -156 to -155 dBm
        ("+CESQ: 99,99,255,255,-1,-17", SignalReport(-156.5, -19.75)),  # below -156 dBm; -20 to -19.5 dB
        ("+CESQ: 99,99,255,255,-30,1", SignalReport(-139.5, -34.25)),
        ("+CESQ: 99,99,255,255,35,97", SignalReport(-43.5, -2.75)),  # -3 to -2.5 dB
        ("+CESQ: 99,99,255,255,46,97", SignalReport(-43.5, 2.75)),
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
        ("+CESQ: 99,99,255,255,22,120", "RSRP -17 to 97"),
        ("+CESQ: 99,99,255,255,22,-18", "RSRP -17 to 97"),
        ("+CESQ: 99,99,255,255,22,--1", "six numbers"),
        ("+CESQ: 99,99,255,255,22,", "six numbers"),
        ("+CESQ: 99,99,255,255,60,60", "RSRQ -30 to 46"),
        ("+CESQ: 99,99,255,255,-31,60", "RSRQ -30 to 46"),
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


@pytest.mark.parametrize(
    ("change", "report"),
    [
        ((",66,20,33,", ",66,255,33,"), SignalReport(-74.5, None, 9.0)),
        ((",66,20,33,", ",66,20,127,"), SignalReport(-74.5, -9.75, None)),
        ((",66,20,33,", ",66,20,255,"), SignalReport(-74.5, -9.75, None)),
        ((",66,20,33,", ",255,255,255,"), None),
        ((",66,20,33,", ",-1,-2,0,"), SignalReport(-140.5, -20.25, -24.0)),
        ((",66,20,33,", ",-17,-30,0,"), SignalReport(-156.5, -34.25, -24.0)),
        ((",66,20,33,", ",66,36,49,"), SignalReport(-74.5, -2.25, 25.0)),
        ((",66,20,33,", ",255,255,127,"), None),
        ((",66,20,33,", ",97,34,49,"), SignalReport(-43.5, -2.75, 25.0)),
        ((",66,20,33,", ",0,0,0,"), SignalReport(-140.5, -19.75, -24.0)),
    ],
)
def test_what_coneval_does_not_know_is_not_told(device, change, report):
    console, says = device
    says(f"{GOOD.replace(*change)}\r\nOK\r\n".encode())
    assert ConevalReporter(console).read() == report


@pytest.mark.parametrize(
    ("result", "why"), [(2, "no UICC"), (4, "busy"), (5, "came between"), (7, "not say")]
)
def test_coneval_that_failed_for_another_reason_is_not_a_lost_cell(device, result, why):
    """A path was judged free of leaks by it: the radio was busy when the cell should have been gone."""
    console, says = device
    says(f"%CONEVAL: {result}\r\nOK\r\n".encode())
    with pytest.raises(RadioError, match=rf"%CONEVAL answered {result}: .*{why}"):
        ConevalReporter(console).read()


@pytest.mark.parametrize("result", [1, 3, 6])
def test_coneval_without_a_cell(device, result):
    console, says = device
    says(f"%CONEVAL: {result}\r\nOK\r\n".encode())
    assert ConevalReporter(console).read() is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.rpartition(",")[0], "17 fields"),
        (GOOD.replace(",66,", ",x,"), "numbers in fields 4 to 6"),
        (GOOD.replace(",66,", ",98,"), "RSRP -17 to 97"),
        (GOOD.replace(",66,", ",-18,"), "RSRP -17 to 97"),
        ("%CONEVAL: 0", "17 fields"),
        ("%CONEVAL: 8", "17 fields"),
        ("%CONEVAL: 255", "17 fields"),
        (GOOD.replace(",20,33,", ",47,33,"), "RSRQ -30 to 46"),
        (GOOD.replace(",20,33,", ",-31,33,"), "RSRQ -30 to 46"),
        (GOOD.replace(",20,33,", ",20,50,"), "SNR 0 to 49"),
        (GOOD.replace(",20,33,", ",20,-1,"), "SNR 0 to 49"),
    ],
)
def test_nonsense_of_coneval_is_refused(device, line, message):
    console, says = device
    says(f"{line}\r\nOK\r\n".encode())
    with pytest.raises(RadioError, match=re.escape(message)):
        ConevalReporter(console).read()


@pytest.mark.parametrize(
    "answer",
    [
        "{line}\r\r\nOK\r\r\n",
        "{line}\n\rOK\n\r",
        "\r\n{line}\r\n\r\nOK\r\n",
        "{line}\rOK\r",
        "AT%CONEVAL\r\r\nuart:~$ {line}\r\nuart:~$ OK\r\n",
        "esp> {line}\r\nOK\r\nesp> ",
        "\x1b[1;32muart:~$ \x1b[m\x1b[8D\x1b[J\x1b[0m{line}\r\n\x1b[33mOK\x1b[0m\r\n",
        "\0\0{line}\r\n\0OK\0\r\n",
        "\x07{line}\x1b[K\r\n\x1b[KOK\r\n",
        " {line} \r\n OK \r\n",
    ],
    ids=ascii,
)
def test_an_answer_is_found_whatever_a_terminal_needs_around_it(device, answer):
    console, says = device
    says(answer.format(line=GOOD).encode())
    assert ConevalReporter(console).read() == SignalReport(-74.5, -9.75, 9.0)
    says(answer.format(line="+CESQ: 99,99,255,255,22,-3").encode())
    assert CesqReporter(console).read() == SignalReport(-142.5, -8.75)


def test_a_console_that_never_said_anything_is_told_apart(device, monkeypatch):
    monkeypatch.setattr("bench.radio.report.ANSWER", 0.2)
    console, says = device
    says(b"")
    with pytest.raises(RadioError, match=r"silent since it was opened.*DTR off and RTS off") as failure:
        CesqReporter(console).read()
    assert "dtr = true" in failure.value.help


def test_silence_is_an_error_that_names_the_command(device, monkeypatch):
    monkeypatch.setattr("bench.radio.report.ANSWER", 0.2)
    console, says = device
    says(b"something else\r\n")
    with pytest.raises(RadioError, match=r"AT\+CESQ was not answered within 0\.2 s"):
        CesqReporter(console).read()


class OneValue:
    """As much of a LwM2M client as is asked for."""

    endpoint = "urn:imei:1"

    def __init__(self, value: object) -> None:
        self.value = value

    def read(self, path: str) -> object:
        assert path == "/4/0/2"
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def test_object_4():
    assert ObjectReporter(lambda: OneValue(-101)).read() == SignalReport(-101.0)  # type: ignore[arg-type,return-value]


def test_strengths_down_to_the_lowest_index_are_taken():
    assert ObjectReporter(lambda: OneValue(-157)).read() == SignalReport(-157.0)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("value", [127, 0, -29, -158, 60])
def test_a_strength_that_cannot_be_is_refused(value):
    """-129 dBm in eight bits reads 127."""
    with pytest.raises(RadioError, match=f"/4/0/2 is {value} dBm"):
        ObjectReporter(lambda: OneValue(value)).read()  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    "answer",
    [
        CoapError("read /4/0/2", Code.NOT_FOUND),
        CodecError("CBOR is cut off"),
        ServerError("no payload"),
        "strong",
        None,
        {0: -100},
        float("nan"),
    ],
    ids=lambda a: type(a).__name__,
)
def test_an_answer_that_is_no_strength_is_not_a_lost_cell(answer):
    with pytest.raises(RadioError, match="urn:imei:1: /4/0/2"):
        ObjectReporter(lambda: OneValue(answer)).read()  # type: ignore[arg-type,return-value]


def test_no_answer_is_no_cell():
    silent = OneValue(NotReachable("urn:imei:1: no answer"))
    assert ObjectReporter(lambda: silent).read() is None  # type: ignore[arg-type,return-value]


def test_a_device_that_is_not_registered_has_no_cell():
    def client() -> Client:
        raise ServerError("urn:imei:1 is not registered")

    assert ObjectReporter(client).read() is None
