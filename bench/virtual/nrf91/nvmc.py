"""The non-volatile memory controller: who may write flash, what a write does, how long it takes.

Source: nRF9160 product specification, NVMC: with CONFIG.WEN = Wen whole words are written, which
clears bits; with Een a store erases its page; UICR goes only with everything (ERASEALL). Other
stores change nothing, and the bus faults.

Every operation takes its time while it lasts, so that a failing supply finds it half done.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from bench.virtual.flash import Flash
from bench.virtual.nrf91.memory_map import ERASE_ALL_TIME, PAGE
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler

READ_ONLY, WRITE_ENABLE, ERASE_ENABLE = 0, 1, 2


class Interrupted(Exception):
    """The chip lost its supply, or was reset, while the flash was busy."""


class Nvmc:
    """Works on `flash` and `uicr` in simulated time. `on_change(address, length)` hears of each change."""

    def __init__(
        self, flash: Flash, uicr: Flash, scheduler: Scheduler, on_change: Callable[[int, int], None]
    ) -> None:
        self._flash, self._uicr = flash, uicr
        self._scheduler = scheduler
        self._on_change = on_change
        self.config = READ_ONLY
        self._generation = 0
        self._snapshot: tuple[bytes, bytes] | None = None
        self._erasing: float | None = None  # ERASEALL: when it began

    # ---- one store after another (a debugger's, or an erase by code on the core)

    def store(self, area: Flash, offset: int, data: bytes) -> bool:
        """One store, or a run of word stores. Returns whether the bus accepts it.

        Raises `Interrupted` if the supply fails before it is done.
        """
        if offset % 4 or len(data) % 4:
            return False  # the array takes whole words only
        if self.config == ERASE_ENABLE:
            if area is self._flash:  # UICR goes with ERASEALL alone
                self._work(area.erase(offset, len(data), self._now))
                start = offset - offset % PAGE
                self._on_change(area.base + start, -(-(offset + len(data) - start) // PAGE) * PAGE)
        elif self.config == WRITE_ENABLE:
            self._write(area, offset, data)
        else:
            return False
        return True

    # ---- ERASEALL

    @property
    def erasing_all(self) -> bool:
        return self._erasing is not None

    def begin_erase_all(self) -> None:
        self._erasing = self._now()

    def finish_erase_all(self) -> None:
        """Let what is left of ERASEALL pass. Raises `Interrupted`."""
        if self._erasing is None:
            return
        self._elapse(self._erasing + ERASE_ALL_TIME - self._now())
        self._erasing = None
        self._erase_share(1.0)

    def _erase_share(self, share: float) -> None:
        for start in range(0, int(self._flash.size * share), PAGE):
            self._flash.erase_now(start)
        if share >= 1.0:
            self._uicr.erase_now(0)
        for area in (self._flash, self._uicr):
            self._on_change(area.base, area.size)

    # ---- code on the core, which stores straight into the shared array while writing is enabled

    def begin_stores(self) -> None:
        self._snapshot = (bytes(self._flash.view), bytes(self._uicr.view))

    def finish_stores(self) -> None:
        """Turn the stores since `begin_stores` into what the array makes of them, in the time it takes.

        Looking at the difference once is what makes programming a megabyte quick; the array ends up
        as after a look at every single word. Raises `Interrupted`.
        """
        if self._snapshot is None:
            return
        snapshot, self._snapshot = self._snapshot, None
        changed: list[tuple[Flash, int, bytes]] = []
        for area, before in zip((self._flash, self._uicr), snapshot, strict=True):
            words = numpy.frombuffer(area.view, "<u4") != numpy.frombuffer(before, "<u4")
            offsets = 4 * numpy.flatnonzero(words)
            for page in numpy.unique(offsets // PAGE).tolist():
                inside = offsets[offsets // PAGE == page]
                first, end = int(inside[0]), int(inside[-1]) + 4
                changed.append((area, first, bytes(area.view[first:end])))
                area.view[first:end] = before[first:end]
        for area, offset, data in changed:
            self._write(area, offset, data)

    def settle_stores(self) -> None:
        """The code has stopped, with writing still enabled: what it stored up to now has taken its time."""
        if self._snapshot is not None:
            self.finish_stores()
            self.begin_stores()

    # ---- reset and supply

    def reset(self) -> None:
        """The chip was reset or lost its supply: what was under way stays half done."""
        self._generation += 1
        if self._snapshot is not None:
            self._flash.view[:], self._uicr.view[:] = self._snapshot
            self._snapshot = None
        if self._erasing is not None:
            share = (self._now() - self._erasing) / ERASE_ALL_TIME
            self._erasing = None
            self._erase_share(min(share, 0.99))
        for area in (self._flash, self._uicr):
            area.interrupt(self._now())
        self.config = READ_ONLY

    # ---- time

    def _now(self) -> float:
        return self._scheduler.now

    def _work(self, operation: Steps) -> None:
        try:
            for seconds in operation:
                assert isinstance(seconds, float)
                self._elapse(seconds)
        except Interrupted:
            operation.close()
            raise

    def _write(self, area: Flash, offset: int, data: bytes) -> None:
        self._work(area.write(offset, data, self._now))
        self._on_change(area.base + offset, len(data))

    def _elapse(self, seconds: float) -> None:
        generation = self._generation
        self._scheduler.elapse(max(0.0, seconds))
        if generation != self._generation:
            raise Interrupted
