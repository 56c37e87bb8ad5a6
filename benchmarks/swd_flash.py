"""Program and verify 1 MiB over the virtual SWD, and erase it, beside a floor measured in the same run.

The floor is what pyOCD itself needs to move the same bytes to RAM and back, without any flash.
Run: python benchmarks/swd_flash.py
"""

from __future__ import annotations

import random
import time

from bench.clock import WallClock
from bench.dut.swd import SwdFlasher
from bench.timeline import Timeline
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.scheduler import Scheduler

SIZE = 1 << 20
RAM_CHUNK = 0x20000


def main() -> None:
    scheduler = Scheduler(1)
    chip = Nrf91Chip(scheduler, random.Random(1), device_id="1")
    PROBES["BENCHMARK"] = chip
    chip.power(True)
    clock = WallClock()
    flasher = SwdFlasher("dut", "BENCHMARK", Timeline(clock))
    data = random.Random(2).randbytes(SIZE)
    flasher.open()
    start = time.process_time()
    flasher.program(0, data)
    flash = time.process_time() - start
    simulated = scheduler.now
    start = time.process_time()
    flasher.erase(0, SIZE)
    erase = time.process_time() - start

    target = flasher._target()
    words = [int.from_bytes(data[i : i + 4], "little") for i in range(0, RAM_CHUNK, 4)]
    start = time.process_time()
    for _ in range(SIZE // RAM_CHUNK):
        target.write_memory_block32(0x20000000, words)
        assert target.read_memory_block32(0x20000000, len(words)) == words
    floor = time.process_time() - start
    flasher.close()
    clock.close()
    print(f"program + verify 1 MiB: {flash:.2f} s CPU, {simulated:.1f} s simulated")
    print(f"erase 1 MiB: {erase:.2f} s CPU; ratio {erase / floor:.2f}")
    print(f"same bytes to RAM and back: {floor:.2f} s CPU; ratio {flash / floor:.2f}")


if __name__ == "__main__":
    main()
