"""Everything on the chip's peripheral bus that a bootloader's registers reach, by its page.

Source: nrf9160.svd (base addresses, offsets, interrupt numbers: those of the pages), nRF9160 product
specification (what they do) and errata (the nameless registers that start-up code writes).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.nvmc import ERASE_ENABLE
from bench.virtual.nrf91.program.clock_power import ClockPower
from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import INTEN, INTENCLR, INTENSET, NotModelled, Peripheral
from bench.virtual.nrf91.program.port import Port
from bench.virtual.nrf91.program.rtc import Rtc
from bench.virtual.nrf91.program.uarte import Uarte

if TYPE_CHECKING:
    from bench.virtual.nrf91.chip import Nrf91Chip

CLOCK, PORT = 0x40005000, 0x40842500
UARTES, RTCS = (0x40008000, 0x40009000, 0x4000A000, 0x4000B000), (0x40014000, 0x40015000)
REGULATORS, NVMC, VMC = 0x40004000, 0x40039000, 0x4003A000
LINES = 64
"""Interrupt numbers below this are those of pages; above are none that is modelled."""

EXTPOFCON, DCDCEN = 0x514, 0x578
LDO_AT_START, XOSC_AT_START, RAM_AT_WAKE = 0xA38, (0x70C, 0x710), 0xEE4
"""Without names: workarounds for errata 14, 31 and 20, in Nordic's system_nrf9160.c."""
READY, READYNEXT, CONFIG, ICACHECNF, IHIT, IMISS, CONFIGNS = 0x400, 0x408, 0x504, 0x540, 0x548, 0x54C, 0x584
RAM_POWER = {
    0x600 + 0x10 * n + offset: value for n in range(8) for offset, value in ((0, 0xFFFF), (4, 0), (8, 0))
}
WDT_REGISTERS = (
    0x000, 0x100, INTENSET, INTENCLR, 0x400, 0x404, 0x504, 0x508, 0x50C, *range(0x600, 0x620, 4),
)  # fmt: skip
SPU_KEPT = {
    0x100: 0, 0x104: 0, 0x108: 0, INTEN: 0, INTENSET: 0, INTENCLR: 0, 0x400: 1, 0x440: 0,
    0x480: 0xFFFF, 0x484: 0, 0x4C0: 0xFFFFFFFF, 0x4C4: 0,
    **dict.fromkeys((0x500, 0x504, 0x508, 0x50C, 0x540, 0x544, 0x548, 0x54C), 0),
}  # fmt: skip


class Nvmc(Peripheral):
    """READY always: an operation's time has passed before anybody can look."""

    def __init__(self, chip: Nrf91Chip) -> None:
        super().__init__({ICACHECNF: 0, IHIT: 0, IMISS: 0, CONFIGNS: 0})
        self._chip = chip

    def read(self, offset: int) -> int:
        if offset in (READY, READYNEXT):
            return 1
        return self._chip.nvmc.config if offset == CONFIG else super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if offset != CONFIG:
            super().write(offset, value)
        elif value > ERASE_ENABLE:  # a partial erase
            raise NotModelled
        else:
            self._chip.nvmc.config = value


class OnChip(Peripheral):
    """Registers that the chip has for everybody; and some that are only kept."""

    def __init__(
        self,
        read: Callable[[int], int],
        write: Callable[[int, int], None],
        offsets: Callable[[int], bool],
        kept: Mapping[int, int],
    ) -> None:
        super().__init__(kept)
        self._read, self._write, self._has = read, write, offsets

    def read(self, offset: int) -> int:
        return self._read(offset) if self._has(offset) else super().read(offset)

    def write(self, offset: int, value: int) -> None:
        if self._has(offset):
            self._write(offset, value)
        else:
            super().write(offset, value)


class Peripherals:
    """`send(data, baud)` is what UARTE0 puts on the console's line; the others lead nowhere."""

    def __init__(
        self,
        chip: Nrf91Chip,
        time: LocalTime,
        retained: dict[int, int],
        send: Callable[[bytes, float], None],
    ) -> None:
        clock = ClockPower(time, chip, mem.RESETREAS, retained)

        def fetch(address: int, length: int) -> bytes:
            begin = address - mem.RAM_BASE
            if length and not 0 <= begin <= mem.RAM_SIZE - length:
                raise NotModelled  # EasyDMA reads RAM alone
            return bytes(memoryview(chip.ram).cast("B")[begin : begin + length])

        spu, watchdog = chip.spu, chip.watchdog
        self._bases: dict[int, Peripheral] = {
            mem.SPU_PAGE: OnChip(spu.read, spu.write, spu.has, SPU_KEPT),
            REGULATORS: Peripheral(dict.fromkeys((EXTPOFCON, DCDCEN, LDO_AT_START, *XOSC_AT_START), 0)),
            CLOCK: clock,
            UARTES[0]: Uarte(time, fetch, send),
            **{base: Uarte(time, fetch, lambda data, baud: None) for base in UARTES[1:]},
            **{base: Rtc(time, clock.clocked_since) for base in RTCS},
            mem.WDT_PAGE: OnChip(watchdog.read, watchdog.write, WDT_REGISTERS.__contains__, {}),
            NVMC: Nvmc(chip),
            VMC: Peripheral({**RAM_POWER, RAM_AT_WAKE: 0}),
            PORT: Port(),
        }
        self._chip = chip
        self.by_line = {
            base >> 12 & 0xFF: found for base, found in self._bases.items() if base >> 12 & 0xFF < LINES
        }

    def find(self, address: int) -> tuple[Peripheral, int]:
        """The peripheral at an address, and the offset in it. Raises `NotModelled` where none is."""
        base = address & ~mem.SECURE_ALIAS & ~0xFFF
        if base == PORT & ~0xFFF:
            base = PORT
        found = self._bases.get(base)
        if found is None or not self._chip.spu.answers(address):
            raise NotModelled
        return found, (address & ~mem.SECURE_ALIAS) - base
