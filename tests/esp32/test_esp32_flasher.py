"""The serial flasher (unmodified esptool) against the virtual ESP32: the whole life of a flash."""

from __future__ import annotations

import contextlib
import io
import random
import re
import time
import zlib

import esptool
import pytest
from esp32_rig import MAC, PORT, Bench, boot_image, make_bench
from esptool import cmds
from esptool.targets import CHIP_DEFS

from bench.dut import serial_port
from bench.dut.console import Console
from bench.dut.rom_serial import URL_RESET_SEQUENCE, RomSerialFlasher
from bench.errors import ConfigError, ConsoleError, FlashError, ProbeError
from bench.virtual import protocol_vboard

COMPRESSIBLE = b"firmware" * 16384
RANDOM = random.Random(3).randbytes(256 * 1024)


@pytest.mark.parametrize("data", [COMPRESSIBLE, RANDOM], ids=["compressed", "plain"])
def test_program_read_verify_erase(bench: Bench, data: bytes) -> None:
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x10000, data)
    assert bench.chip.flash.read(0x10000, len(data)) == data
    assert flasher.read(0x10000, len(data)) == data
    flasher.verify(0x10000, data)
    assert bench.chip.flash.is_erased(0, 0x10000)
    flasher.erase(0x11000, 10)
    assert bench.chip.flash.is_erased(0x11000, 0x1000)
    assert bench.chip.flash.read(0x12000, 0x1000) == data[0x2000:0x3000]
    with pytest.raises(FlashError, match="first at 0x11000"):
        flasher.verify(0x10000, data)
    flasher.close()


def test_pauses_of_esptool_are_the_bench_s(bench: Bench) -> None:
    pauses: list[float] = []
    flasher = bench.flasher(pause=pauses.append, baud=460800)
    flasher.open()
    assert pauses[:2] == [0.1, 0.05]  # EN low, then GPIO0 low
    assert pauses[-1] == 0.05  # the change of the baud rate
    pauses.clear()
    flasher.reset()
    assert pauses == [0.1]
    for module in (esptool.loader, esptool.reset, cmds):
        assert module.time is time, "esptool's own clock is not given back"


def test_a_hash_tells_contents_apart_without_reading_them_over_the_wire(bench: Bench) -> None:
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x10000, RANDOM)
    before, begin = flasher.digest(0x10000, len(RANDOM)), bench.clock.now()
    assert flasher.holds(0x10000, RANDOM)
    assert flasher.digest(0x10000, len(RANDOM)) == before
    assert bench.clock.now() - begin < len(RANDOM) * 10 / flasher.baud / 10
    bench.chip.flash.view[0x10000 + 4711] ^= 0x01
    assert not flasher.holds(0x10000, RANDOM)
    assert flasher.digest(0x10000, len(RANDOM)) != before
    flasher.close()


def test_program_leaves_the_rest_of_the_sector_alone(bench: Bench) -> None:
    bench.chip.flash.write_now(0x8000, bytes(0x3000))
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x8FF0, b"across two sectors" * 2)
    flasher.close()
    expected = bytearray(0x3000)
    expected[0xFF0 : 0xFF0 + 36] = b"across two sectors" * 2
    assert bench.chip.flash.read(0x8000, 0x3000) == bytes(expected)


def test_erase_chip(bench: Bench) -> None:
    bench.chip.flash.write_now(0x3FF000, b"last sector")
    flasher = bench.flasher()
    flasher.open()
    flasher.erase_chip()
    flasher.close()
    assert bench.chip.flash.is_erased(0, bench.chip.flash.size)


def test_identity_is_the_chips_own(bench: Bench) -> None:
    flasher = bench.flasher()
    flasher.open()
    assert flasher.identity() == {
        "part": "ESP32-D0WDQ6 (revision v1.0)",
        "revision": "v1.0",
        "mac": MAC,
        "flash_id": "ef4016",
        "flash_size": "4MB",
        "security": "no Secure Boot, no flash encryption",
        "secure_version": "0",
        "trusted_key": "",
    }
    flasher.close()


def test_reset_releases_the_port_and_boots_what_was_flashed(bench: Bench) -> None:
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x1000, boot_image())
    flasher.reset()
    assert bench.boots == []
    console = bench.console()
    bench.scheduler.elapse(0.5)
    log = console.read(4096)
    console.close()
    assert bench.boots == ["POWERON_RESET"]
    assert log.startswith(
        b"ets Jun  8 2016 00:22:57\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"
    )
    assert b"load:0x40080000,len:24\r\n" in log
    assert log.endswith(b"entry 0x40080000\r\napplication\r\n")
    assert flasher.read(0x1000, 1) == b"\xe9"  # an operation after reset connects again
    flasher.close()


def test_close_without_reset_does_not_leave_the_chip_in_its_bootloader(bench: Bench) -> None:
    bench.chip.flash.write_now(0x1000, boot_image())
    flasher = bench.flasher()
    flasher.open()
    flasher.close()
    flasher.close()
    bench.scheduler.elapse(0.5)
    assert bench.boots == ["POWERON_RESET"]


def test_software_reset_boots_with_its_reason(bench: Bench) -> None:
    bench.chip.flash.write_now(0x1000, boot_image())
    bench.scheduler.elapse(0.5)
    console = bench.console()
    bench.chip.reset("SW_CPU_RESET")
    bench.scheduler.elapse(0.5)
    assert bench.boots == ["POWERON_RESET", "SW_CPU_RESET"]
    assert b"rst:0xc (SW_CPU_RESET),boot:0x13" in console.read(4096)
    console.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [(b"\x00", b"invalid header: 0x20020100"), (boot_image()[:-1] + b"\x00", b"csum err:0x00!=0x")],
    ids=["no image", "bad checksum"],
)
def test_without_a_bootloader_the_rom_complains_and_restarts(
    bench: Bench, damage: bytes, message: bytes
) -> None:
    image = bytearray(boot_image())
    image[: len(damage)] = damage
    bench.chip.flash.write_now(0x1000, bytes(image))
    console = bench.console()
    bench.scheduler.elapse(1.0)
    log = console.read(65536)
    console.close()
    assert bench.boots == []
    assert 2 <= log.count(b"rst:0x10 (RTCWDT_RTC_RESET)") <= 4
    assert message in log


def test_power_cut_while_writing_leaves_a_torn_flash_and_the_next_try_heals_it(bench: Bench) -> None:
    flasher = bench.flasher()
    flasher.open()
    bench.scheduler.after(3.0, lambda: bench.chip.power(False))
    with pytest.raises(FlashError, match=r"esp: program 262144 bytes at 0x10000 on vboard://esp failed"):
        flasher.program(0x10000, RANDOM)
    written = bench.chip.flash.read(0x10000, len(RANDOM))
    good = next(i for i in range(len(RANDOM)) if written[i] != RANDOM[i])
    assert 4096 < good < len(RANDOM) - 4096
    assert bench.chip.flash.is_erased(0x10000 + (good | 0xFFF) + 1, 4096)
    bench.chip.power(True)
    flasher.program(0x10000, RANDOM)
    assert bench.chip.flash.read(0x10000, len(RANDOM)) == RANDOM
    flasher.close()


def test_no_power_is_a_probe_error_and_releases_the_port(bench: Bench) -> None:
    bench.chip.power(False)
    flasher = bench.flasher()
    with pytest.raises(ProbeError, match="esp: connect on vboard://esp failed: Failed to connect to ESP32"):
        flasher.open()
    assert not bench.uart.opened


def test_wrong_board_is_refused_and_keeps_running(bench: Bench) -> None:
    bench.chip.flash.write_now(0x1000, boot_image())
    flasher = RomSerialFlasher("esp", PORT, bench.timeline, mac="24:0a:c4:00:00:01")
    with pytest.raises(ProbeError, match=f"has MAC {MAC}, not 24:0a:c4:00:00:01"):
        flasher.open()
    assert not bench.uart.opened
    bench.scheduler.elapse(0.5)
    assert bench.boots


def test_wrong_chip_is_refused_by_name(bench: Bench) -> None:
    flasher = RomSerialFlasher("esp", PORT, bench.timeline, chip="esp8266")
    with pytest.raises(ProbeError, match="vboard://esp has ESP32, not ESP8266"):
        flasher.open()
    with pytest.raises(ConfigError, match="esp99"):
        RomSerialFlasher("esp", PORT, bench.timeline, chip="esp99")


def test_missing_port_and_busy_port(bench: Bench) -> None:
    flasher = RomSerialFlasher("esp", "vboard://nobody", bench.timeline)
    with pytest.raises(ConsoleError, match=r"vboard://nobody.*no such virtual board"):
        flasher.open()
    console = bench.console()
    with pytest.raises(ConsoleError, match=r"vboard://esp.*busy"):
        bench.flasher().open()
    assert console.is_open
    console.close()
    with pytest.raises(ConsoleError, match="/dev/nonexistent-tty"):
        RomSerialFlasher("esp", "/dev/nonexistent-tty", bench.timeline).open()


def test_bootloader_of_another_chip_is_refused_before_writing(bench: Bench) -> None:
    foreign = bytearray(boot_image())
    foreign[12] = 5  # chip id of the ESP32-C3
    flasher = bench.flasher()
    flasher.open()
    with pytest.raises(FlashError, match="not contain an ESP32 image"):
        flasher.program(0x1000, bytes(foreign))
    flasher.close()
    assert bench.chip.flash.is_erased(0x1000, 0x1000)


def test_too_large_and_unopened_are_named(bench: Bench) -> None:
    flasher = bench.flasher()
    with pytest.raises(FlashError, match="before open"):
        flasher.read(0, 16)
    flasher.open()
    with pytest.raises(FlashError, match="will not fit"):
        flasher.program(0x3FF000, RANDOM)
    flasher.close()


def test_esptool_speaks_on_the_timeline_only_and_without_wall_time(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    flasher = bench.flasher()
    flasher.open()
    flasher.program(0x10000, COMPRESSIBLE)
    flasher.read(0x10000, 4096)
    flasher.erase(0, 4096)
    flasher.close()
    text = [entry.text for entry in bench.timeline.since(source="esp.rom", kind="flash")]
    assert "Hash of data verified." in text
    packed = len(zlib.compress(COMPRESSIBLE, 9))
    assert f"Wrote {len(COMPRESSIBLE)} bytes ({packed} compressed) at 0x00010000." in text
    assert not [line for line in text if re.search(r"\d ?s(ec|\b)|kbit", line)]
    assert capsys.readouterr() == ("", "")


def test_same_seed_same_timeline() -> None:
    def run() -> list[str]:
        bench = make_bench()
        bench.chip.power(True)
        flasher = bench.flasher()
        flasher.open()
        flasher.program(0x10000, RANDOM[:65536])
        flasher.close()
        bench.clock.close()
        return [entry.as_json() for entry in bench.timeline]

    assert run() == run()


def test_rom_alone_writes_and_digests(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """esptool's --no-stub."""
    monkeypatch.setitem(esptool.loader.cfg, "custom_reset_sequence", URL_RESET_SEQUENCE)
    with contextlib.redirect_stdout(io.StringIO()):
        loader = CHIP_DEFS["esp32"](PORT)
        loader.connect(detecting=True)
        cmds.attach_flash(loader)
        loader.change_baud(921600)
        cmds.write_flash(loader, [(0x20000, RANDOM[:20000])], no_progress=True)  # checks the MD5 itself
        cmds.write_flash(loader, [(0x40000, COMPRESSIBLE)], compress=True, no_progress=True)
        assert cmds.read_flash(loader, 0x20000, 1000, no_progress=True) == RANDOM[:1000]
        loader._port.close()
    assert bench.chip.flash.read(0x20000, 20000) == RANDOM[:20000]
    assert bench.chip.flash.read(0x40000, len(COMPRESSIBLE)) == COMPRESSIBLE


def test_detection_by_esptool_itself(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """`detect_chip` asks with an opcode the ESP32's ROM does not know, and must recover."""
    monkeypatch.setitem(esptool.loader.cfg, "custom_reset_sequence", URL_RESET_SEQUENCE)
    with contextlib.redirect_stdout(io.StringIO()):
        loader = esptool.detect_chip(PORT)
        loader._port.close()
    assert loader.CHIP_NAME == "ESP32"


@pytest.mark.parametrize("raises", [True, False], ids=["linux", "windows"])
def test_each_flash_access_boots_the_board_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, raises: bool
) -> None:
    """The console's port is opened once: neither opening it nor handing it over pulls EN low."""
    monkeypatch.setattr(protocol_vboard, "RAISES_ON_OPENING", raises)
    monkeypatch.setattr(serial_port, "SET_BY_OPENING", not raises)
    bench.chip.flash.write_now(0x1000, boot_image())
    bench.scheduler.elapse(0.5)
    assert bench.boots == ["POWERON_RESET"]
    console = Console("esp", PORT, bench.clock, bench.timeline)
    console.open()
    bench.clock.sleep(0.5, "a boot, if opening reset the board")
    assert bench.boots == ["POWERON_RESET"]
    flasher = bench.flasher(lender=console, baud=460800)
    for access in (1, 2):
        mark = console.mark()
        flasher.open()
        assert flasher.read(0x1000, 1) == b"\xe9"
        flasher.close()
        console.expect("^application$", timeout=1, since=mark)
        bench.clock.sleep(0.5, "another boot")
        assert bench.boots == ["POWERON_RESET"] * (1 + access)
        printed = [line.text for line in console.lines(mark)]
        assert printed[0] == "ets Jun  8 2016 00:22:57", "the first line was lost, or read at the wrong rate"
        assert sum("boot:0x" in line for line in printed) == 1
    console.close()
    bench.clock.sleep(0.5, "a boot, if closing reset the board")
    assert len(bench.boots) == 3


def test_the_chip_is_let_go_at_the_rate_of_its_rom(bench: Bench) -> None:
    """Its first line comes within milliseconds: too soon for the console to set the rate."""
    rates: list[int] = []
    drive = bench.uart.on_lines

    def watch(dtr: bool, rts: bool) -> None:
        if rts and not dtr:
            rates.append(bench.uart.host_baud)
        drive(dtr, rts)

    bench.uart.on_lines = watch
    flasher = bench.flasher(baud=460800)
    flasher.open()
    assert bench.uart.host_baud == 460800
    flasher.close()
    assert rates == [115200, 115200]  # into the boot loader, and out of it


def test_reset_lets_the_console_hear_the_start_and_a_later_operation_borrows_again(bench: Bench) -> None:
    console = Console("esp", PORT, bench.clock, bench.timeline)
    console.open()
    flasher = bench.flasher(lender=console)
    flasher.open()
    flasher.program(0x1000, boot_image())
    flasher.reset()
    assert console.expect("^application$", timeout=1)
    assert flasher.read(0x1000, 1) == b"\xe9"
    flasher.close()
    console.close()


def test_a_chip_that_does_not_answer_gives_the_console_its_port_back(bench: Bench) -> None:
    """esptool closes the port when it gives up."""
    console = Console("esp", PORT, bench.clock, bench.timeline)
    console.open()
    bench.chip.power(False)
    with pytest.raises(ProbeError, match="Failed to connect"):
        bench.flasher(lender=console).open()
    bench.chip.flash.write_now(0x1000, boot_image())
    bench.chip.power(True)
    assert console.expect("^application$", timeout=1)
    console.close()


def test_a_port_that_is_missing_is_not_lent(bench: Bench) -> None:
    console = Console("esp", "vboard://nobody", bench.clock, bench.timeline)
    with pytest.raises(ConsoleError, match="cannot open console port vboard://nobody"):
        bench.flasher(lender=console).open()
