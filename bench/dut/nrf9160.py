"""nRF9160: flashed over SWD while it runs; MCUboot swaps every update into the primary slot."""

from __future__ import annotations

import contextlib

from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut, opened
from bench.firmware.mcuboot import Trailer, parse_trailer

TRAILER = 64
"""Bytes at a slot's end that hold all flags of its trailer."""


class Nrf9160(HardwareDut):
    """The console is independent of the flash, so both stay open together."""

    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        return opened(self.flasher)

    def running_slot(self, flasher: Flasher) -> str:
        return self.type.firmware.slots[0]

    def unsettled(self, flasher: Flasher) -> str | None:
        primary, secondary = (self._trailer(flasher, name) for name in self.type.firmware.slots)
        if secondary.magic_good:
            return f"an upgrade is requested in {self.type.firmware.slots[1]}"
        if primary.magic_good and not primary.image_ok:
            return f"the image in {self.type.firmware.slots[0]} is on trial, or its swap is not finished"
        return None

    def _trailer(self, flasher: Flasher, slot: str) -> Trailer:
        region = self.region(slot)
        return parse_trailer(flasher.read(region.offset + region.size - TRAILER, TRAILER))
