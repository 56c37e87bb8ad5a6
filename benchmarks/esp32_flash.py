"""How long 1 MiB takes through esptool onto the virtual ESP32, against a floor.

The floor is the work that no model can save: the same bytes through esptool's own commands into a
port that swallows them, for writing, and through its SLIP decoder for reading.

Run: python benchmarks/esp32_flash.py
"""

from __future__ import annotations

import io
import random
import struct
import time
import zlib

import serial
from esptool.loader import ESPLoader, slip_reader

from bench.dut.rom_serial import RomSerialFlasher
from bench.timeline import Timeline
from bench.virtual import protocol_vboard
from bench.virtual.clock import VirtualClock
from bench.virtual.esp32.chip import Esp32Chip
from bench.virtual.esp32.slip import encode
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart

SIZE = 1 << 20
WRITE_BLOCK, READ_BLOCK = 0x4000, 0x1000
MAC = "24:0a:c4:12:34:56"


class _Replay(io.BytesIO):
    """Bytes as a port, for esptool's decoder."""

    def inWaiting(self) -> int:  # noqa: N802 - pyserial's name
        return READ_BLOCK


class _Sink:
    """A port that takes everything and never answers."""

    timeout = write_timeout = None
    baudrate = 115200

    def write(self, data: bytes) -> int:
        return len(data)


def write_floor(data: bytes) -> float:
    loader = ESPLoader(_Sink())
    start = time.perf_counter()
    zlib.compress(data, 9)
    for at in range(0, len(data), WRITE_BLOCK):
        block = data[at : at + WRITE_BLOCK]
        body = struct.pack("<IIII", len(block), at // WRITE_BLOCK, 0, 0) + block
        loader.command(0x03, body, ESPLoader.checksum(block), wait_response=False)
    return time.perf_counter() - start


def read_floor(data: bytes) -> float:
    frames = b"".join(encode(data[at : at + READ_BLOCK]) for at in range(0, len(data), READ_BLOCK))
    reader = slip_reader(_Replay(frames), lambda message: None)
    start = time.perf_counter()
    for _ in range(0, len(data), READ_BLOCK):
        next(reader)
    return time.perf_counter() - start


def main() -> None:
    scheduler = Scheduler(1)
    clock = VirtualClock(scheduler)
    uart = VirtualUart(scheduler, "esp")
    chip = Esp32Chip(scheduler, scheduler.rng("chip"), uart, mac=MAC)
    protocol_vboard.PORTS["esp"] = uart
    serial.protocol_handler_packages.append("bench.virtual")
    chip.power(True)
    data = random.Random(1).randbytes(SIZE)
    flasher = RomSerialFlasher("esp", "vboard://esp", Timeline(clock), mac=MAC)

    start = time.perf_counter()
    flasher.open()
    print(f"connect, stub, identity : {time.perf_counter() - start:6.2f} s wall")

    for title, floor, action in (
        ("write and verify 1 MiB", write_floor(data), lambda: flasher.program(0x10000, data)),
        ("read back 1 MiB", read_floor(data), lambda: flasher.read(0x10000, SIZE)),
    ):
        start, simulated = time.perf_counter(), scheduler.now
        action()
        wall = time.perf_counter() - start
        print(
            f"{title:24}: {wall:6.2f} s wall = {wall / floor:4.1f} x floor ({floor:.2f} s); "
            f"{scheduler.now - simulated:6.1f} s simulated = {(scheduler.now - simulated) / wall:4.0f} x wall"
        )
    flasher.close()
    clock.close()


if __name__ == "__main__":
    main()
