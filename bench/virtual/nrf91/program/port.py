"""GPIO: pins as the program drives them; nobody else does.

Source: nRF9160 product specification, "GPIO - General purpose input/output", and its register file
(nrf9160.svd, P0).
"""

from __future__ import annotations

from bench.virtual.nrf91.program.peripheral import WORD, Peripheral

OUT, OUTSET, OUTCLR, IN, DIR, DIRSET, DIRCLR = 0x004, 0x008, 0x00C, 0x010, 0x014, 0x018, 0x01C
LATCH, DETECTMODE, DETECTMODE_SEC, PIN_CNF, PINS = 0x020, 0x024, 0x028, 0x200, 32
_SETS, _CLEARS = {OUTSET: OUT, DIRSET: DIR}, {OUTCLR: OUT, DIRCLR: DIR}
PULL_UP = 3 << 2
PULL = 3 << 2
INPUT_OFF = 1 << 1


class Port(Peripheral):
    """A pin that is driven reads as it is driven, one that is pulled up reads 1: no button is pressed."""

    def __init__(self) -> None:
        super().__init__(
            {
                **dict.fromkeys((OUT, DIR, LATCH, DETECTMODE, DETECTMODE_SEC), 0),
                **dict.fromkeys(range(PIN_CNF, PIN_CNF + 4 * PINS, 4), INPUT_OFF),
            }
        )

    def read(self, offset: int) -> int:
        if offset == IN:
            return sum(self._level(pin) << pin for pin in range(PINS))
        return super().read(_SETS.get(offset) or _CLEARS.get(offset) or offset)

    def _level(self, pin: int) -> int:
        configured = self._kept[PIN_CNF + 4 * pin]
        if configured & INPUT_OFF:
            return 0
        if self._kept[DIR] >> pin & 1:
            return self._kept[OUT] >> pin & 1
        return int(configured & PULL == PULL_UP)

    def write(self, offset: int, value: int) -> None:
        if offset in _SETS:
            self._kept[_SETS[offset]] |= value & WORD
        elif offset in _CLEARS:
            self._kept[_CLEARS[offset]] &= ~value
        elif offset == LATCH:  # ones clear it
            self._kept[LATCH] &= ~value
        else:
            super().write(offset, value)
            if PIN_CNF <= offset < PIN_CNF + 4 * PINS:  # its lowest bit is the pin's direction
                pin = (offset - PIN_CNF) // 4
                self._kept[DIR] = self._kept[DIR] & ~(1 << pin) | (value & 1) << pin
