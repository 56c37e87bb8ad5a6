"""What the program stores to flash and UICR, gathered into operations of the flash controller.

Source: nRF9160 product specification, "NVMC - Non-volatile memory controller": words are written while
CONFIG.WEN is Wen, a page is erased by a store to it while WEN is Een; other stores end in a bus error.

Words at ascending addresses of one page, with nothing between them that anybody could see, are one write: a
cut anywhere in it leaves so many whole words and a torn one. The emulator stores the word as the program
gives it, before anybody can stop it; `settle` makes of it what the array makes of it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bench.virtual.flash import Flash
from bench.virtual.nrf91.access_rules import Spu
from bench.virtual.nrf91.memory_map import PAGE
from bench.virtual.nrf91.nvmc import ERASE_ENABLE, WRITE_ENABLE, Nvmc
from bench.virtual.process import Steps

ERASED = 0xFFFFFFFF
Answer = Literal["taken", "refused", "wait"]


class Arrays(Protocol):
    """What the chip has that can be programmed."""

    flash: Flash
    nvmc: Nvmc
    spu: Spu

    def array_at(self, address: int) -> tuple[Flash, int] | None: ...


@dataclass(slots=True)
class _Write:
    area: Flash
    offset: int
    before: bytearray = field(default_factory=bytearray)
    data: bytearray = field(default_factory=bytearray)

    @property
    def end(self) -> int:
        return self.offset + len(self.data)

    def holds(self, area: Flash, offset: int) -> bool:
        return area is self.area and self.offset <= offset < self.end


class Stores:
    """`on_change(address, length)` hears of each operation that is done."""

    def __init__(self, chip: Arrays, now: Callable[[], float], on_change: Callable[[int, int], None]) -> None:
        self._chip, self._now, self._on_change = chip, now, on_change
        self._write: _Write | None = None
        self._done: _Write | None = None  # the last one
        self._erase: tuple[Flash, int] | None = None
        self._erased: int | None = None  # address of the store that is carried out already
        self._right: tuple[Flash, int, int] | None = None  # what the last stored word has to be

    @property
    def waiting(self) -> bool:
        """Whether there is something that `work` has to do."""
        return self._write is not None or self._erase is not None

    def store(self, address: int, size: int, value: int) -> Answer:
        """One store of the program's: "wait" has it carried out once more after `work`."""
        self.settle()
        found, config = self._chip.array_at(address), self._chip.nvmc.config
        if found is None or size != 4 or address % 4 or not self._chip.spu.writable(address):
            return "refused"
        area, offset = found
        (old,) = struct.unpack_from("<I", area.view, offset)
        if config == ERASE_ENABLE:
            return self._erase_by(area, offset, old)
        if config != WRITE_ENABLE:
            return "refused"
        new, write = old & value, self._write
        self._right = area, offset, new
        if write is None:
            if new == old and self._done is not None and self._done.holds(area, offset):
                return "taken"  # an instruction of several stores, carried out once more from its first on
            write = self._write = _Write(area, offset)
        elif area is not write.area or offset != write.end or offset % PAGE == 0:
            self._right = area, offset, old
            return "wait"
        write.before += struct.pack("<I", old)
        write.data += struct.pack("<I", value & ERASED)
        return "taken"

    def _erase_by(self, area: Flash, offset: int, old: int) -> Answer:
        if area is not self._chip.flash:  # UICR goes with ERASEALL alone
            self._right = area, offset, old
            return "taken"
        if self._erased == offset:
            self._erased, self._right = None, (area, offset, ERASED)
            return "taken"
        self._right = area, offset, old
        if self._write is None:
            self._erase = area, offset
        return "wait"

    def settle(self) -> None:
        """After the program has been stopped, and before it stores again."""
        if self._right is not None:
            area, offset, word = self._right
            struct.pack_into("<I", area.view, offset, word)
            self._right = None

    def work(self) -> Steps:
        """Do what was gathered, in the time that it takes."""
        self.settle()
        write, self._write = self._write, None
        if write is not None:
            write.area.view[write.offset : write.end] = write.before
            yield from write.area.write(write.offset, bytes(write.data), self._now)
            self._done = write
            self._on_change(write.area.base + write.offset, len(write.data))
        erase, self._erase = self._erase, None
        if erase is not None:
            area, offset = erase
            self._done = None
            yield from area.erase(offset, 4, self._now)
            self._erased = offset
            self._on_change(area.base + offset - offset % PAGE, PAGE)
