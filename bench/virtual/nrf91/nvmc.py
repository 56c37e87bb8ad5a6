"""The non-volatile memory controller: who may write flash, what a write does, how long it takes.

Source: nRF9160 product specification, NVMC: WEN lets stores clear bits, EEN lets a store erase its
page; other stores fault.
"""

from __future__ import annotations

from bench.virtual.flash import Flash
from bench.virtual.nrf91.memory_map import ERASE_ALL_TIME, PAGE, PAGE_ERASE_TIME, WORD_WRITE_TIME

READ_ONLY, WRITE_ENABLE, ERASE_ENABLE = 0, 1, 2


class Nvmc:
    """`owed` is busy time, in seconds, that the plant has still to let pass."""

    def __init__(self, flash: Flash, uicr: Flash) -> None:
        self._areas = (flash, uicr)
        self.config = READ_ONLY
        self.owed = 0.0
        self._before: tuple[bytes, ...] = ()

    def set_config(self, value: int) -> None:
        """CONFIG.WEN. Code on the core stores straight into the array while writing is enabled."""
        old, self.config = self.config, value & 3
        if old == WRITE_ENABLE and self.config != WRITE_ENABLE:
            self.apply_stores()
        if self.config == WRITE_ENABLE and old != WRITE_ENABLE:
            self._before = tuple(bytes(area.view) for area in self._areas)

    def apply_stores(self) -> None:
        """Stores can only clear bits: give back what they could not have set, and take their time.

        Looking at the difference once is what makes programming a megabyte quick here; the array is
        the same as after a check of every single word.
        """
        if all(before == area.view for area, before in zip(self._areas, self._before, strict=True)):
            return
        for area, before in zip(self._areas, self._before, strict=True):
            for start in range(0, len(before), PAGE):
                old, new = before[start : start + PAGE], bytes(area.view[start : start + PAGE])
                if old == new:
                    continue
                both = int.from_bytes(old, "little") & int.from_bytes(new, "little")
                area.view[start : start + PAGE] = both.to_bytes(PAGE, "little")
                words = sum(old[i : i + 4] != new[i : i + 4] for i in range(0, PAGE, 4))
                self.owed += words * WORD_WRITE_TIME
        self._before = tuple(bytes(area.view) for area in self._areas)

    def account(self) -> None:
        """Code has run: what it stored so far takes its time now, not when writing is disabled again."""
        if self.config == WRITE_ENABLE:
            self.apply_stores()

    def store(self, area: Flash, offset: int, data: bytes) -> bool:
        """One store, by the debugger or the core. Returns whether the bus accepts it."""
        if len(data) != 4 or offset % 4:
            return False  # the array takes whole words only
        if self.config == ERASE_ENABLE:
            if area is self._areas[0]:  # UICR goes with ERASEALL alone
                self.erase_page(area, offset)
            return True
        if self.config == WRITE_ENABLE:
            area.write_now(offset, data)
            self.owed += WORD_WRITE_TIME
            self._before = tuple(bytes(each.view) for each in self._areas)
            return True
        return False

    def erase_page(self, area: Flash, offset: int) -> None:
        area.erase_now(offset)
        self.owed += PAGE_ERASE_TIME

    def erase_all(self) -> None:
        for area in self._areas:
            for start in range(0, area.size, PAGE):
                area.erase_now(start)
        self.owed += ERASE_ALL_TIME

    def reset(self) -> None:
        if self.config == WRITE_ENABLE:
            self.apply_stores()
        self.config = READ_ONLY

    def settle(self) -> float:
        """The busy time to let pass now; it is owed no longer."""
        owed, self.owed = self.owed, 0.0
        return owed
