"""esptool's command line, in processes of its own, on the boards of a running virtual bench."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from esp32_rig import MAC, Bench, boot_image

from bench.virtual import protocol_vboard
from bench.virtual.esp32.chip import Esp32Chip
from bench.virtual.esp32.port_server import PortServer
from bench.virtual.uart import VirtualUart


@pytest.fixture
def url(paced_bench: Bench) -> Iterator[str]:
    server = PortServer(paced_bench.uart)
    yield server.start()
    server.close()


def test_command_line_sees_writes_and_reads_boards(paced_bench: Bench, url: str, tmp_path: Path) -> None:
    """Two boards at a time: pyserial's RFC 2217 client sleeps 50 ms for every setting it changes."""
    bench = paced_bench
    bench.chip.flash.write_now(0x1000, boot_image())
    uart = VirtualUart(bench.scheduler, "esp-b")
    other = Esp32Chip(bench.scheduler, bench.scheduler.rng("b"), uart, mac="24:0a:c4:00:00:0b")
    other.power(True)
    data = random.Random(5).randbytes(30000) + bytes(20000)
    other.flash.write_now(0x20000, data[::-1])
    server = PortServer(uart)
    (tmp_path / "in.bin").write_bytes(data)
    runs = [
        (url, "write-flash", "0x20000", str(tmp_path / "in.bin")),
        (server.start(), "read-flash", "0x20000", str(len(data)), str(tmp_path / "out.bin")),
    ]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "esptool", "--chip", "esp32", "--port", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for arguments in runs
    ]
    try:
        while any(process.poll() is None for process in processes):
            bench.clock.sleep(0.5, "esptool in other processes")
    finally:
        for process in processes:
            process.kill()
        server.close()
        protocol_vboard.PORTS.pop("esp-b", None)
    written, read = (process.communicate()[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], written + read
    assert MAC in written
    assert "Hash of data verified" in written
    assert bench.chip.flash.read(0x20000, len(data)) == data
    assert "24:0a:c4:00:00:0b" in read
    assert (tmp_path / "out.bin").read_bytes() == data[::-1]
    bench.clock.sleep(1.0, "boot after esptool's hard reset")
    assert bench.boots[-1:] == ["POWERON_RESET"]


def test_a_console_holding_the_port_keeps_a_second_host_out(paced_bench: Bench, url: str) -> None:
    console = paced_bench.console()
    with pytest.raises(OSError):
        serial.serial_for_url(url, timeout=1)
    assert console.is_open
    console.close()
