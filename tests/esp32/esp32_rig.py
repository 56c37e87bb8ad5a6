"""One virtual ESP32 on a scheduler of its own, reachable as vboard://esp."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import serial

from bench.dut.rom_serial import RomSerialFlasher
from bench.timeline import Timeline
from bench.virtual import protocol_vboard
from bench.virtual.clock import VirtualClock
from bench.virtual.esp32.chip import EN_RISE, Esp32Chip
from bench.virtual.esp32.slip import SlipDecoder, encode
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler
from bench.virtual.uart import VirtualUart

MAC = "24:0a:c4:12:34:56"
PORT = "vboard://esp"


def boot_image(segment: bytes = b"second-stage bootloader!") -> bytes:
    """A well-formed ESP32 image with one RAM segment, as far as the ROM looks at it."""
    image = bytes((0xE9, 1, 2, 0x20)) + (0x40080000).to_bytes(4, "little")
    image += bytes((0xEE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    image += (0x40080000).to_bytes(4, "little") + len(segment).to_bytes(4, "little") + segment
    checksum = 0xEF
    for byte in segment:
        checksum ^= byte
    return image + bytes(15 - len(image) % 16) + bytes([checksum])


@dataclass
class Bench:
    scheduler: Scheduler
    clock: VirtualClock
    timeline: Timeline
    uart: VirtualUart
    chip: Esp32Chip
    boots: list[str] = field(default_factory=list)

    def flasher(self, **options: object) -> RomSerialFlasher:
        return RomSerialFlasher("esp", PORT, self.timeline, mac=MAC, **options)  # type: ignore[arg-type]

    def console(self) -> serial.SerialBase:
        return serial.serial_for_url(PORT, 115200, timeout=0.5)


def make_bench(pace: float | None = None, revision: int = 100) -> Bench:
    scheduler = Scheduler(7)
    clock = VirtualClock(scheduler, pace)
    uart = VirtualUart(scheduler, "esp")
    chip = Esp32Chip(scheduler, scheduler.rng("chip"), uart, mac=MAC, revision=revision)
    bench = Bench(scheduler, clock, Timeline(clock), uart, chip)

    def boot(reason: str) -> Steps:
        bench.boots.append(reason)
        uart.transmit(b"application\r\n")
        yield 3600.0

    chip.boot = boot
    protocol_vboard.PORTS["esp"] = uart
    if "bench.virtual" not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append("bench.virtual")
    return bench


class Rom:
    """The chip in download mode, seen by a host that sends packets and collects what comes back."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        bench.uart.open()
        bench.uart.set_lines(False, True)
        bench.scheduler.elapse(0.1)
        bench.uart.set_lines(True, False)
        bench.scheduler.elapse(2 * EN_RISE)
        bench.uart.set_lines(False, False)
        self.greeting = bench.uart.read(4096, 0.01)

    def send(self, packet: bytes) -> None:
        self.bench.uart.write(encode(packet))

    def ask(self, packet: bytes, patience: float = 2.0) -> list[bytes]:
        self.send(packet)
        self.bench.scheduler.elapse(patience)
        return SlipDecoder().feed(self.bench.uart.read(1 << 20, 0.0))

    def command(self, opcode: int, *words: int, data: bytes = b"", check: int = 0) -> bytes:
        body = struct.pack(f"<{len(words)}I", *words) + data
        (reply,) = set(self.ask(struct.pack("<BBHI", 0, opcode, len(body), check) + body))
        return reply
