"""nRF9160: flashed over SWD while it runs; MCUboot swaps every update into the primary slot."""

from __future__ import annotations

import contextlib

from bench.dut.dut import ResetWay
from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut, opened
from bench.firmware.mcuboot import Trailer, parse_trailer

REASONS: dict[ResetWay, str] = {"pin": "RESETPIN", "debugger": "SREQ", "watchdog": "DOG"}
"""What RESETREAS says of each reset (nRF9160 product specification, POWER; the same on the nRF91x1)."""
CATCH_INTERVAL = 0.1
"""Bench seconds between looks for a reset."""

TRAILER = 64
"""Bytes at a slot's end that hold all flags of its trailer."""


class Nrf9160(HardwareDut):
    """The console is independent of the flash, so both stay open together."""

    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        return opened(self.flasher)

    def prove_reset(self, way: ResetWay) -> None:
        """The core is stopped before its first instruction and RESETREAS read: no firmware has cleared it."""
        if self._how(f"reset-{way}").command is None:
            self.reset(way)  # the flasher looks by itself
        else:
            with self.flash_access() as flasher:
                flasher.catch_reset()
                self.reset(way)
                self._await_reset(flasher)
        told = self.flasher.reset_reasons
        if told is None:
            self._reset_not_told(way)
            return
        names = ", ".join(sorted(told)) or "no reset"
        assert told == {REASONS[way]}, f"{self.name}: reset by {way}, but RESETREAS tells of {names}"

    def _await_reset(self, flasher: Flasher) -> None:
        end = self._clock.now() + self.type.timeouts.boot
        while not flasher.caught_reset():
            assert self._clock.now() < end, (
                f"{self.name}: no reset within {self.type.timeouts.boot:g} s of the command for one"
            )
            self._clock.sleep(CATCH_INTERVAL, f"{self.name}: waiting for a reset")

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
