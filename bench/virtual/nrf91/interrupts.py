"""What interrupts the core: the NVIC's lines and SysTick. No handler is modelled, only that one would run.

Source: Armv8-M architecture reference manual (NVIC_ISER to NVIC_IPR, SYST_CSR, BASEPRI, PRIMASK, FAULTMASK).
"""

from __future__ import annotations

ISER, ICER, ISPR, ICPR, IPR, LAST = 0xE000E100, 0xE000E180, 0xE000E200, 0xE000E280, 0xE000E400, 0xE000E45C
LINES = 96
SYST_CSR = 0xE000E010
SYSTICK_INTERRUPTS = 3  # ENABLE and TICKINT


class Interrupts:
    """Enabled and pending lines; registers go by their address."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self._enabled = self._pending = 0
        self._priorities: dict[int, int] = {}
        self._systick = 0

    @staticmethod
    def has(address: int) -> bool:
        return address == SYST_CSR or any(
            bank <= address < bank + LINES // 8 for bank in (ISER, ICER, ISPR, ICPR)
        ) or IPR <= address <= LAST  # fmt: skip

    def read(self, address: int) -> int:
        if address == SYST_CSR:
            return self._systick
        if address >= IPR:
            return self._priorities.get(address, 0)
        lines = self._enabled if address < ISPR else self._pending
        return lines >> 8 * (address & 0x7F) & 0xFFFFFFFF

    def write(self, address: int, value: int) -> None:
        lines = value << 8 * (address & 0x7F)
        if address == SYST_CSR:
            self._systick = value & 7
        elif address >= IPR:
            self._priorities[address] = value
        elif address < ICER:
            self._enabled |= lines
        elif address < ISPR:
            self._enabled &= ~lines
        elif address < ICPR:
            self._pending |= lines
        else:
            self._pending &= ~lines

    def due(self, masks: int) -> bool:
        """Whether one would be taken now. `masks`: CONTROL, FAULTMASK, BASEPRI, PRIMASK in a word (DCRSR)."""
        if masks & 0x00010001:
            return False
        waiting = self._enabled & self._pending
        if not waiting and self._systick & SYSTICK_INTERRUPTS != SYSTICK_INTERRUPTS:
            return False
        base = masks >> 8 & 0xFF
        if base == 0 or self._systick & SYSTICK_INTERRUPTS == SYSTICK_INTERRUPTS:
            return True
        return any(waiting >> line & 1 and self._priority(line) < base for line in range(LINES))

    def _priority(self, line: int) -> int:
        return self._priorities.get(IPR + line // 4 * 4, 0) >> 8 * (line % 4) & 0xFF
