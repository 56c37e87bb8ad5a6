"""The SPI flash routines in the ESP32's ROM, with their limits and roundings.

They believe the chip parameters they were told (SPI_SET_PARAMS), not the chip, and send 24 address bits; a
chip smaller than they believe ignores the upper ones. Sums of addresses are of 32 bits and wrap.

Sources: the same routines as ESP-IDF rebuilds them (components/spi_flash/esp32/spi_flash_rom_patch.c), and
recordings of the mask ROM. Not modelled: what odd block and page sizes do beyond those routines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.virtual.esp32.spi_flash_chip import READ_RATE, SECTOR
from bench.virtual.flash import Flash
from bench.virtual.process import Steps

_WORD = 4
_ADDRESS_MASK = 0xFFFFFF
_U32 = 0xFFFFFFFF


@dataclass(slots=True)
class ChipParameters:
    """What the ROM takes the flash chip to be; sizes in bytes.

    The size before SPI_SET_PARAMS: between 1.2 and 3.9 MiB in recordings, hence 2 MiB.
    """

    size: int = 2 << 20
    block: int = 0x10000
    sector: int = 0x1000
    page: int = 0x100


class RomFlash:
    """The routines over one chip. Each returns, or ends as a process, with whether it succeeded."""

    def __init__(self, flash: Flash, now: Callable[[], float]) -> None:
        self._flash, self._now = flash, now
        self.parameters = ChipParameters()
        self._locked = False

    def lock(self) -> None:
        """Set the chip's block protection: it ignores programming until the next erase lifts it."""
        self._locked = True

    def inside(self, address: int, length: int) -> bool:
        """The check before each operation; 32 bits, so that a range may wrap to the start."""
        return (address + length & _U32) <= self.parameters.size

    def read(self, address: int, length: int) -> Steps:
        """`length` bytes rounded up to whole words as the generator's value; None when out of range."""
        if not self.inside(address, length):
            return None
        yield length / READ_RATE
        return b"".join(self.contents(address, -(-length // _WORD) * _WORD))

    def contents(self, address: int, length: int) -> Iterator[bytes]:
        """What the chip gives, in parts; it goes on at its start behind its end."""
        done = 0
        while done < length:
            start = self._place(address + done)
            part = self._flash.read(start, min(length - done, self._flash.size - start))
            yield part
            done += len(part)

    def erase(self, address: int, length: int) -> Steps:
        """Erase whole sectors; raises ZeroDivisionError when the parameters are 0, as the core does."""
        p = self.parameters
        if not self.inside(address, length) or address % p.sector:
            return False
        self._locked = False
        sector, left = address // p.sector, -(-length // p.sector)
        per_block = p.block // p.sector
        head = min(left, per_block - sector % per_block)
        left -= head
        while head or left:
            # sectors up to a block's border, whole blocks but the last, sectors
            by_block = not head and left > per_block
            unit, number = (p.block, sector // per_block) if by_block else (p.sector, sector)
            if number >= p.size // unit or (not by_block and number * unit % SECTOR):
                return False
            yield from self._erase(number * unit, p.block if by_block else SECTOR)
            sector += per_block if by_block else 1
            if by_block:
                left -= per_block
            elif head:
                head -= 1
            else:
                left -= 1
        return True

    def write(self, address: int, data: bytes) -> Steps:
        """Program page by page; ends at the first part that is not of whole words."""
        if not self.inside(address, len(data)):
            return False
        page = self.parameters.page
        done = 0
        while done < len(data):
            part = data[done : done + page - (address + done) % page]
            if len(part) % _WORD:
                return False
            start = self._place(address + done)
            if not self._locked:
                yield from self._flash.write(start, part[: self._flash.size - start], self._now)
            done += len(part)
        return True

    def _erase(self, address: int, length: int) -> Steps:
        for start in range(address, address + length, SECTOR):
            yield from self._flash.erase(self._place(start), 1, self._now)

    def _place(self, address: int) -> int:
        return (address & _ADDRESS_MASK) % self._flash.size
