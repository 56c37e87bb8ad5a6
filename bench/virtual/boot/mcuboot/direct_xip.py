"""Direct-xip: the highest version runs where it lies; with revert, an unconfirmed one is erased.

Source: MCUboot design document, "Direct-xip"; recorded of both versions by `tests/truth`
(mcuboot_modes).
"""

from __future__ import annotations

from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState
from bench.virtual.boot.mcuboot.image import ROM_FIXED, fits, header_at
from bench.virtual.boot.mcuboot.slot_check import SlotCheck, raise_counter
from bench.virtual.boot.mcuboot.trailer import Flag, Magic, swap_state, write_copy_done
from bench.virtual.process import Steps

_NAMES = ("primary", "secondary")


class DirectXipLoader:
    """One boot."""

    resumed: int | None = None

    def __init__(self, boot: BootState) -> None:
        self._boot = boot
        largest = boot.primary.size - boot.primary.trailer.swap_info
        self._check = SlotCheck(boot, largest)

    def run(self) -> Steps:
        """The value is the slot that starts, or None."""
        boot = self._boot
        left = self._available()
        while left:
            slot = max(left, key=lambda one: (boot.headers[one].number, -one))
            left.remove(slot)
            if self._is_for_elsewhere(slot):
                continue
            if boot.options.revert and not (yield from self._take(slot)):
                continue
            if (yield from self._check.passes(slot)):
                if not (yield from self._protect_from_rollback(slot)):
                    return None
                boot.log("I", f"Image 0 loaded from the {_NAMES[slot]} slot")
                return slot
        boot.log("I", "No slot to load for image 0")
        return None

    def _available(self) -> list[int]:
        boot, found = self._boot, []
        for slot in (PRIMARY, SECONDARY):
            header = boot.headers[slot] = header_at(boot.slots[slot])
            name = _NAMES[slot].capitalize()
            if fits(header, boot.slots[slot], is_main=boot.options.is_main):
                found.append(slot)
                boot.log("I", f"{name:<9} slot: version={header.version}+{header.build}")
            elif boot.options.is_main:
                boot.log("I", f"Image 0 {_NAMES[slot]} slot: image not found")
            else:
                boot.log("I", f"Image 0 {name} slot: Image not found")
        return found

    def _is_for_elsewhere(self, slot: int) -> bool:
        """Whether the image says that it was built for another address than its slot's."""
        boot, header = self._boot, self._boot.headers[slot]
        start = boot.slots[slot].start
        if not header.flags & ROM_FIXED or header.load_address == start:
            return False
        boot.log(
            "W",
            f"Image in {_NAMES[slot]} slot at {start:#x} has been built for "
            f"offset {header.load_address:#x}, skipping",
        )
        return True

    def _take(self, slot: int) -> Steps:
        """Mark the image as started once; one that was, and did not confirm itself, is erased."""
        area = self._boot.slots[slot]
        state = swap_state(area)
        had_its_trial = state.copy_done is Flag.SET and state.image_ok is not Flag.SET
        if state.magic is not Magic.GOOD or had_its_trial:
            yield from self._boot.erase_slot(area)
            return False
        if state.copy_done is not Flag.SET:
            yield from write_copy_done(area)
        return True

    def _protect_from_rollback(self, slot: int) -> Steps:
        boot = self._boot
        if not boot.options.by_counter:
            return True
        area = boot.slots[slot]
        if boot.options.revert and swap_state(area).image_ok is not Flag.SET:
            return True
        return (yield from raise_counter(boot, area, boot.headers[slot], 0))
