"""The core's own registers, on the private peripheral bus: NVIC, SysTick, system control, what debuggers use.

Source: Armv8-M architecture reference manual. The MPU and the SAU are kept and read back, but forbid nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.virtual.nrf91.memory_map import CORE_CLOCK, SYSTEM_CONSTANTS
from bench.virtual.nrf91.program.exceptions import LINES, NMI, PENDSV, SYSTICK, Exceptions
from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import WORD, NotModelled

ISER, ICER, ISPR, ICPR, IABR, ITNS = 0xE000E100, 0xE000E180, 0xE000E200, 0xE000E280, 0xE000E300, 0xE000E380
BANKS = (ISER, ICER, ISPR, ICPR, IABR, ITNS)
IPR, NVIC_LINES = 0xE000E400, 96
SYST_CSR, SYST_RVR, SYST_CVR = 0xE000E010, 0xE000E014, 0xE000E018
ICSR, VTOR, AIRCR, SHPR, SHCSR, STIR = (
    0xE000ED04, 0xE000ED08, 0xE000ED0C, 0xE000ED18, 0xE000ED24, 0xE000EF00,
)  # fmt: skip
CFSR, HFSR, DFSR, MMFAR, BFAR = 0xE000ED28, 0xE000ED2C, 0xE000ED30, 0xE000ED34, 0xE000ED38
ONES_CLEAR = (CFSR, HFSR, DFSR)
DWT_CTRL, DWT_CYCCNT = 0xE0001000, 0xE0001004
DHCSR, DEMCR = 0xE000EDF0, 0xE000EDFC
PENDSTCLR, PENDSTSET, PENDSVCLR, PENDSVSET, NMISET = 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 31
KEPT = {
    0xE000E008: 0,  # ACTLR
    VTOR: 0,
    0xE000ED10: 0,  # SCR
    0xE000ED14: 0x00000201,  # CCR
    CFSR: 0, HFSR: 0, DFSR: 0, MMFAR: 0, BFAR: 0, 0xE000ED3C: 0,
    0xE000ED88: 0, 0xE000ED8C: 0,  # CPACR, NSACR
    **dict.fromkeys(range(0xE000ED94, 0xE000EDC8, 4), 0),  # MPU
    **dict.fromkeys((0xE000EDD0, *range(0xE000EDD8, 0xE000EDEC, 4)), 0),  # SAU, SFSR, SFAR
    0xE000EF34: 0xC0000004, 0xE000EF38: 0, 0xE000EF3C: 0,  # FPCCR, FPCAR, FPDSCR
    DWT_CTRL: 0x40000000, DEMCR: 0,
    0xE000EDF8: 0, 0xE000EE08: 1 << 16,  # DCRDR, DSCSR: secure
}  # fmt: skip
TAKE_AT_ONCE = (ICSR, STIR, *range(ISER, ISER + 12, 4), *range(ISPR, ISPR + 12, 4))
"""Registers by which a program interrupts itself: the exception comes before its next instruction."""


class System:
    """Words by their address; raises `NotModelled`."""

    def __init__(self, time: LocalTime, exceptions: Exceptions, reset: Callable[[], None]) -> None:
        self._time, self._exceptions, self._reset = time, exceptions, reset
        self._kept = dict(KEPT)
        self._systick = _SysTick(time)

    @property
    def vectors(self) -> int:
        return self._kept[VTOR]

    def fault(self, status: int, address: int | None) -> None:
        """A fault has happened, as CFSR has it, and at `address` if it was an access."""
        self._kept[CFSR] |= status
        self._kept[HFSR] |= 1 << 30  # FORCED
        if address is not None:
            self._kept[BFAR] = address

    def settle(self) -> None:
        """Have SysTick interrupt, if it is due."""
        if self._systick.interrupts():
            self._exceptions.pending.add(SYSTICK)

    def next_moment(self) -> float | None:
        return self._systick.next_moment()

    # ---- registers

    def read(self, address: int) -> int:
        lines = self._exceptions
        if address in SYSTEM_CONSTANTS:
            return SYSTEM_CONSTANTS[address]
        if SYST_CSR <= address <= SYST_CVR:
            return self._systick.read(address)
        if address == ICSR:
            waiting, active = lines.waiting(), lines.active
            return (waiting or 0) << 12 | (active[-1] if active else 0)
        if address == AIRCR:
            return 0xFA050000
        if address == SHCSR:
            return lines.fault_enables
        if address == DHCSR:
            return 0  # no debugger
        if SHPR <= address < SHPR + 12:
            return self._priorities(4 + address - SHPR)
        if IPR <= address < IPR + NVIC_LINES:
            return self._priorities(LINES + address - IPR)
        if address == DWT_CYCCNT:
            return int(self._time.now() * CORE_CLOCK) & WORD if self._kept[DWT_CTRL] & 1 else 0
        bank = self._bank(address)
        if bank is not None:
            group = {ISER: lines.enabled, ICER: lines.enabled, ISPR: lines.pending, ICPR: lines.pending}
            first = LINES + 8 * (address - bank)
            chosen = group.get(bank, set(lines.active) if bank == IABR else set())
            return sum(1 << n for n in range(32) if first + n in chosen)
        if address in self._kept:
            return self._kept[address]
        raise NotModelled

    def write(self, address: int, value: int) -> None:
        lines, bank = self._exceptions, self._bank(address)
        if SYST_CSR <= address <= SYST_CVR:
            self._systick.write(address, value)
        elif address == ICSR:
            self._write_icsr(value)
        elif address == AIRCR:
            if value >> 16 == 0x05FA and value & 4:
                self._reset()
        elif address == STIR:
            lines.pending.add(LINES + (value & 0x1FF))
        elif address == SHCSR:
            lines.fault_enables = value & 0x70000
        elif SHPR <= address < SHPR + 12:
            self._prioritise(4 + address - SHPR, value)
        elif IPR <= address < IPR + NVIC_LINES:
            self._prioritise(LINES + address - IPR, value)
        elif bank is not None:
            numbers = {LINES + 8 * (address - bank) + n for n in range(32) if value >> n & 1}
            changed = lines.enabled if bank in (ISER, ICER) else lines.pending
            if bank in (ISER, ISPR):
                changed |= numbers
            elif bank in (ICER, ICPR):
                changed -= numbers
        elif address in ONES_CLEAR:
            self._kept[address] &= ~value
        elif address in self._kept:
            self._kept[address] = value
        elif address not in SYSTEM_CONSTANTS and address not in (DWT_CYCCNT, DHCSR):
            raise NotModelled

    @staticmethod
    def _bank(address: int) -> int | None:
        return next((bank for bank in BANKS if bank <= address < bank + NVIC_LINES // 8), None)

    def _priorities(self, first: int) -> int:
        found = self._exceptions.priorities
        return sum(found.get(first + n, 0) << 8 * n for n in range(4))

    def _prioritise(self, first: int, value: int) -> None:
        for n in range(4):  # three bits of each byte are there
            self._exceptions.priorities[first + n] = value >> 8 * n & 0xE0

    def _write_icsr(self, value: int) -> None:
        pending = self._exceptions.pending
        for bit, number in ((PENDSVSET, PENDSV), (PENDSTSET, SYSTICK), (NMISET, NMI)):
            if value & bit:
                pending.add(number)
        for bit, number in ((PENDSVCLR, PENDSV), (PENDSTCLR, SYSTICK)):
            if value & bit:
                pending.discard(number)


class _SysTick:
    """Counts down at the core's clock; there is no other (SYST_CALIB.NOREF)."""

    def __init__(self, time: LocalTime) -> None:
        self._time = time
        self._control = self._reload = 0
        self._begin = 0.0
        self._seen = self._interrupted = 0  # ends of the count that were told, that have interrupted

    def _ticks(self) -> int:
        return int((self._time.now() - self._begin) * CORE_CLOCK) if self._control & 1 else 0

    def _ends(self) -> int:
        return self._ticks() // (self._reload + 1) if self._reload else 0

    def interrupts(self) -> bool:
        ends = self._ends()
        new, self._interrupted = ends > self._interrupted, ends
        return new and bool(self._control & 2)

    def next_moment(self) -> float | None:
        if self._control & 3 != 3 or not self._reload:
            return None
        return self._begin + (self._interrupted + 1) * (self._reload + 1) / CORE_CLOCK

    def read(self, address: int) -> int:
        if address == SYST_RVR:
            return self._reload
        if address == SYST_CVR:
            return self._reload - self._ticks() % (self._reload + 1) if self._ticks() else 0
        ends = self._ends()
        flag, self._seen = ends > self._seen, ends
        return self._control | flag << 16

    def write(self, address: int, value: int) -> None:
        if address == SYST_RVR:
            self._reload = value & 0xFFFFFF
        elif address == SYST_CVR or (value & 1 and not self._control & 1):
            self._restart()
        if address == SYST_CSR:
            self._control = value & 7

    def _restart(self) -> None:
        self._begin = self._time.now()
        self._seen = self._interrupted = 0
