"""Whatever a library raises under a wire comes out as an `InstrumentError`, and the wire works again."""

import builtins
import contextlib
import http.client
import queue
import re
import socket
import struct
import threading

import pytest
import pyvisa.errors
import serial
import usb.core
from pyvisa import rname
from pyvisa.constants import InterfaceType, StatusCode
from pyvisa.constants import ResourceAttribute as Attribute
from pyvisa_py import sessions
from pyvisa_py import tcpip as visa_tcpip
from pyvisa_py import usb as visa_usb
from pyvisa_py.protocols import rpc, vxi11, xdrlib
from pyvisa_py.sessions import Session, UnavailableSession, UnknownAttribute

from bench.clock import WallClock
from bench.errors import InstrumentError
from bench.instruments import guarding
from bench.instruments.models import DRIVERS
from bench.instruments.wires import transport as transport_module
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.lenient_lines import LenientLines
from bench.instruments.wires.serial_wire import SerialWire
from bench.instruments.wires.transport import Transport
from bench.timeline import Timeline


@pytest.fixture
def timeline():
    clock = WallClock()
    yield Timeline(clock)
    clock.close()


# ---- every exception that there is, out of every session class of the back end

SESSIONS = {
    (InterfaceType.tcpip, "SOCKET"): "TCPIP::127.0.0.1::5025::SOCKET",
    (InterfaceType.tcpip, "INSTR"): "TCPIP::127.0.0.1::inst0::INSTR",
    (InterfaceType.asrl, "INSTR"): "ASRL/dev/ttyUSB9::INSTR",
    (InterfaceType.usb, "INSTR"): "USB::0x2A8D::0x1102::MY1::INSTR",
    (InterfaceType.usb, "RAW"): "USB::0x2A8D::0x1102::MY1::RAW",
    (InterfaceType.gpib, "INSTR"): "GPIB::5::INSTR",
}
HISLIP = "TCPIP::127.0.0.1::hislip0::INSTR"
CLASSES = {
    **{address: Session._session_classes.get(key) for key, address in SESSIONS.items()},
    SESSIONS[InterfaceType.tcpip, "INSTR"]: visa_tcpip.TCPIPInstrVxi11,
    HISLIP: visa_tcpip.TCPIPInstrHiSLIP,
}


def made(kind):
    """An instance of an exception class, however it wants to be made; None when it cannot be."""
    for arguments in ((), ("it broke",), ("ascii", b"", 0, 1, "it broke"), ("ascii", "", 0, 1, "it broke")):
        with contextlib.suppress(Exception):
            return kind(*arguments)
    return None


def of_module(module):
    return [x for x in vars(module).values() if isinstance(x, type) and issubclass(x, Exception)]


MODULES = [builtins, pyvisa.errors, rpc, vxi11, xdrlib, sessions, visa_usb, usb.core]
MODULES += [serial.serialutil, socket, struct, http.client, queue]
EXCEPTIONS = {kind for module in MODULES for kind in of_module(module)}
RAISED = [fault for kind in EXCEPTIONS if (fault := made(kind)) is not None]
RAISED += [pyvisa.errors.VisaIOError(code) for code in StatusCode if code < 0]
RAISED += [Exception("could not connect: [Errno 113] No route to host\nsecond line"), OSError(5, "I/O")]


class Script:
    """What a scripted session raises, and where."""

    def __init__(self):
        self.where = self.fault = None

    def reach(self, where):
        if self.where == where:
            raise self.fault


def scripted(monkeypatch, address):
    """Make the session class of an address work without hardware, and raise where its script says so."""
    script, base = Script(), CLASSES[address]
    if base is None or issubclass(base, UnavailableSession) or base.__name__ == "GPIBSessionDispatch":
        base = WithoutLibrary  # the rest of the back end runs on it

    class Scripted(base):
        def after_parsing(self):
            self.interface = None
            for attribute in (Attribute.termchar, Attribute.termchar_enabled, Attribute.send_end_enabled):
                self.attrs[attribute] = 0
            script.reach("open")

        def write(self, data):
            script.reach("write")
            return len(data), StatusCode.success

        def read(self, count):
            script.reach("read")
            return b"ACME,X1,7,1.0\n", StatusCode.success_termination_character_read

        def close(self):
            script.reach("close")
            return StatusCode.success

    name = rname.ResourceName.from_string(address)
    key = Scripted.session_type = (name.interface_type_const, name.resource_class)
    monkeypatch.setitem(Session._session_classes, key, Scripted)
    return script


class WithoutLibrary(Session):
    """Stands in for a session class whose library is not here."""

    def _get_attribute(self, attribute):
        raise UnknownAttribute(attribute)

    def _set_attribute(self, attribute, attribute_state):
        raise UnknownAttribute(attribute)

    def close(self):
        return StatusCode.success


@pytest.mark.parametrize("address", [*SESSIONS.values(), HISLIP])
@pytest.mark.parametrize("wire", [Transport, LenientLines])
def test_no_exception_of_the_back_end_escapes(monkeypatch, timeline, address, wire):
    script = scripted(monkeypatch, address)
    wrong = []
    for fault in RAISED:
        for where in ("open", "write", "read", "close"):
            opened = wire("meter", address, timeline, identity="ACME,X1", timeout=0.2)
            script.where = None
            if where != "open":
                opened.open()
            script.where, script.fault = where, fault
            try:
                opened.open()
                opened.query("VOLT?")
                opened.write("VOLT 3")
                opened.close()
            except InstrumentError as error:
                if "\n" in error.message or not error.help or not re.search(r": \S", error.message):
                    wrong.append((where, fault, error))
            except BaseException as escaped:
                wrong.append((where, fault, escaped))
            else:
                if where != "close":
                    wrong.append((where, fault, "nothing was raised"))
            opened.close()
            script.where = None
            opened.open()  # as documented: the next opening works
            if opened.query("*IDN?") != "ACME,X1,7,1.0":
                wrong.append((where, fault, "it does not work again"))
            opened.close()
    assert wrong == []


@pytest.mark.parametrize(
    ("address", "reason", "cure"),
    [
        ("GPIB::5::INSTR", "gpib", "gpib-ctypes"),
        ("USB::0x2A8D::0x1102::MY1::INSTR", r"device|PyUSB|backend", "libusb"),
        ("ASRL/dev/ttyNONE::INSTR", "could not open port", "check the port's name"),
        ("TCPIP::no-such-host.invalid::5025::SOCKET", "'no-such-host.invalid' has no IPv4 address", "host"),
        (
            "TCPIP::127.0.0.1::5025::INSTR",
            "did you mean 'TCPIP::127.0.0.1::5025::SOCKET'",
            "nothing was sent",
        ),
        ("TCPIP::127.0.0.1,1::inst0::INSTR", "refused", "INSTR without hislip is VXI-11"),
        ("TCPIP::127.0.0.1::hislip0,1::INSTR", "VI_ERROR", "check that the instrument is on"),
        ("VXI::1::INSTR", "cannot be opened by pyvisa-py", "correct `address`"),
        ("COM3", "the address is not a VISA name", "correct `address`"),
    ],
)
def test_what_cannot_be_opened_is_told_with_its_cure(timeline, address, reason, cure):
    with pytest.raises(InstrumentError) as caught:
        Transport("meter", address, timeline, timeout=1).open()
    assert re.search(rf"^meter at {re.escape(address)}: open: .*({reason})", caught.value.message)
    assert cure in caught.value.help


def test_back_end_that_is_not_installed(monkeypatch, timeline):
    def missing(*_):
        raise ValueError("Could not locate a VISA implementation. Install pyvisa-py.")

    monkeypatch.setattr(transport_module, "_resource_manager", missing)
    with pytest.raises(InstrumentError, match=r"meter at .*: open: Could not locate a VISA implementation"):
        Transport("meter", "TCPIP::127.0.0.1::5025::SOCKET", timeline).open()


def test_interrupted_exchange_closes_the_connection(monkeypatch, timeline):
    script = scripted(monkeypatch, HISLIP)
    wire = Transport("meter", HISLIP, timeline, timeout=0.2)
    wire.open()
    script.where, script.fault = "read", KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        wire.query("VOLT?")
    assert not wire._connected  # its reply may still come, and must not answer the next command
    script.where = None
    assert wire.query("CURR?") == "ACME,X1,7,1.0"
    wire.close()


# ---- the protocol of VXI-11 as it is, against a peer that breaks it

CREATE_LINK, DEVICE_WRITE, DEVICE_READ, DESTROY_LINK = 10, 11, 12, 23
ACCEPTED = struct.pack(">IIII", 0, 0, 0, 0)


class Vxi11Peer:
    """Speaks ONC RPC (RFC 5531) and VXI-11's core channel; `broken` replaces the reply to a read."""

    def __init__(self):
        self.broken = None
        self.links = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"TCPIP::127.0.0.1,{self._listener.getsockname()[1]}::inst0::INSTR"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError, struct.error):
            stream = connection.makefile("rb")
            while header := stream.read(4):
                call = stream.read(struct.unpack(">I", header)[0] & 0x7FFFFFFF)
                xid, procedure = struct.unpack_from(">I16xI", call)
                reply = self._reply(procedure)
                if reply is None:
                    return
                record = struct.pack(">II", xid, 1) + reply
                connection.sendall(struct.pack(">I", 0x80000000 | len(record)) + record)

    def _reply(self, procedure):
        match procedure:
            case 10:
                self.links += 1
                return ACCEPTED + struct.pack(">iiII", 0, 1, 0, 1024)
            case 11:
                return ACCEPTED + struct.pack(">iI", 0, 1024)
            case 12 if self.broken is not None:
                return self.broken(ACCEPTED)
            case 12:
                data = b"ACME,X1,7,1.0\n"
                return ACCEPTED + struct.pack(">iiI", 0, 4, len(data)) + data + b"\0\0"
        return ACCEPTED + struct.pack(">i", 0)

    def close(self):
        self._listener.close()


BROKEN = {
    "nothing after the header": lambda ok: ok,  # EOFError
    "half an integer": lambda ok: ok + b"\0\0",
    "text shorter than it says": lambda ok: ok + struct.pack(">iiI", 0, 4, 4000) + b"3.7\n",
    "garbage arguments": lambda ok: struct.pack(">IIII", 0, 0, 0, 4),  # RPCGarbageArgs
    "program unavailable": lambda ok: struct.pack(">IIII", 0, 0, 0, 1),  # RPCUnpackError
    "denied": lambda ok: struct.pack(">III", 1, 1, 5),
    "neither accepted nor denied": lambda ok: struct.pack(">I", 77),
    "an error of the instrument": lambda ok: ok + struct.pack(">iiI", 17, 0, 0),
    "closed": lambda ok: None,
}


@pytest.mark.parametrize("broken", BROKEN)
def test_vxi_11_that_breaks_its_protocol_is_an_instrument_error_and_works_again(timeline, broken):
    peer = Vxi11Peer()
    wire = Transport("meter", peer.address, timeline, identity="ACME,X1", timeout=0.5)
    wire.open()
    peer.broken = BROKEN[broken]
    with pytest.raises(InstrumentError, match=r"^meter at TCPIP::127.0.0.1,\d+::inst0::INSTR: VOLT\?: \S"):
        wire.query("VOLT?")
    peer.broken = None
    assert wire.query("VOLT?") == "ACME,X1,7,1.0"
    assert peer.links == 2
    wire.close()
    peer.close()


# ---- serial ports and web interfaces


class Port:
    """A serial port that raises `fault` when `where` of it is used."""

    def __init__(self, where, fault):
        self.where, self.fault, self._timeout = where, fault, 1.0

    def _reach(self, where):
        if self.where == where:
            raise self.fault

    @property
    def in_waiting(self):
        self._reach("in_waiting")
        return 0

    @property
    def timeout(self):
        return self._timeout

    @timeout.setter
    def timeout(self, seconds):
        self._reach("timeout")
        self._timeout = seconds

    def write(self, data):
        self._reach("write")
        return len(data)

    def read(self, size=1):
        self._reach("read")
        return b"1" if size == 1 else b""

    def read_until(self, ending, limit):
        self._reach("read")
        return b"1END"

    def close(self):
        self._reach("close")


@pytest.mark.parametrize("where", ["open", "in_waiting", "timeout", "write", "read", "close"])
def test_no_exception_of_a_serial_port_escapes(monkeypatch, timeline, where):
    wrong = []
    for fault in RAISED:

        def opened(*_, fault=fault, **__):
            if where == "open":
                raise fault
            return Port(where, fault)

        monkeypatch.setattr(serial, "serial_for_url", opened)
        for use in (
            lambda wire: wire.query("VOLT?"),
            lambda wire: wire.query_bytes("VOLT?", 1),
            lambda wire: wire.query_until(b"V", b"END", 100),
            lambda wire: wire.write("VOLT 3"),
            lambda wire: wire.send_bytes(b"V"),
        ):
            wire = SerialWire("psu", "/dev/ttyUSB9", timeline, timeout=0.2)
            wire.identify = lambda: "ACME"
            try:
                wire.open()
                use(wire)
                wire.close()
            except InstrumentError as error:
                if "\n" in error.message or error.message.endswith(": "):
                    wrong.append((fault, error))
            except BaseException as escaped:
                wrong.append((fault, escaped))
            wire.close()
    assert wrong == []


@pytest.mark.parametrize("where", ["request", "getresponse", "close"])
def test_no_exception_of_a_web_interface_escapes(monkeypatch, timeline, where):
    wrong = []
    for fault in RAISED:

        def broken(*_, fault=fault, **__):
            raise fault

        monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda self: None)
        monkeypatch.setattr(http.client.HTTPConnection, "request", lambda self, *a, **k: None)
        monkeypatch.setattr(http.client.HTTPConnection, where, broken)
        wire = HttpWire("att", "http://127.0.0.1:1", timeline)
        wire.identify = lambda: "ACME"
        wire.open()
        try:
            wire.query(":ATT?")
        except InstrumentError as error:
            if "\n" in error.message or error.message.endswith(": "):
                wrong.append((fault, error))
        except BaseException as escaped:
            wrong.append((fault, escaped))
        else:
            wrong.append((fault, "nothing was raised"))
    assert wrong == []


@pytest.mark.parametrize("address", ["http://[::1", "http://", "http://h:99999", "ftp://h", "http://h\0"])
def test_url_that_is_none_is_told_at_opening(timeline, address):
    wire = HttpWire("att", address, timeline)
    wire.identify = lambda: wire.query(":MN?")
    with pytest.raises(InstrumentError, match="att at "):
        wire.open()


# ---- the process that switches off


def test_guard_says_what_it_cannot_switch_off_whatever_is_raised_and_goes_on(monkeypatch, capsys):
    tries, off = [], []

    def broken(*_, **__):
        tries.append(1)
        if len(tries) < 5:
            raise TypeError("not what anybody\nexpected")
        off.append(1)

    monkeypatch.setattr(DRIVERS["rigol_dp832"], "open", broken)
    monkeypatch.setattr(DRIVERS["rigol_dp832"], "switch_off", lambda self, numbers: off.extend(numbers))
    monkeypatch.setattr(guarding, "LOUD", 0.0)
    monkeypatch.setattr(guarding, "PAUSE", 0.01)
    supply = guarding.GuardedSupply("psu", "rigol_dp832", "TCPIP::127.0.0.1::1::SOCKET", None, (2,))
    clock = WallClock()
    refused = []
    guarding.switch_off(supply, clock, lambda: refused.append(1))
    clock.close()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len(refused) == 4
    assert all("psu NOT SWITCHED OFF for 0 s" in line and "switch it off by hand" in line for line in told)
    assert "TypeError: not what anybody expected" in told[0]
    assert off == [1, 2], "opened at last, and the guarded output alone"
