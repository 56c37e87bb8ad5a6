"""Overwrite-only: the update is copied over the primary image, and there is no way back.

Source: MCUboot design document, "Overwrite-only"; loader.c of both versions with
MCUBOOT_OVERWRITE_ONLY_FAST, as Zephyr builds it; recorded by `tests/truth` (mcuboot_modes).
"""

from __future__ import annotations

from bench.virtual.boot.mcuboot.area import SECTOR, WORD, copy
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState
from bench.virtual.boot.mcuboot.image import header_at, image_size, sectors_of
from bench.virtual.boot.mcuboot.options import Upgrade
from bench.virtual.boot.mcuboot.slot_check import SlotCheck, protects_from_rollback, raise_counter
from bench.virtual.boot.mcuboot.trailer import SwapType, write_magic
from bench.virtual.process import Steps


class OverwriteLoader:
    """One boot."""

    resumed: int | None = None
    """There is nothing to resume: an interrupted copy begins again."""

    def __init__(self, boot: BootState) -> None:
        self._boot = boot
        largest = boot.primary.size - boot.primary.trailer.swap_info
        self._check = SlotCheck(boot, largest)

    def run(self) -> Steps:
        """The value is the slot that starts, or None."""
        boot = self._boot
        self._read_headers()
        kind = boot.wanted_swap()
        if kind is not SwapType.NONE and not (yield from self._check.passes(SECONDARY, None, kind)):
            kind = SwapType.NONE
        if kind is SwapType.NONE and boot.options.bootstrap:
            kind = yield from self._bootstrap()
        boot.swap_type = kind
        if kind is not SwapType.NONE:
            yield from copy_image(boot, image_size(boot.secondary, boot.headers[SECONDARY])[0])
            self._read_headers()
        if boot.options.validate_primary:
            if not (yield from self._check.passes(PRIMARY)):
                return None
        elif not boot.headers[PRIMARY].is_image:
            boot.log("E", f"bad image magic {boot.headers[PRIMARY].magic:#x}; Image=0")
            return None
        if not (yield from protects_from_rollback(boot)):
            return None
        return PRIMARY

    def _read_headers(self) -> None:
        self._boot.headers = [header_at(area) for area in self._boot.slots]

    def _bootstrap(self) -> Steps:
        has_image = self._boot.headers[SECONDARY].is_image
        if (yield from self._check.passes(PRIMARY)):
            return SwapType.NONE
        good = yield from self._check.passes(SECONDARY)
        return SwapType.REVERT if good and has_image else SwapType.NONE


def copy_image(boot: BootState, size: int) -> Steps:
    """The image of `size` bytes in the secondary slot over the one in the primary slot.

    The whole slot, where a bootloader that swaps fills an empty primary slot: but main does not with
    swaps by moving and with an offset.
    """
    primary, secondary = boot.primary, boot.secondary
    in_parts = boot.options.is_main and boot.options.upgrade in (Upgrade.MOVE, Upgrade.OFFSET)
    fast = in_parts or boot.options.upgrade is Upgrade.OVERWRITE
    boot.log("I", "Image 0 upgrade secondary slot -> primary slot")
    boot.log("I", "Erasing the primary slot")
    for sector in range(sectors_of(size) if fast else primary.sectors):
        yield from primary.erase(sector * SECTOR, SECTOR)
    copied = primary.size
    if fast:
        trailer = primary.trailer_sector * SECTOR
        yield from boot.erase_range(primary, trailer, primary.size - trailer)
        copied = size + WORD - size % WORD
    boot.log("I", f"Image 0 copying the secondary slot to the primary slot: {copied:#x} bytes")
    yield from copy(secondary, boot.secondary_start, primary, 0, copied)
    if fast:
        yield from write_magic(primary)
    if boot.options.by_counter:
        yield from raise_counter(boot, primary, boot.headers[SECONDARY], 0)
    if not in_parts:
        yield from secondary.erase(0, SECTOR)
    yield from secondary.erase((secondary.sectors - 1) * SECTOR, SECTOR)
