"""nRF9160: flashed over SWD while it runs; MCUboot swaps every update into the primary slot."""

from __future__ import annotations

import contextlib

from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut, opened


class Nrf9160(HardwareDut):
    """The console is independent of the flash, so both stay open together."""

    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        return opened(self.flasher)

    def running_slot(self, flasher: Flasher) -> str:
        return self.type.firmware.slots[0]
