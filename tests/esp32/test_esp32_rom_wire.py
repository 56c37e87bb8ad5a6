"""The ROM bootloader byte for byte, on the wire, against what the mask ROM of a real ESP32 answered."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest
from esp32_rig import Bench, Rom

from bench.virtual.esp32.chip import EN_RISE

RECORDING = Path(__file__).parent / "data" / "rom_exchanges.txt"
BLOCK = bytes(range(256)) * 4


def recorded() -> list[tuple[str, bytes, list[bytes]]]:
    exchanges: list[tuple[str, bytes, list[bytes]]] = []
    title, request = "", b""
    for line in RECORDING.read_text(encoding="ascii").splitlines():
        if line.startswith("# "):
            title = line[2:]
        elif line.startswith("> "):
            request = bytes.fromhex(line[2:].replace("*", BLOCK.hex()))
        elif line.startswith("< "):
            count, reply = line[2:].split()
            exchanges.append((title, request, int(count) * [bytes.fromhex(reply)]))
    return exchanges


def test_the_recording_is_answered_byte_for_byte_in_sequence(rom: Rom) -> None:
    exchanges = recorded()
    assert len(exchanges) == 26
    for title, request, replies in exchanges:
        assert rom.ask(request) == replies, title


def test_download_mode_is_announced_and_needs_gpio0_low_when_en_rises(bench: Bench) -> None:
    rom = Rom(bench)
    assert rom.greeting == (
        b"ets Jun  8 2016 00:22:57\r\n\r\n"
        b"rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))\r\n"
        b"waiting for download\r\n"
    )
    # EN released with both lines on: GPIO0 stays high for longer than EN needs to rise
    bench.uart.set_lines(False, True)
    bench.scheduler.elapse(0.1)
    bench.uart.set_lines(True, True)
    bench.scheduler.elapse(2 * EN_RISE)
    bench.uart.set_lines(True, False)
    assert b"boot:0x13 (SPI_FAST_FLASH_BOOT)" in bench.uart.read(4096, 0.01)


def test_both_lines_on_do_not_reset_a_running_chip(bench: Bench) -> None:
    rom = Rom(bench)
    rom.command(0x0A, 0x40001000)
    bench.uart.set_lines(True, True)
    bench.scheduler.elapse(0.1)
    assert rom.command(0x0A, 0x40001000)[4:8] == bytes.fromhex("831df000")


def test_missing_request_bytes_come_from_the_request_before(rom: Rom) -> None:
    rom.command(0x0A, 0x40001000)
    assert rom.ask(struct.pack("<BBHI", 0, 0x0A, 4, 0)) == [bytes.fromhex("010a0400831df00000000000")]


def test_a_failed_digest_keeps_the_old_digest_text(rom: Rom) -> None:
    good = rom.command(0x13, 0, 4096, 0, 0)
    assert good[8:40] == hashlib.md5(b"\xff" * 4096).hexdigest().encode()
    bad = rom.command(0x13, 0x400000, 4096, 0, 0)
    assert bad[8:40] == good[8:40]
    assert bad[40:42] == b"\x01\x09"


def test_writing_spends_the_flash_chips_time(bench: Bench, rom: Rom) -> None:
    rom.command(0x0D, 0, 0)
    before = bench.scheduler.now
    rom.send(struct.pack("<BBHIIIII", 0, 2, 16, 0, 4 * 4096, 16, 1024, 0))
    bench.uart.read(1, 5.0)
    assert bench.scheduler.now - before == pytest.approx(4 * 45e-3, rel=0.05)


def test_uploaded_ram_reads_back_and_a_jump_into_nothing_ends_in_the_watchdog(bench: Bench, rom: Rom) -> None:
    check = 0xEF
    rom.command(0x05, 1024, 1, 1024, 0x3FFE8000)
    rom.command(0x07, 1024, 0, 0, 0, data=BLOCK, check=check)
    assert rom.command(0x0A, 0x3FFE8004)[4:8] == b"\4\5\6\7"
    rom.ask(struct.pack("<BBHIII", 0, 6, 8, 0, 0, 0x40090000), 0.1)
    bench.scheduler.elapse(1.0)
    assert b"waiting for download" in bench.uart.read(4096, 0.0)


def test_wrong_baud_rate_is_garbage_both_ways(bench: Bench, rom: Rom) -> None:
    request = struct.pack("<BBHII", 0, 0x0A, 4, 0, 0x40001000)
    bench.uart.host_baud = 230400
    assert rom.ask(request) == []
    bench.uart.host_baud = 115200
    rom.send(request)
    bench.uart.host_baud = 230400
    bench.scheduler.elapse(0.1)
    garbage = bench.uart.read(100, 0.0)
    assert garbage
    assert bytes.fromhex("831df000") not in garbage
