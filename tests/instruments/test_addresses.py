"""Addresses of instruments: which are none, and what is suggested instead."""

import pytest

from bench.config import load_bench
from bench.config.address import AddressKind, address_kinds
from bench.errors import ConfigError
from bench.instruments.models import DRIVERS, address_mistake

VISA, SERIAL, HTTP = AddressKind


@pytest.mark.parametrize(
    ("address", "kinds"),
    [
        ("TCPIP::192.168.1.40::5025::SOCKET", {VISA}),
        ("TCPIP0::192.168.1.40::5025::SOCKET", {VISA}),
        ("TCPIP::psu_1.lab.local.::inst0::INSTR", {VISA}),
        ("TCPIP::192.168.1.40", {VISA}),
        ("TCPIP::192.168.1.40::hislip0,4880::INSTR", {VISA}),
        ("TCPIP::192.168.1.40,1234::inst0::INSTR", {VISA}),
        ("GPIB0::5::INSTR", {VISA}),
        ("GPIB::5::12", {VISA}),
        ("USB::0x2A8D::0x1102::MY59001234::INSTR", {VISA}),
        ("USB0::10893::4354::MY59001234::0::INSTR", {VISA}),
        ("ASRL/dev/ttyUSB0::INSTR", {VISA, SERIAL}),
        ("ASRL3::INSTR", {VISA, SERIAL}),
        ("asrlCOM7", {VISA, SERIAL}),
        ("COM3", {SERIAL}),
        ("com12", {SERIAL}),
        (r"\\.\COM12", {SERIAL}),
        ("/dev/serial/by-id/usb-FTDI_FT232R-if00-port0", {SERIAL}),
        ("socket://192.168.1.9:4001", {SERIAL}),
        ("rfc2217://192.168.1.9:4001", {SERIAL}),
        ("http://192.168.1.30", {HTTP}),
        ("http://att.lab:8080/", {HTTP}),
        ("http://[fe80::1]", {HTTP}),
    ],
)
def test_address_that_is_one(address, kinds):
    assert address_kinds(address) == kinds


@pytest.mark.parametrize(
    ("address", "mistake"),
    [
        ("", "there is no address"),
        (" TCPIP::h::5025::SOCKET", "no address has ' ' in it"),
        ("TCPIP::h\0x::5025::SOCKET", r"no address has '\x00' in it"),
        ("/dev/ttyUSB0\n", r"no address has '\n' in it"),
        ("psu", "it is no address; write a VISA name such as"),
        ("COM", "it is no address"),
        ("ttyUSB0", "did you mean '/dev/ttyUSB0'?"),
        ("192.168.1.40", "did you mean 'TCPIP::192.168.1.40::5025::SOCKET', or 'http://192.168.1.40'?"),
        ("192.168.1.40:5555", "did you mean 'TCPIP::192.168.1.40::5555::SOCKET', or"),
        # a port where INSTR makes it the name of a LAN device, and the reverse
        ("TCPIP::h::5025::INSTR", "not a port; did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCPIP::h::5025", "not a port; did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCPIP::h::hislip0::SOCKET", "did you mean 'TCPIP::h::hislip0::INSTR'?"),
        ("TCPIP::h::SOCKET", "(port part is mandatory); did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCPIP::h:5025::SOCKET", "did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCPIP:h:5025:SOCKET", "did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCIP::h::5025::SOCKET", "unknown interface type; did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("TCPIP::h::5025::SOKET", "did you mean 'TCPIP::h::5025::SOCKET'?"),
        ("tcpip::h::hislip0::instr", "did you mean 'TCPIP::h::hislip0::INSTR'?"),
        ("TCPIP::h::65536::SOCKET", "the port is '65536'"),
        ("TCPIP::h::-1::SOCKET", "the port is '-1'"),
        ("TCPIP::h::hislip0,x::INSTR", "the port is 'x'"),
        ("TCPIP::::5025::SOCKET", "host_address is a required parameter"),
        # hosts that are none
        ("TCPIP::192.168.1.400::5025::SOCKET", "'192.168.1.400' is no IP address"),
        ("TCPIP::192.168.1::5025::SOCKET", "'192.168.1' is no IP address"),
        ("TCPIP::192.168.001.040::5025::SOCKET", "did you mean 'TCPIP::192.168.1.40::5025::SOCKET'?"),
        ("TCPIP::0.0.0.0::5025::SOCKET", "'0.0.0.0' is no host's address"),
        ("TCPIP::-psu::5025::SOCKET", "'-psu' is no host's name"),
        ("TCPIP::psu..lab::5025::SOCKET", "'psu..lab' is no host's name"),
        ("TCPIP::[fe80::1]::5025::SOCKET", "cannot hold an IPv6 address"),
        ("TCPIP::fe80::1::5025::SOCKET", "cannot hold an IPv6 address"),
        # other interfaces
        ("ASRL::INSTR", "it names no serial port"),
        ("GPIB::31::INSTR", "the primary address is '31', no number from 0 to 30"),
        ("GPIB::5::INST", "did you mean 'GPIB::5::INSTR'?"),
        ("GPIBx::5::INSTR", "the board is 'x'"),
        ("GPIB0::INTFC", "GPIB INTFC cannot be opened by pyvisa-py"),
        ("USB::2A8D::1102::MY1::INSTR", "did you mean 'USB::0x2A8D::0x1102::MY1::INSTR'?"),
        ("USB0::0x2A8D::0x1102::INSTR", "serial_number part is mandatory"),
        ("VXI::1::INSTR", "VXI INSTR cannot be opened by pyvisa-py"),
        ("PXI::1::INSTR", "Resource class for PXI not provided"),
        # URLs
        ("https://192.168.1.30", "did you mean 'http://192.168.1.30'?"),
        ("htp://192.168.1.30", "did you mean 'http://192.168.1.30'?"),
        ("tcp://192.168.1.30:5025", "tcp:// is not spoken"),
        ("http://", "no host"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://h:99999", "Port out of range"),
        ("http://192.168.1.30/:SETATT=3", "did you mean 'http://192.168.1.30'?"),
        ("http://admin:secret@192.168.1.30", "give the keys user and password"),
    ],
)
def test_address_that_is_none_is_told_with_what_was_meant(address, mistake):
    with pytest.raises(ValueError) as caught:
        address_kinds(address)
    assert mistake in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_says_what_it_can_be_reached_at(driver):
    examples = {VISA: "TCPIP::h::5025::SOCKET", SERIAL: "COM3", HTTP: "http://h"}
    for kind, address in examples.items():
        mistake = address_mistake(driver, address)
        assert (mistake is None) == (kind in DRIVERS[driver].addresses)
        if mistake is not None:
            assert mistake.startswith(f"{driver} wants a")


BENCH = """
[bench]
name = "desk"
{plant}

[instruments.psu]
driver = "keysight_e36312a"
address = "{address}"
{keys}

[boards.node1]
type = "nrf9160"
serial = "1"
endpoint = "urn:imei:1"
console = "/dev/ttyACM0"
flasher = {{ kind = "swd", uid = "1" }}
supply = "psu:1"
[boards.node1.images]
baseline = "a.bin"
update = "b.bin"
"""


def loaded(tmp_path, address="TCPIP::192.168.1.40::5025::SOCKET", keys="", plant=""):
    file = tmp_path / "desk.toml"
    file.write_text(BENCH.format(address=address, keys=keys, plant=plant))
    return load_bench(file)


def test_wrong_address_is_a_mistake_of_the_bench_file(tmp_path):
    with pytest.raises(ConfigError, match=r"instruments\.psu\.address = 'TCPIP::.*did you mean"):
        loaded(tmp_path, "TCPIP::h::5025::INSTR")


def test_port_0_is_for_a_virtual_bench_alone(tmp_path):
    with pytest.raises(ConfigError, match=r"instruments\.psu\.address = .*port 0 is for a virtual bench"):
        loaded(tmp_path, "TCPIP::127.0.0.1::0::SOCKET")
    with pytest.raises(ConfigError) as caught:  # its board file is what is missing next, not its port
        loaded(tmp_path, "TCPIP::127.0.0.1::0::SOCKET", plant='plant = "bench.virtual.plant:Plant"')
    assert "port 0" not in str(caught.value)


@pytest.mark.parametrize("keys", ["password = 123456", 'user = ["123456"]'])
def test_password_that_is_none_is_not_repeated(tmp_path, keys):
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, keys=keys)
    assert ("123456" in str(caught.value)) == ("user" in keys)


def test_password_in_an_address_is_not_repeated(tmp_path):
    with pytest.raises(ConfigError, match="give the keys user and password") as caught:
        loaded(tmp_path, "http://admin:123456@192.168.1.30")
    assert "123456" not in str(caught.value)


@pytest.mark.parametrize("step", ["0", "-0.5", "nan", "inf", "11", '"x"'])
def test_step_that_is_none(tmp_path, step):
    with pytest.raises(ConfigError, match=r"instruments\.psu\.step"):
        loaded(tmp_path, keys=f"step = {step}")
