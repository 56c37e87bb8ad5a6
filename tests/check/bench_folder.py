"""A bench file of a real desk that is right, with everything it names; tests break it by small edits."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from certificates_made import make_certificates

from bench.config import load_bench
from bench.virtual.images import build_set

BOARDS = Path(__file__).parents[2] / "boards"
VIRTUAL = load_bench(BOARDS / "virtual.toml")
NRF, ESP = (VIRTUAL.settings.boards[name].type for name in ("nrf9160", "esp32"))
"""The board files of the virtual boards: the builds are theirs."""

GOOD = f"""\
[bench]
name = "bench 3"
test_timeout = 1800
requirements = "requirements.toml"

[server]
host = "192.168.1.10"
port = 5683
secure_port = 5684
certificate = "server.pem"
certificate_key = "server.key"
client_ca = "ca.pem"

[packages]
http = {{ port = 8080 }}
https = {{ port = 8443, advertise = "https://203.0.113.7:8443" }}

[instruments.psu]
driver = "keysight_e36312a"
address = "TCPIP::192.168.1.20::5025::SOCKET"
calibration_due = 2027-03-31

[instruments.korad]
driver = "korad_ka3005p"
address = "ASRL/dev/ttyUSB7::INSTR"

[instruments.rf1]
driver = "minicircuits_rcdat"
address = "http://192.168.1.21"

[instruments.ppk2]
driver = "nordic_ppk2"
address = "ASRL/dev/ttyACM9::INSTR"

[boards.dk1]
type = "{NRF}"
serial = "960012345"
endpoint = "urn:imei:352656100123451"
console = "/dev/ttyACM0"
flasher = {{ kind = "swd", uid = "0240000034544e45" }}
supply = "psu:1"
meter = "ppk2:1"
attenuator = "rf1:1"

[boards.dk1.security]
psk_identity = "dk1"
psk_key = "00112233445566778899aabbccddeeff"

[boards.dk1.network]
port = 7001
delay = 0.2

[boards.dk1.images]
baseline = "nrf/baseline.bin"
update = "nrf/update.bin"
factory = {{ "0x0" = "nrf/mcuboot.bin" }}
signing_key = "nrf/key.pem"
variants = {{ "hangs" = "nrf/hangs.bin" }}

[boards.esp1]
type = "{ESP}"
serial = "24:0A:C4:12:34:56"
endpoint = "esp1"
console = "/dev/ttyUSB0"
flasher = {{ kind = "rom-serial", mac = "24:0A:C4:12:34:56" }}
supply = "psu:2"
meter = "psu:2"

[boards.esp1.images]
baseline = "esp/baseline.bin"
update = "esp/update.bin"
factory = {{ "0x1000" = "esp/bootloader.bin", "0x8000" = "esp/table.bin" }}
signing_key = "esp/key.pem"

[boards.client]
type = "client"
endpoint = "client-1"
security = {{ certificate_name = "client-1" }}
"""

CLIENT = """\
command = ["./client", "--server", "{server}"]

[board]
name = "client"
title = "a client"
kind = "process"

[images]
baseline = { version = "1.0.0" }
update = { file = "client.bin", version = "2.0.0" }
"""


PROGRAM = "client.bat" if os.name == "nt" else "client"


def fill(folder: Path) -> None:
    """Everything but the bench file itself. Builds images: once a session is enough."""
    for name in (NRF, ESP):
        shutil.copy(BOARDS / f"{name}.toml", folder)
    (folder / "client.toml").write_text(CLIENT, "utf-8")
    (folder / PROGRAM).write_text("#!/bin/sh\n", "utf-8")
    (folder / PROGRAM).chmod(0o755)
    (folder / "client.bin").write_bytes(b"package")
    (folder / "requirements.toml").write_text('[own]\n"REQ-1" = "it updates"\n', "utf-8")
    for short, name in (("nrf", NRF), ("esp", ESP)):
        built = build_set(name, folder / "built" / short)
        place = folder / short
        place.mkdir()
        for file, source in (
            ("baseline", built.baseline),
            ("update", built.update),
            ("hangs", built.variants["hangs"]),
        ):
            shutil.copy(source, place / f"{file}.bin")
        shutil.copy(built.signing_key, place / "key.pem")
        for part, file in zip(
            built.factory, ("mcuboot", "more") if short == "nrf" else ("bootloader", "table"), strict=False
        ):
            shutil.copy(part.path, place / f"{file}.bin")
    make_certificates(folder)
