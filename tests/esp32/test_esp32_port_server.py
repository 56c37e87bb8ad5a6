"""esptool's command line, in a process of its own, on a board of a running virtual bench."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from conftest import MAC, Bench, boot_image

from bench.virtual.esp32.port_server import PortServer


@pytest.fixture
def url(paced_bench: Bench) -> Iterator[str]:
    server = PortServer(paced_bench.uart)
    yield server.start()
    server.close()


def esptool(bench: Bench, url: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "esptool", "--chip", "esp32", "--port", url, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while process.poll() is None:
            bench.clock.sleep(0.5, "esptool in another process")
    finally:
        process.kill()
    output = process.communicate()[0]
    assert process.returncode == 0, output
    return output


def test_command_line_reads_ids_then_writes_and_reads_flash(
    paced_bench: Bench, url: str, tmp_path: Path
) -> None:
    bench = paced_bench
    bench.chip.flash.write_now(0x1000, boot_image())
    output = esptool(bench, url, "flash-id")
    assert MAC in output
    assert "4MB" in output
    bench.clock.sleep(1.0, "boot after esptool's hard reset")
    assert bench.boots[-1:] == ["POWERON_RESET"]

    data = random.Random(5).randbytes(30000) + bytes(20000)
    (tmp_path / "in.bin").write_bytes(data)
    output = esptool(bench, url, "write-flash", "0x20000", str(tmp_path / "in.bin"))
    assert "Hash of data verified" in output
    assert bench.chip.flash.read(0x20000, len(data)) == data
    esptool(bench, url, "read-flash", "0x20000", str(len(data)), str(tmp_path / "out.bin"))
    assert (tmp_path / "out.bin").read_bytes() == data


def test_a_console_holding_the_port_keeps_a_second_host_out(paced_bench: Bench, url: str) -> None:
    console = paced_bench.console()
    with pytest.raises(OSError):
        serial.serial_for_url(url, timeout=1)
    assert console.is_open
    console.close()
