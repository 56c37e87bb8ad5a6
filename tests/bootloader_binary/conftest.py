"""The small bootloader, compiled once, and a virtual bench whose board executes it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.check import checked_bench
from bench.config import Bench
from bench.virtual import images

FIRMWARE = Path(__file__).parent / "firmware"
BOARDS = Path(__file__).parents[2] / "boards"
COMPILER, OBJCOPY = "arm-none-eabi-gcc", "arm-none-eabi-objcopy"
REQUIRED = os.environ.get("BENCH_REQUIRE_ARM_GCC") == "1"
FLAGS = (
    "-mcpu=cortex-m33", "-mthumb", "-Os", "-ffreestanding", "-nostdlib", "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
SLOT_SIZE = 0xA000
SIZES = {"1.0.0": 20_000, "1.1.0": 22_000}
"""Bytes of an image's body: six pages each, so that an exchange is short."""

REGIONS = f"""\
[regions]
mcuboot = [0x00000, 0xd000]
log = [0x0d000, 0x1000]            # of the exchange
scratch = [0x0e000, 0x1000]
slot0 = [0x10000, {SLOT_SIZE:#x}]
slot1 = [{0x10000 + SLOT_SIZE:#x}, {SLOT_SIZE:#x}]
storage = [0xf0000, 0x8000]
settings = [0xf8000, 0x8000]
uicr = [0xff8000, 0x1000]
"""
LEFT_OUT = ("mcuboot = ", "counter = ", "anti-rollback", "signature = ", "components = ", "reserved")
BENCH_FILE = """\
[bench]
name = "virtual bench, a bootloader of its own"
plant = "bench.virtual.plant:VirtualBench"

[server]
host = "127.0.0.1"
port = 0
secure_port = 0
advertise = "coap://192.0.2.1:5683"
secure_advertise = "coaps://192.0.2.1:5684"

[packages]
http = { advertise = "http://192.0.2.1:80" }
https = { advertise = "https://192.0.2.1:443" }
"coap+tcp" = { advertise = "coap+tcp://192.0.2.1:5683" }

[instruments.psu]
driver = "keysight_e36312a"
address = "TCPIP::127.0.0.1::0::SOCKET"
identity = "KEYSIGHT TECHNOLOGIES,E36312A"

[boards.own]
type = "own"
serial = "960012349"
endpoint = "urn:imei:352656100123493"
console = "vboard://own"
flasher = { kind = "swd", uid = "VNRF960012349" }
supply = "psu:1"
images = { baseline = "1.0.0.bin", update = "1.1.0.bin", factory = { "0x0" = "bootloader.bin" } }
virtual = { bootloader = "binary" }
"""


def board_file() -> str:
    """virtual-nrf9160.toml with another flash map, and without what this bootloader does not know."""
    text, _, _ = (BOARDS / "virtual-nrf9160.toml").read_text("utf-8").partition("[components]")
    lines = [line for line in text.splitlines() if not line.startswith(LEFT_OUT)]
    lines = [
        'wiped = ["slot0", "slot1", "storage", "settings", "log", "scratch"]'
        if line.startswith("wiped")
        else line
        for line in lines
    ]
    renamed = [line.replace('"virtual-nrf9160"', '"own"') for line in lines]
    reserved = "reserved = 0x1000"
    place = renamed.index("swap = true")
    return "\n".join([*renamed[: place + 1], reserved, *renamed[place + 1 :], REGIONS])


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`compiled("NO_RESUME")` gives the binary with that definition."""
    if shutil.which(COMPILER) is None:
        assert not REQUIRED, f"BENCH_REQUIRE_ARM_GCC is set, and there is no {COMPILER}"
        pytest.skip(f"{COMPILER} is not installed (Debian: apt-get install gcc-arm-none-eabi)")
    folder = tmp_path_factory.mktemp("bootloaders")

    def build(*definitions: str) -> Path:
        out = folder / f"{'-'.join(('bootloader', *definitions))}.bin"
        if not out.exists():
            defined = [f"-D{name}" for name in (*definitions, f"SLOT_SIZE={SLOT_SIZE:#x}u")]
            elf = out.with_suffix(".elf")
            link = ["-T", "bootloader.ld", "-Wl,--build-id=none", "-lgcc"]
            command = [COMPILER, *FLAGS, *defined, "bootloader.c", "-o", str(elf), *link]
            subprocess.run(command, cwd=FIRMWARE, check=True)
            subprocess.run([OBJCOPY, "-O", "binary", str(elf), str(out)], check=True)
        return out

    return build


@pytest.fixture
def make_bench(tmp_path: Path, compiled: Callable[..., Path]) -> Callable[..., Bench]:
    """A bench file beside its board file and images; `change` is done to its text."""

    def make(*definitions: str, change: Callable[[str], str] = str) -> Bench:
        (tmp_path / "own.toml").write_text(board_file(), "utf-8")
        for version, size in SIZES.items():
            images.build("nrf9160", version, size=size, out=tmp_path / f"{version}.bin")
        shutil.copy(compiled(*definitions), tmp_path / "bootloader.bin")
        file = tmp_path / "bench.toml"
        file.write_text(change(BENCH_FILE), "utf-8")
        return checked_bench(file)

    return make
