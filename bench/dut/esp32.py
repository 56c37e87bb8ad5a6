"""ESP32: flashed by its ROM bootloader over the console's own serial port; boots from either slot.

Access to the flash resets the chip: the application does not survive it.
"""

from __future__ import annotations

import contextlib

from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut, opened
from bench.firmware.esp32 import OtaState, active_ota_slot, parse_otadata


class Esp32(HardwareDut):
    """The flasher borrows the console's port: it is opened once."""

    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        return opened(self.flasher)

    def running_slot(self, flasher: Flasher) -> str:
        region = self.region("otadata")
        slots = self.type.firmware.slots
        return slots[active_ota_slot(flasher.read(region.offset, region.size), len(slots))]

    def unsettled(self, flasher: Flasher) -> str | None:
        region = self.region("otadata")
        for entry in parse_otadata(flasher.read(region.offset, region.size)):
            if entry is not None and entry.state in (OtaState.NEW, OtaState.PENDING_VERIFY):
                return f"OTA data entry {entry.sequence} is {entry.state.name}"
        return None
