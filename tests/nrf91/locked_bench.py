"""The virtual bench with its nRF9160s locked, as a bench file's `plant` names it."""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from bench.config import BenchSettings
from bench.virtual.boards.nrf9160 import VirtualNrf9160
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.registry import PROBES
from bench.virtual.plant import VirtualBench


class LockedBench(VirtualBench):
    """`last` is the one that was started last; with `hide_probes` its probes are unplugged."""

    last: ClassVar[Any]
    hide_probes: ClassVar[bool] = False

    def start(self) -> BenchSettings:
        LockedBench.last = self
        settings = super().start()
        for board in self.boards.values():
            if isinstance(board, VirtualNrf9160):
                struct.pack_into("<I", board.chip.uicr.view, mem.UICR_APPROTECT, mem.PROTECTED)
                board.chip.flash.view[0x30000:0x30004] = bytes(4)
        if self.hide_probes:
            PROBES.clear()
        return settings
