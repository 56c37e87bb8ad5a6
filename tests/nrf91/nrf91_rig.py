"""One virtual nRF9160 behind a virtual probe, with a firmware that counts its own ticks."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.dut.pauses import Pause
from bench.dut.swd import SwdFlasher
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.dap import Dap
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler

UID = "PROBE-1"
DEVICE_ID = "0123456789abcdef"
VECTORS = struct.pack("<16I", 0x20040000, 0x00000401, *[0x00000421] * 14)

DP_ABORT, DP_CTRL, DP_SELECT, DP_RDBUFF = 0x0, 0x4, 0x8, 0xC
CSW, TAR, DRW = 0x0, 0x4, 0xC
WORD, HALF, BYTE, INCREMENT, PACKED = 2, 1, 0, 0x10, 0x20
POWER_UP = 0x50000000


class Wire:
    """SWD transactions by register name."""

    def __init__(self, dap: Dap) -> None:
        self.dap = dap

    def power_up(self) -> None:
        self.dap.write_dp(DP_CTRL, POWER_UP)

    def select(self, port: int, bank: int = 0) -> None:
        self.dap.write_dp(DP_SELECT, port << 24 | bank)

    def read(self, port: int, register: int) -> int:
        self.select(port, register & 0xF0)
        return self.dap.read_ap(register & 0xC)

    def write(self, port: int, register: int, value: int) -> None:
        self.select(port, register & 0xF0)
        self.dap.write_ap(register & 0xC, value)

    def peek(self, address: int, size: int = WORD) -> int:
        self.write(0, CSW, 0x03000000 | size)
        self.write(0, TAR, address)
        return self.dap.read_ap(DRW)

    def poke(self, address: int, value: int, size: int = WORD) -> None:
        self.write(0, CSW, 0x03000000 | size)
        self.write(0, TAR, address)
        self.dap.write_ap(DRW, value)


@dataclass
class Board:
    scheduler: Scheduler
    clock: VirtualClock
    timeline: Timeline
    chip: Nrf91Chip
    wire: Wire
    boots: list[str] = field(default_factory=list)
    ticks: int = 0
    start: Callable[[], None] = lambda: None
    """What the firmware does first: it sets up core and peripherals, say."""

    def firmware(self, reason: str) -> Steps:
        self.boots.append(reason)
        self.start()
        while True:
            yield 0.01
            self.ticks += 1

    def load(self, address: int, data: bytes) -> None:
        """Put bytes into the array as the factory would."""
        self.chip.flash.view[address : address + len(data)] = data

    def flasher(self, uid: str = UID, pause: Pause = time.sleep) -> SwdFlasher:
        return SwdFlasher("dut", uid, self.timeline, pause=pause)

    def is_running(self) -> bool:
        before = self.ticks
        self.clock.sleep(0.1, "let the firmware tick")
        return self.ticks > before
