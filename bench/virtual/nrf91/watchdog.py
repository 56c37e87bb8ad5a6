"""The chip's watchdog timer: once it is started nothing stops it but a reset that reaches it.

Source: nRF9160 product specification, WDT, and its register file (nrf9160.svd, WDT_NS). That a soft reset
leaves a Nordic watchdog running: mcu-tools/mcuboot#838; that a pin reset ends it: nRF52832 product
specification, "Reset behavior", by ruuvi/ruuvitag_fw#110. The same is assumed of the nRF9160.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.scheduler import Handle, Scheduler

TICKS = 32_768  # hertz
RELOAD = 0x6E524635
TASKS_START, RUNSTATUS, REQSTATUS, CRV, RREN, CONFIG, RR = 0x000, 0x400, 0x404, 0x504, 0x508, 0x50C, 0x600
RUN_WHILE_HALTED = 1 << 3  # CONFIG.HALT


class Watchdog:
    """`bite` is called when it has not been fed in time. Registers go by their offset."""

    def __init__(self, scheduler: Scheduler, bite: Callable[[], None]) -> None:
        self._scheduler, self._bite = scheduler, bite
        self._timer: Handle | None = None
        self._halted = False
        self.stop()

    def stop(self) -> None:
        """A reset that reaches it, or the supply's end."""
        self._cancel()
        self._running = False
        self._registers = {CRV: 0xFFFFFFFF, RREN: 1, CONFIG: 1}
        self._requested = 0
        self._left = 0.0

    def read(self, offset: int) -> int:
        if offset == RUNSTATUS:
            return int(self._running)
        if offset == REQSTATUS:
            return self._registers[RREN] & ~self._requested
        return self._registers.get(offset, 0)

    def write(self, offset: int, value: int) -> None:
        """Its configuration cannot be written while it runs."""
        if offset == TASKS_START:
            if value & 1 and not self._running:
                self._running = True
                self._reload()
        elif RR <= offset < RR + 32:
            if value == RELOAD:
                self._request(1 << (offset - RR) // 4)
        elif offset in (CRV, RREN, CONFIG) and not self._running:
            self._registers[offset] = value

    def core_halted(self, halted: bool) -> None:
        """A debugger has halted the core, or let it go on."""
        if halted == self._halted:
            return
        if self._running and not self._registers[CONFIG] & RUN_WHILE_HALTED:
            if halted:
                self._pause()
            else:
                self._start(self._left)
        self._halted = halted

    def _request(self, bit: int) -> None:
        enabled = self._registers[RREN]
        self._requested |= bit & enabled
        if self._running and self._requested == enabled:
            self._reload()

    def _reload(self) -> None:
        self._requested = 0
        self._left = (self._registers[CRV] + 1) / TICKS
        self._cancel()
        if not self._halted or self._registers[CONFIG] & RUN_WHILE_HALTED:
            self._start(self._left)

    def _start(self, seconds: float) -> None:
        self._timer = self._scheduler.after(seconds, self._bite)

    def _pause(self) -> None:
        if self._timer is not None:
            self._left = max(0.0, self._timer.time - self._scheduler.now)
        self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
