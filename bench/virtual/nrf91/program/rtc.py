"""RTC: a 24-bit counter on the low-frequency clock.

Source: nRF9160 product specification, "RTC - Real-time counter", and its register file (nrf9160.svd, RTC0).
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import WithEvents

START, STOP, CLEAR, TRIGOVRFLW = 0x000, 0x004, 0x008, 0x00C
TICK, OVRFLW, COMPARE, CHANNELS = 0x100, 0x104, 0x140, 4
EVTEN, EVTENSET, EVTENCLR = 0x340, 0x344, 0x348
COUNTER, PRESCALER, CC = 0x504, 0x508, 0x540
HERTZ = 32_768
SPAN = 1 << 24
_COMPARES = tuple(COMPARE + 4 * n for n in range(CHANNELS))
_CCS = tuple(CC + 4 * n for n in range(CHANNELS))


class Rtc(WithEvents):
    """`clocked_since` is when the low-frequency clock has begun to run, None while it does not."""

    def __init__(self, time: LocalTime, clocked_since: Callable[[], float | None]) -> None:
        super().__init__(time, {PRESCALER: 0, EVTEN: 0, **dict.fromkeys(_CCS, 0)}, (TICK, OVRFLW, *_COMPARES))
        self._clocked_since = clocked_since
        self._running = False
        self._count = 0  # ticks at `_since`
        self._since = 0.0

    @property
    def _rate(self) -> float:
        return HERTZ / (self._kept[PRESCALER] + 1)

    def settle(self) -> None:
        now, clocked = self._time.now(), self._clocked_since()
        if self._running and clocked is not None:
            begin = max(self._since, clocked)
            passed = int((now - begin) * self._rate + 1e-6) if now > begin else 0
            if passed:
                self._pass(passed)
                self._since = begin + passed / self._rate
        else:
            self._since = now
        super().settle()

    def _pass(self, ticks: int) -> None:
        for compare, register in zip(_COMPARES, _CCS, strict=True):
            if 0 < (self._kept[register] - self._count) % SPAN <= ticks:
                self.happen(compare)
        if self._count + ticks >= SPAN:
            self.happen(OVRFLW)
        self.happen(TICK)
        self._count = (self._count + ticks) % SPAN

    def next_moment(self) -> float | None:
        self.settle()
        clocked = self._clocked_since()
        if not self._running or clocked is None:
            return None
        wanted = [
            (self._kept[register] - self._count - 1) % SPAN + 1
            for compare, register in zip(_COMPARES, _CCS, strict=True)
            if self._is_enabled(compare)
        ]
        wanted += [SPAN - self._count] * self._is_enabled(OVRFLW) + [1] * self._is_enabled(TICK)
        return max(self._since, clocked) + min(wanted) / self._rate if wanted else None

    def read(self, offset: int) -> int:
        self.settle()
        if offset == COUNTER:
            return self._count
        return super().read(EVTEN if offset in (EVTENSET, EVTENCLR) else offset)

    def write(self, offset: int, value: int) -> None:
        self.settle()
        if offset in (START, STOP):
            self._running = offset == START
        elif offset in (CLEAR, TRIGOVRFLW):
            self._count = 0 if offset == CLEAR else 0xFFFFF0
        elif offset == EVTENSET:
            self._kept[EVTEN] |= value
        elif offset == EVTENCLR:
            self._kept[EVTEN] &= ~value
        elif offset in _CCS:
            self._kept[offset] = value % SPAN
        else:
            super().write(offset, value)
