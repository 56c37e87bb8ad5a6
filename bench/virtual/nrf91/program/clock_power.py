"""CLOCK and POWER, which share their addresses: oscillators, reset reasons, retained registers.

Source: nRF9160 product specification, "CLOCK - Clock control" and "POWER - Power control", and its register
file (nrf9160.svd). How long the oscillators take to start is recalled, unchecked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import WithEvents

HFCLKSTART, HFCLKSTOP, LFCLKSTART, LFCLKSTOP = 0x000, 0x004, 0x008, 0x00C
CONSTLAT, LOWPWR = 0x078, 0x07C
HFCLKSTARTED, LFCLKSTARTED, POFWARN, SLEEPENTER, SLEEPEXIT = 0x100, 0x104, 0x108, 0x114, 0x118
INTPEND, RESETREAS, POWERSTATUS = 0x30C, 0x400, 0x440
HFCLKRUN, HFCLKSTAT, LFCLKRUN, LFCLKSTAT, LFCLKSRCCOPY, LFCLKSRC = 0x408, 0x40C, 0x414, 0x418, 0x41C, 0x518
GPREGRET = (0x51C, 0x520)
LTEMODEM_STARTN, LTEMODEM_FORCEOFF = 0x610, 0x614

RUNNING = 1 << 16
CRYSTAL = 2  # LFCLKSRC
HFXO = 1  # HFCLKSTAT.SRC
HF_START = 0.0008
LF_START = {CRYSTAL: 0.25}
LF_RC_START = 0.0006
"""Seconds."""


class ResetReasons(Protocol):
    def read_peripheral(self, address: int) -> int: ...
    def write_peripheral(self, address: int, value: int) -> None: ...


class ClockPower(WithEvents):
    """`retained` are the two words that only the supply's end clears; `resetreas` is an address."""

    def __init__(self, time: LocalTime, chip: ResetReasons, resetreas: int, retained: dict[int, int]) -> None:
        super().__init__(
            time,
            {LFCLKSRC: 1, LTEMODEM_STARTN: 1, LTEMODEM_FORCEOFF: 0, POWERSTATUS: 0},
            (HFCLKSTARTED, LFCLKSTARTED, POFWARN, SLEEPENTER, SLEEPEXIT),
        )
        self._chip, self._resetreas, self._retained = chip, resetreas, retained
        self._hf: float | None = None  # since when each runs
        self._lf: float | None = None
        self._lf_source = 1
        self._reads: dict[int, Callable[[], int]] = {
            HFCLKRUN: lambda: int(self._hf is not None),
            HFCLKSTAT: lambda: self._state(self._hf, HFXO),
            LFCLKRUN: lambda: int(self._lf is not None),
            LFCLKSTAT: lambda: self._state(self._lf, self._lf_source),
            LFCLKSRCCOPY: lambda: self._lf_source,
            RESETREAS: lambda: self._chip.read_peripheral(self._resetreas),
        }

    def clocked_since(self) -> float | None:
        """When the low-frequency clock has begun, or will, to run; None while it is off."""
        return self._lf

    def _state(self, since: float | None, source: int) -> int:
        return RUNNING | source if since is not None and since <= self._time.now() else 0

    def read(self, offset: int) -> int:
        if offset in GPREGRET:
            return self._retained.get(offset, 0)
        found = self._reads.get(offset)
        if found is None:
            return super().read(offset)
        if offset in (HFCLKSTAT, LFCLKSTAT):  # polled for as the events are
            self._time.wait_until((self._hf if offset == HFCLKSTAT else self._lf) or 0.0)
        return found()

    def write(self, offset: int, value: int) -> None:
        now = self._time.now()
        if offset == HFCLKSTART:
            self._hf = self._hf or now + HF_START
            self.happen(HFCLKSTARTED, self._hf)
        elif offset == LFCLKSTART:
            self._lf_source = self._kept[LFCLKSRC] & 3
            self._lf = self._lf or now + LF_START.get(self._lf_source, LF_RC_START)
            self.happen(LFCLKSTARTED, self._lf)
        elif offset == HFCLKSTOP:
            self._hf = None
            self.forget(HFCLKSTARTED)
        elif offset == LFCLKSTOP:
            self._lf = None
            self.forget(LFCLKSTARTED)
        elif offset == RESETREAS:
            self._chip.write_peripheral(self._resetreas, value)
        elif offset in GPREGRET:
            self._retained[offset] = value & 0xFF
        elif offset not in (CONSTLAT, LOWPWR):
            super().write(offset, value)
