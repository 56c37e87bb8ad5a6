"""A machine with real flash under the virtual bootloaders, and nothing else around it."""

from __future__ import annotations

import random

from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.machine import Region
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler


class Machine:
    """What bootloaders see of a board; `lines` is what they printed."""

    def __init__(self, size: int, regions: dict[str, Region]) -> None:
        self.name = "machine"
        self.scheduler = Scheduler(3)
        self.rng = random.Random(3)
        self.cpu = Cpu(self.scheduler)
        self.flash = Flash(size, 0x1000, FlashTiming(0.0875, 43e-6), random.Random(4))
        self.regions = regions
        self.lines: list[str] = []

    def now(self) -> float:
        return self.scheduler.now

    def print(self, text: str) -> None:
        self.lines.append(text)

    def activity(self, name: str) -> None:
        pass

    def reset(self, reason: str) -> None:
        self.cpu.kill()

    def put(self, offset: int, data: bytes) -> None:
        for page in range(offset - offset % 0x1000, offset + len(data), 0x1000):
            self.flash.erase_now(page)
        self.flash.write_now(offset, data)

    def run(self, steps: Steps) -> object:
        """Run a process to its end; its value."""
        result: list[object] = []

        def wrapped() -> Steps:
            result.append((yield from steps))

        self.cpu.spawn(wrapped())
        while self.cpu.busy:
            self.scheduler.run_until(lambda: not self.cpu.busy, None)
        return result[0]

    def run_cut(self, steps: Steps, operation: int, share: float) -> bool:
        """Run until `share` of flash operation number `operation`, then cut. False: it ended before."""
        count = 0
        cut: list[float] = []

        def begun(kind: str, offset: int, length: int) -> None:
            nonlocal count
            if count == operation:
                words = -(-length // 4)
                busy = 0.0875 if kind == "erase" else words * 43e-6
                cut.append(self.now() + share * busy)
            count += 1

        self.flash.on_operation = begun
        self.cpu.spawn(steps)
        while self.cpu.busy:
            if cut and (self.scheduler.next_time() or 0) >= cut[0]:
                self.scheduler.run_to(cut[0])
                break
            due = self.scheduler.next_time()
            assert due is not None
            self.scheduler.run_to(due)
        self.flash.on_operation = lambda *_: None
        if not cut:
            return False
        self.cpu.kill()
        self.flash.interrupt(self.now())
        return True
