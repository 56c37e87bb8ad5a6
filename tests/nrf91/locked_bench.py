"""Virtual benches whose nRF9160s are not as they should be, as a bench file's `plant` names them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, ClassVar

from bench.config import BenchSettings
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.plant import VirtualBench


def locked(chip: Nrf91Chip) -> None:
    """Readout protection is on, and there is something to be erased."""
    struct.pack_into("<I", chip.uicr.view, mem.UICR_APPROTECT, mem.PROTECTED)
    chip.flash.view[0x30000:0x30004] = bytes(4)


class AlteredBench(VirtualBench):
    """`alter` is done to each chip; `last` is the bench that was started last."""

    last: ClassVar[Any]
    alter: ClassVar[Callable[[Nrf91Chip], None]]
    hide_probes: ClassVar[bool] = False

    def start(self) -> BenchSettings:
        AlteredBench.last = self
        settings = super().start()
        for board in self.boards.values():
            if isinstance(board, VirtualNrf9160):
                type(self).alter(board.chip)
        if self.hide_probes:
            PROBES.clear()
        return settings


class LockedBench(AlteredBench):
    alter = staticmethod(locked)
