"""`bench check` on bench files that are broken in one place each: the key is named, and the cure."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_folder import ESP, GOOD, NRF, PROGRAM

from bench.check import checked_bench
from bench.config.finding import Finding, Mistakes


def findings(file: Path, boards: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    with pytest.raises(Mistakes) as caught:
        checked_bench(file, boards)
    return caught.value.findings


def edit(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    file.write_text(text, "utf-8")


def test_the_good_one_has_no_mistake(desk: Path) -> None:
    assert list(checked_bench(desk).settings.boards) == ["dk1", "esp1", "client"]


A = "TCPIP::192.168.1.20::5025::SOCKET"
BROKEN: list[tuple[str, str, str, str]] = [
    # ---- names of keys and tables
    ("[instruments.psu]\ndriver", "[instruments.psu]\ndirver", "instruments.psu.dirver", "mean 'driver'"),
    ('endpoint = "esp1"', 'endpont = "esp1"', "boards.esp1.endpont", "mean 'endpoint'"),
    ("delay = 0.2", "dealy = 0.2", "boards.dk1.network.dealy", "mean 'delay'"),
    ("[server]\nhost", "[server]\nhosst", "server.hosst", "mean 'host'"),
    ("[packages]", "[package]", "package", "mean 'packages'"),
    ("[boards.dk1.security]", "[boards.dk1.securty]", "boards.dk1.securty", "mean 'security'"),
    ("psk_key =", "psk_kye =", "boards.dk1.security.psk_kye", "mean 'psk_key'"),
    ("delay = 0.2", "supply_ = 0.2", "boards.dk1.network.supply_", "keys it may have: "),
    ("port = 7001", 'port = 7001\nmeter = "psu:2"', "boards.dk1.network.meter", r"belongs to \[boards.dk1\]"),
    ('serial = "960012345"\n', "", "boards.dk1.serial", "complete example"),
    # ---- values
    ("port = 5683", "port = 70000", "server.port", "within these limits"),
    ("port = 5683", 'port = "many"', "server.port", "whole number"),
    ("[boards.client]", "[boards]\nclient2 = 5\n[boards.client]", "boards.client2", "a table"),
    ('uid = "0240000034544e45"', "uid = 240", "boards.dk1.flasher.uid", "in quotes"),
    ('kind = "swd"', 'kind = "swdd"', "boards.dk1.flasher.kind", "mean 'swd'"),
    ('kind = "rom-serial"', 'kind = "uart"', "boards.esp1.flasher.kind", "kinds: rom-serial, swd"),
    ('{ "hangs" =', '{ "hang" =', "boards.dk1.images.variants.hang", "mean 'hangs'"),
    ("http = { port", "htp = { port", "packages.htp", "mean 'http'"),
    ('mac = "24:0A:C4:12:34:56"', 'mac = "24-0A-C4-12-34-56"', "boards.esp1.flasher.mac", "24:0A:C4"),
    ('supply = "psu:1"', 'supply = "psu"', "boards.dk1.supply", "INSTRUMENT:OUTPUT"),
    ("2027-03-31", '"next spring"', "instruments.psu.calibration_due", "2027-03-31"),
    ("delay = 0.2", "delay = nan", "boards.dk1.network.delay", "finite"),
    ("delay = 0.2", "delay = -1", "boards.dk1.network.delay", "within these limits"),
    ("delay = 0.2", "delay = 200", "boards.dk1.network.delay", "such as 0.2"),
    ("test_timeout = 1800", "test_timeout = -1", "bench.test_timeout", "within these limits"),
    ("test_timeout = 1800", "test_timeout = 1800000", "bench.test_timeout", "give seconds"),
    # ---- instruments, outputs, paths
    ("keysight_e36312a", "keysight_e3612a", "instruments.psu.driver", "mean 'keysight_e36312a'"),
    ("keysight_e36312a", "hp6632b", "instruments.psu.driver", "drivers: .*korad_ka3005p"),
    ('supply = "psu:1"', 'supply = "pus:1"', "boards.dk1.supply", "mean 'psu'"),
    ('supply = "psu:1"', 'supply = "psu:4"', "boards.dk1.supply", "its outputs: 1, 2, 3"),
    ('supply = "psu:1"', 'supply = "psu:0"', "boards.dk1.supply", "its outputs: 1, 2, 3"),
    ('supply = "psu:1"', 'supply = "korad:2"', "boards.dk1.supply", "its outputs: 1$"),
    ('supply = "psu:1"', 'supply = "rf1:1"', "boards.dk1.supply", "power supply: korad, psu"),
    ('attenuator = "rf1:1"', 'attenuator = "psu:3"', "boards.dk1.attenuator", "attenuator: rf1"),
    (
        'attenuator = "rf1:1"',
        'attenuator = "rf1:9"',
        "boards.dk1.attenuator",
        "its outputs: 1, 2, 3, 4, 5, 6, 7, 8",
    ),
    ('meter = "ppk2:1"', 'meter = "ppk2:2"', "boards.dk1.meter", "its outputs: 1$"),
    ('meter = "ppk2:1"', 'meter = "rf1:2"', "boards.dk1.meter", "ppk2"),
    ('meter = "psu:2"', 'meter = "psu:3"', "boards.esp1.meter", "the same output"),
    (f'address = "{A}"', 'address = ""', "instruments.psu.address", "docs/instruments.md"),
    ("::5025::", "::502500::", "instruments.psu.address", "docs/instruments.md"),
    ("http://192.168.1.21", "http://192.168.1.321", "instruments.rf1.address", "docs/instruments.md"),
    # ---- the same twice
    ('serial = "24:0A:C4:12:34:56"', 'serial = "960012345"', "boards.esp1.serial", "its own"),
    ('endpoint = "client-1"', 'endpoint = "esp1"', "boards.client.endpoint", "its own"),
    ('console = "/dev/ttyUSB0"', 'console = "/dev/ttyACM0"', "boards.esp1.console", "of its own"),
    ('console = "/dev/ttyUSB0"', 'console = "/dev/ttyUSB0 "', "boards.esp1.console", "the port alone"),
    ('console = "/dev/ttyUSB0"', 'console = "/dev//ttyUSB7"', "boards.esp1.console", "of its own"),
    ('supply = "psu:2"\nmeter = "psu:2"', 'supply = "psu:1"', "boards.esp1.supply", "output of its own"),
    ('supply = "psu:2"\nmeter = "psu:2"', 'supply = "psu:01"', "boards.esp1.supply", "output of its own"),
    ('meter = "psu:2"', 'attenuator = "rf1:1"', "boards.esp1.attenuator", "path of its own"),
    ('meter = "psu:2"', 'meter = "ppk2:1"', "boards.esp1.meter", "one board"),
    ("port = 7001", "port = 5683", "boards.dk1.network.port", "0 for a free one"),
    ("secure_port = 5684", "secure_port = 5683", "server.secure_port", "0 for a free one"),
    ("port = 8443", "port = 8080", "packages.https.port", "0 for a free one"),
    ("ASRL/dev/ttyACM9::INSTR", "/dev/ttyUSB7", "instruments.ppk2.address", "serial port of its own"),
    # ---- addresses and hosts
    ('host = "192.168.1.10"', 'host = "192.168.1.300"', "server.host", "from 0 to 255"),
    ('host = "192.168.1.10"', 'host = "192.168.1.10:5683"', "server.host", "server.port"),
    ('host = "192.168.1.10"', 'host = "coap://192.168.1.10"', "server.host", "without scheme"),
    ('host = "192.168.1.10"', 'host = "192.168.1. 10"', "server.host", "such as"),
    ('host = "192.168.1.10"', 'host = "[fd00::10]"', "server.host", "brackets are for URIs"),
    ('host = "192.168.1.10"', 'host = "fd00::10::1"', "server.host", "such as"),
    ('host = "192.168.1.10"', 'host = "bench_pc!"', "server.host", "such as"),
    ('host = "192.168.1.10"', 'host = ""', "server.host", "0.0.0.0"),
    ('host = "192.168.1.10"', 'host = "127.0.0.1"', "server.host", "that the boards can reach"),
    ('host = "192.168.1.10"', 'host = "::1"', "server.host", "that the boards can reach"),
    ('host = "192.168.1.10"', 'host = "localhost"', "server.host", "that the boards can reach"),
    ('host = "192.168.1.10"', 'host = "fe80::1"', "server.host", "that the boards can reach"),
    ('host = "192.168.1.10"\n', "", "server.host", "that the boards can reach"),
    ("https://203.0.113.7:8443", "http://203.0.113.7:8443", "packages.https.advertise", "https://HOST"),
    ("https://203.0.113.7:8443", "203.0.113.7:8443", "packages.https.advertise", "https://HOST"),
    ("https://203.0.113.7:8443", "https://:8443", "packages.https.advertise", "https://HOST"),
    ("https://203.0.113.7:8443", "https://203.0.113.7:84430", "packages.https.advertise", "HOST:PORT"),
    ("https://203.0.113.7:8443", "https://203.0.113.7:8443/fw", "packages.https.advertise", "HOST:PORT"),
    ("https://203.0.113.7:8443", "https://2001:db8::1:8443", "packages.https.advertise", r"\[ADDRESS\]"),
    ("https://203.0.113.7:8443", "https://0.0.0.0:8443", "packages.https.advertise", "reached"),
    ("https://203.0.113.7:8443", "https://203.0.113.7: 8443", "packages.https.advertise", "HOST:PORT"),
    ("port = 5683", 'advertise = "coaps://203.0.113.7"', "server.advertise", "coap://HOST"),
    ("delay = 0.2", 'advertise = "coap://203.0.113.7"', "boards.dk1.network.advertise", "coaps://HOST"),
    # ---- files and names
    (f'type = "{NRF}"', f'type = "{NRF}x"', "boards.dk1.type", f"mean '{NRF}'"),
    (f'type = "{NRF}"', 'type = "bench"', "board", "board files in that folder"),
    (f'type = "{NRF}"', f'type = "{ESP}"', "boards.dk1.flasher.kind", "correct the flasher"),
    (f'type = "{NRF}"', 'type = "client"', "boards.dk1", "remove these keys"),
    ('type = "client"', f'type = "{ESP}"', "boards.client", "complete example"),
    ("requirements.toml", "requirement.toml", "bench.requirements", "correct the path"),
    ("server.pem", "sever.pem", "server.certificate", "correct the path"),
    ("server.pem", "server.key", "server.certificate", "BEGIN CERTIFICATE"),
    ("server.pem", "expired.pem", "server.certificate", "one that is valid"),
    ("server.key", "other.key", "server.certificate", "belong together"),
    ('certificate_key = "server.key"\n', "", "server", "complete example"),
    (
        '"client-1" }',
        '"client-1", server_ca = "no.pem" }',
        "boards.client.security.server_ca",
        "correct the path",
    ),
    (
        '"client-1" }',
        '"client-1", server_ca = "expired.pem" }',
        "boards.client.security.server_ca",
        "is valid",
    ),
    ('"client-1" }', '"client-1", server_ca_key = "ca.key" }', "boards.client.security", ""),
    ('"client-1" }', '"client-1", certificate = "ca.pem" }', "boards.client.security", ""),
    ('client_ca = "ca.pem"\n', "", "server.client_ca", "docs/server.md"),
    ("nrf/baseline.bin", "nrf/base.bin", "boards.dk1.images.baseline", "correct the path"),
    ("nrf/baseline.bin", "~/nrf/baseline.bin", "boards.dk1.images.baseline", "~ is not understood"),
    ("nrf/baseline.bin", "nrf", "boards.dk1.images.baseline", "name a file in it"),
    ("nrf/baseline.bin", "esp/baseline.bin", "boards.dk1.images.baseline", "for this board"),
    ("nrf/baseline.bin", "nrf/key.pem", "boards.dk1.images.baseline", "for this board"),
    ("nrf/update.bin", "nrf/baseline.bin", "boards.dk1.images.update", "two builds"),
    ("nrf/update.bin", "nrf/hangs.bin", "boards.dk1.images.variants.hangs", ""),
    ("nrf/mcuboot.bin", "nrf/boot.bin", "boards.dk1.images.factory.0x0", "correct the path"),
    ('"0x0" =', '"zero" =', "boards.dk1.images.factory.zero", "own address"),
    ('"0x0" =', '"0x10000" =', "boards.dk1.images.factory.0x10000", "alone"),
    ('"0x0" =', '"-0x10" =', "boards.dk1.images.factory.-0x10", "own address"),
    ('"0x0" =', '"0x400000" =', "boards.dk1.images.factory.0x400000", "correct the address"),
    ('"0x8000" =', '"0x1000000" =', "boards.esp1.images.factory.0x1000000", "correct the address"),
    ('"0x8000" =', '"0x1010" =', "boards.esp1.images.factory.0x1010", "alone"),
    ("nrf/key.pem", "server.pem", "boards.dk1.images.signing_key", "private key as PEM"),
    ("nrf/key.pem", "other.key", "boards.dk1.images.signing_key", "that the builds are signed with"),
    ("esp/key.pem", "nrf/key.pem", "boards.esp1.images.signing_key", "that the builds are signed with"),
    ("nrf/hangs.bin", "nrf/hang.bin", "boards.dk1.images.variants.hangs", "correct the path"),
    ("[server]", 'plant = "bench.virtual.plant:VirtualBnch"\n[server]', "bench.plant", "plant:VirtualBench"),
    ("[server]", 'plant = "bench.virtal.plant:X"\n[server]', "bench.plant", "module:attribute"),
]
BROKEN = [row for row in BROKEN if row[3]]


@pytest.mark.parametrize(
    ("old", "new", "key", "cure"), BROKEN, ids=[f"{n}-{r[2]}" for n, r in enumerate(BROKEN)]
)
def test_a_mistake_is_named_by_key_with_its_cure(desk: Path, old: str, new: str, key: str, cure: str) -> None:
    edit(desk, (old, new))
    found = findings(desk)
    assert [f.key for f in found] == [key]
    assert re.search(cure, found[0].cure)
    assert found[0].file.parent == desk.parent
    assert found[0].reason
    assert "\n" not in f"{found[0]}{found[0].cure}"


OTHER_FILES: list[tuple[str, Callable[[Path], object], str, str, str]] = [
    (
        f"{NRF}.toml",
        lambda f: f.unlink(),
        "bench.toml",
        "boards.dk1.type",
        f"board files in that folder: client, {ESP}",
    ),
    (f"{NRF}.toml", lambda f: f.write_text("[boards", "utf-8"), f"{NRF}.toml", "", "correct that line"),
    (
        f"{NRF}.toml",
        lambda f: edit(f, ("driver =", "divrer =")),
        f"{NRF}.toml",
        "board.divrer",
        "mean 'driver'",
    ),
    (
        f"{NRF}.toml",
        lambda f: edit(f, ('driver = "nrf9160"', 'driver = "nrf916"')),
        f"{NRF}.toml",
        "board.driver",
        "nrf9160",
    ),
    (
        f"{NRF}.toml",
        lambda f: edit(f, ("boot = 30", "boot = 30_000_000")),
        f"{NRF}.toml",
        "timeouts.boot",
        "give seconds",
    ),
    (
        f"{NRF}.toml",
        lambda f: edit(f, ("boot = 30", "boot = -30")),
        f"{NRF}.toml",
        "timeouts.boot",
        "within these limits",
    ),
    (f"{NRF}.toml", lambda f: edit(f, ("boot = 30", "boot = inf")), f"{NRF}.toml", "timeouts.boot", "finite"),
    (
        f"{NRF}.toml",
        lambda f: edit(f, ("readback = true", "readback = false")),
        f"{NRF}.toml",
        "capabilities.readback",
        "missing =",
    ),
    (PROGRAM, lambda f: f.unlink(), "client.toml", "command", "correct the command"),
    ("client.bin", lambda f: f.unlink(), "client.toml", "images.update.file", "correct the path"),
    (
        "client.toml",
        lambda f: edit(f, ('"2.0.0"', '"1.0.0"')),
        "client.toml",
        "images.update.version",
        "two builds",
    ),
    ("client.toml", lambda f: edit(f, ("{server}", "{sever}")), "client.toml", "command", "mean 'server'"),
    (
        "requirements.toml",
        lambda f: f.write_text("[own]\nX = 5\n", "utf-8"),
        "bench.toml",
        "bench.requirements",
        "ID",
    ),
    (
        "nrf/mcuboot.bin",
        lambda f: f.write_bytes(bytes(0xF800)),
        "bench.toml",
        "boards.dk1.images.factory.0x0",
        "each region",
    ),
    (
        "nrf/mcuboot.bin",
        lambda f: f.write_bytes(bytes(0x10800)),
        "bench.toml",
        "boards.dk1.images.factory.0x0",
        "alone",
    ),
    (
        "nrf/mcuboot.bin",
        lambda f: f.write_bytes(b""),
        "bench.toml",
        "boards.dk1.images.factory.0x0",
        "was built",
    ),
    (
        "esp/table.bin",
        lambda f: f.write_bytes(bytes(0xC00)),
        "bench.toml",
        "boards.esp1.images.factory",
        "partition table",
    ),
    (
        "esp/table.bin",
        lambda f: f.write_bytes(bytes(0x1100)),
        "bench.toml",
        "boards.esp1.images.factory.0x8000",
        "each region",
    ),
    (
        "nrf/update.bin",
        lambda f: f.write_bytes(flipped(f, 0x400)),
        "bench.toml",
        "boards.dk1.images.update",
        "build it anew",
    ),
    (
        "nrf/update.bin",
        lambda f: f.write_bytes(f.read_bytes()[:5000]),
        "bench.toml",
        "boards.dk1.images.update",
        "signed build",
    ),
    (
        "nrf/update.bin",
        lambda f: f.write_bytes(f.read_bytes() + bytes(0x70000)),
        "bench.toml",
        "boards.dk1.images.update",
        "smaller image",
    ),
    (
        "esp/update.bin",
        lambda f: f.write_bytes(flipped(f, 5000)),
        "bench.toml",
        "boards.esp1.images.update",
        "build it anew",
    ),
    (
        "esp/update.bin",
        lambda f: f.write_bytes(with_byte(f, 12, 9)),
        "bench.toml",
        "boards.esp1.images.update",
        "build for the ESP32",
    ),
    ("esp/update.bin", lambda f: f.write_bytes(b""), "bench.toml", "boards.esp1.images.update", "was built"),
]


def flipped(file: Path, at: int) -> bytes:
    return with_byte(file, at, file.read_bytes()[at] ^ 1)


def with_byte(file: Path, at: int, value: int) -> bytes:
    data = bytearray(file.read_bytes())
    data[at] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "spoil", "file", "key", "cure"),
    OTHER_FILES,
    ids=[f"{n}-{r[0]}" for n, r in enumerate(OTHER_FILES)],
)
def test_a_mistake_in_another_file(
    desk: Path, name: str, spoil: Callable[[Path], object], file: str, key: str, cure: str
) -> None:
    spoil(desk.parent / name)
    found = [
        f for f in findings(desk) if f.key != "boards.dk1.images.signing_key"
    ]  # a damaged one is not signed
    found = [f for f in found if f.key != "boards.esp1.images.signing_key"]
    assert [(f.file.name, f.key) for f in found] == [(file, key)]
    assert re.search(cure, found[0].cure)


@pytest.mark.parametrize(
    ("data", "reason", "cure"),
    [
        (b"\xef\xbb\xbf" + GOOD.encode(), "byte order mark", "as UTF-8"),
        (GOOD.encode("utf-16"), "UTF-16", "as UTF-8"),
        (GOOD.encode("utf-16-le"), "UTF-16", "as UTF-8"),
        (GOOD.encode("utf-32"), "UTF-16 or UTF-32", "as UTF-8"),
        (GOOD.replace("bench 3", "Prüfstand").encode("latin-1"), "line 2 has the byte 0xfc", "as UTF-8"),
        (b"", "is empty", "complete example"),
        (b" \n\n", "is empty", "complete example"),
        (
            GOOD.replace("[server]", "[server").encode(),
            r"is not TOML.*line 6, at \[server",
            "correct that line",
        ),
        (GOOD.replace("port = 5683", "port = 5683\nport = 5684").encode(), "line 9.*at port", "remove one"),
        (GOOD.replace("[boards.esp1]", "[boards.dk1]").encode(), r"\[boards.dk1\]", "remove one"),
        (GOOD.replace('"bench 3"', "bench 3").encode(), "line 2.*at name", "in quotes"),
        (GOOD.replace("nrf/update.bin", r"C:\builds\update.bin").encode(), "at update", "single quotes"),
        (GOOD.replace("\n", "\r").encode(), "is not TOML", "LF or CRLF"),
        (b"x = " + b"[" * 5000, "more than 100 deep|is not TOML", ""),
        (b"x" + b".x" * 5000 + b" = 1", "more than 100 deep", ""),
        (b"# " + b"x" * 2_000_000, "more than 1048576 bytes", ""),
        (b"[board]\nname = 'x'", "is a board file", "complete example"),
        (b"\x00\x01\x02", "no text at all", "as UTF-8"),
    ],
)
def test_what_cannot_be_read_is_one_mistake(desk: Path, data: bytes, reason: str, cure: str) -> None:
    desk.write_bytes(data)
    (found,) = findings(desk)
    assert re.search(reason, str(found))
    assert cure in found.cure


def test_line_ends_of_windows_are_none(desk: Path) -> None:
    desk.write_bytes(GOOD.replace("\n", "\r\n").encode())
    assert checked_bench(desk).settings.bench.name == "bench 3"


def test_what_is_no_file(desk: Path) -> None:
    assert "is a directory" in str(findings(desk.parent)[0])
    assert "does not exist" in str(findings(desk.with_name("none.toml"))[0])
    assert "cannot be read" in str(findings(Path("none\0.toml"))[0])


@pytest.mark.skipif(os.name != "posix", reason="a FIFO")
def test_a_pipe_is_not_waited_for(desk: Path) -> None:
    os.mkfifo(desk.with_name("pipe.toml"))
    assert "no regular file" in str(findings(desk.with_name("pipe.toml"))[0])


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_a_link_to_a_console_is_the_same_console(desk: Path) -> None:
    link = desk.with_name("usb-by-id")
    link.symlink_to("/dev/ttyACM0")
    edit(desk, ("/dev/ttyUSB0", str(link)))
    assert [f.key for f in findings(desk)] == ["boards.esp1.console"]


def test_ports_of_windows_have_several_names(desk: Path) -> None:
    edit(desk, ("/dev/ttyACM0", "COM3"), ("/dev/ttyUSB0", "com3"), ("ASRL/dev/ttyUSB7", "ASRL3"))
    edit(desk, ('console = "COM3"', r"console = '\\.\COM3'"))
    assert [f.key for f in findings(desk)] == ["boards.dk1.console", "boards.esp1.console"]


def test_addresses_of_instruments_have_several_names(desk: Path) -> None:
    edit(
        desk,
        ("ASRL/dev/ttyUSB7::INSTR", "TCPIP0::192.168.1.20::5025::SOCKET"),
        ("korad_ka3005p", "rigol_dp832"),
    )
    assert [f.key for f in findings(desk)] == ["instruments.korad.address"]


def test_a_probe_twice_in_other_case(desk: Path) -> None:
    edit(
        desk,
        (f'type = "{ESP}"', f'type = "{NRF}"'),
        ('kind = "rom-serial", mac = "24:0A:C4:12:34:56"', 'kind = "swd", uid = "0240000034544E45"'),
    )
    keys = [f.key for f in findings(desk)]
    assert "boards.esp1.flasher.uid" in keys


def test_a_mac_twice_in_other_case(desk: Path) -> None:
    edit(
        desk,
        (f'type = "{NRF}"', f'type = "{ESP}"'),
        ('kind = "swd", uid = "0240000034544e45"', 'kind = "rom-serial", mac = "24:0a:c4:12:34:56"'),
    )
    assert "boards.esp1.flasher.mac" in [f.key for f in findings(desk)]


def test_the_same_identity_twice(desk: Path) -> None:
    security = (
        'meter = "psu:2"\nsecurity = { psk_identity = "dk1", psk_key = "ffeeddccbbaa99887766554433221100" }'
    )
    edit(desk, ('meter = "psu:2"', security))
    (found,) = findings(desk)
    assert found.key == "boards.esp1.security.psk_identity"
    assert "boards.dk1.security.psk_identity" in found.reason


def test_the_same_path_advertised_twice(desk: Path) -> None:
    edit(
        desk,
        ("delay = 0.2", 'advertise = "coaps://203.0.113.7:5684"'),
        ("secure_port = 5684", 'secure_advertise = "coaps://203.0.113.7:5684"'),
    )
    assert [f.key for f in findings(desk)] == ["boards.dk1.network.advertise"]


# ---- several at once


def test_three_mistakes_of_one_board_are_all_named(desk: Path) -> None:
    edit(
        desk,
        ('supply = "psu:1"', 'suply = "psu:9"'),
        ("nrf/baseline.bin", "nrf/none.bin"),
        ('console = "/dev/ttyACM0"\n', ""),
    )
    assert {f.key for f in findings(desk)} == {
        "boards.dk1.suply",
        "boards.dk1.supply",
        "boards.dk1.images.baseline",
        "boards.dk1.console",
    }


def test_mistakes_of_every_kind_are_all_named(desk: Path) -> None:
    edit(
        desk,
        ('host = "192.168.1.10"', 'host = "127.0.0.1"\nprot = 1'),
        ("keysight_e36312a", "keysight_e3631a"),
        ('meter = "psu:2"', 'meter = "ppk2:1"'),
        ('kind = "rom-serial"', 'kind = "rom_serial"'),
        ("nrf/update.bin", "nrf/none.bin"),
        ("https://203.0.113.7:8443", "https://203.0.113.7:8443/"),
        ("delay = 0.2", 'loss = "often"'),
        ('type = "client"', 'type = "cliend"'),
        ("requirements.toml", "none.toml"),
    )
    edit(desk.with_name(f"{NRF}.toml"), ("boot = 30", "boott = 30"))
    assert {f.key for f in findings(desk)} == {
        "server.host",
        "server.prot",
        "instruments.psu.driver",
        "boards.esp1.meter",
        "boards.esp1.flasher.kind",
        "boards.dk1.images.update",
        "packages.https.advertise",
        "boards.dk1.network.loss",
        "boards.client.type",
        "bench.requirements",
        "timeouts.boott",
    }


@pytest.mark.parametrize("seed", range(40))
def test_any_three_are_all_named(desk: Path, seed: int) -> None:
    """Three of the table above that have nothing to do with each other."""
    chosen: list[tuple[str, str, str, str]] = []
    for row in random.Random(seed).sample(BROKEN, len(BROKEN)):
        apart = all(
            not lines_of(row[0]) & lines_of(other[0]) and not related(row[2], other[2]) for other in chosen
        )
        if apart and len(chosen) < 3:
            chosen.append(row)
    edit(desk, *((old, new) for old, new, _, _ in chosen))
    assert len(chosen) == 3
    assert {key for _, _, key, _ in chosen} <= {f.key for f in findings(desk)}


def lines_of(text: str) -> set[int]:
    """The lines of the good file that an edit changes."""
    first = GOOD.count("\n", 0, GOOD.find(text))
    return set(range(first, first + text.count("\n") + 1))


def related(one: str, other: str) -> bool:
    """Whether the one mistake may hide the other: it is in the same table, or leaves open what a board is."""
    for key, against in ((one, other), (other, one)):
        board = re.fullmatch(r"(boards\.\w+)(\.type|\.flasher\.kind)?", key)
        if key == "board" or (board is not None and against.startswith(f"{board[1]}.")):
            return True
    table, _, name = one.rpartition(".")
    other_table, _, other_name = other.rpartition(".")
    return table == other_table or name == other_name  # the same key: one may be twice the other's value


# ---- secrets


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('psk_key = "00112233', 'psk_key = "x0112233'),
        ('psk_key = "00112233', 'psk_keys = "00112233'),
        ("psk_key =", "key ="),
        ("[boards.dk1.security]", "[boards.dk1.secrity]"),
        ('psk_identity = "dk1"\n', ""),
        ("[boards.dk1.network]", "[boards.dk1.security.network]"),
        (
            "[boards.dk1.security]",
            '[boards.dk1]\npsk_key = "00112233445566778899aabbccddeeff"\n[boards.dk1.security]',
        ),
        ('psk_key = "00112233445566778899aabbccddeeff"', 'psk_key = ["00112233445566778899aabbccddeeff"]'),
        ('psk_key = "00112233445566778899aabbccddeeff"', 'psk_key = "00112233445566778899aabbccddeeff'),
        ('psk_key = "00112233445566778899aabbccddeeff"', "psk_key = 00112233445566778899aabbccddeeff"),
        ("[boards.dk1.security]\n", ""),
    ],
)
def test_no_message_tells_a_key(desk: Path, old: str, new: str) -> None:
    edit(desk, (old, new))
    with pytest.raises(Mistakes) as caught:
        checked_bench(desk)
    for text in (str(caught.value), repr(caught.value), repr(caught.value.findings)):
        assert "0112233" not in text
        assert "ddeeff" not in text


# ---- a part of the bench


def test_only_what_concerns_the_boards_that_are_used(desk: Path) -> None:
    edit(desk, ("nrf/update.bin", "nrf/none.bin"))
    assert [f.key for f in findings(desk, ("dk1",))] == ["boards.dk1.images.update"]
    assert list(checked_bench(desk, ("esp1",)).settings.boards) == ["esp1"]


def test_what_is_used_twice_concerns_either(desk: Path) -> None:
    edit(desk, ('console = "/dev/ttyUSB0"', 'console = "/dev/ttyACM0"'))
    assert [f.key for f in findings(desk, ("dk1",))] == ["boards.dk1.console"]
    assert [f.key for f in findings(desk, ("esp1",))] == ["boards.esp1.console"]
    assert list(checked_bench(desk, ("client",)).settings.boards) == ["client"]
