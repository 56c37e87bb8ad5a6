"""The chip's watchdog, while the firmware that started it no longer feeds it.

It is not stopped by a soft reset (mcu-tools/mcuboot#838; ruuvi/ruuvitag_fw#110, from the nRF52832 product
specification), cannot be switched off, and counts while a flash algorithm runs: whoever has flash erased for
longer than its period must feed it. Registers: nRF9160 product specification, WDT; nrf9160.svd in pyOCD;
nrfx, nrf9160_bitfields.h and nrf9120_bitfields.h (nRF91x1).
"""

from __future__ import annotations

from typing import Any

WDT = 0x50018000
RUNSTATUS, CRV, RR = 0x400, 0x504, 0x600
CHANNELS = 8
RELOAD = 0x6E524635
TICKS = 32_768.0  # hertz


class Watchdog:
    """That of one chip, by its pyOCD target. The core is secure, as after a reset, and so is the watchdog."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.period = self._period()

    def _period(self) -> float | None:
        """Seconds from a feed to the bite; None where it does not run."""
        if not self._target.read32(WDT + RUNSTATUS) & 1:
            return None
        return float((self._target.read32(WDT + CRV) + 1) / TICKS)

    def feed(self) -> None:
        if self.period is not None:
            self._target.write_memory_block32(WDT + RR, [RELOAD] * CHANNELS)

    def most(self, seconds: float) -> int | None:
        """How many works of so many seconds each fit between two feeds, at least one; None: any number."""
        return None if self.period is None else max(1, int(self.period / 2 / seconds))
