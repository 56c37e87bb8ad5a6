"""A boot with a swap: what is asked for, what was interrupted, and what starts in the end.

Source: MCUboot design document, "High-level operation" and "Reset recovery"; decisions, operations and
lines recorded by `tests/truth`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.virtual.boot.mcuboot.area import Unreachable
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState, Panic
from bench.virtual.boot.mcuboot.options import Upgrade
from bench.virtual.boot.mcuboot.overwrite import copy_image
from bench.virtual.boot.mcuboot.slot_check import (
    SlotCheck,
    counter_failed,
    is_erased_header,
    protects_from_rollback,
    raise_counter,
    refuses_downgrade,
)
from bench.virtual.boot.mcuboot.swap_move import SwapByMoving
from bench.virtual.boot.mcuboot.swap_offset import SwapByOffset
from bench.virtual.boot.mcuboot.swap_scratch import SwapByScratch
from bench.virtual.boot.mcuboot.swap_status import (
    Source,
    Swap,
    SwapStatus,
    find_status_area,
    fresh,
)
from bench.virtual.boot.mcuboot.trailer import (
    SwapType,
    set_image_ok,
    swap_info_of,
    swap_size_of,
    write_copy_done,
)
from bench.virtual.process import Steps

ALGORITHMS: Mapping[Upgrade, Callable[[BootState], Swap]] = {
    Upgrade.MOVE: SwapByMoving,
    Upgrade.SCRATCH: SwapByScratch,
    Upgrade.OFFSET: SwapByOffset,
}
UPGRADES = (SwapType.TEST, SwapType.PERMANENT, SwapType.REVERT)
STAYING = (SwapType.PERMANENT, SwapType.REVERT)
"""Swaps after which the image is as good as confirmed."""


def algorithm_of(boot: BootState) -> Swap:
    return ALGORITHMS[boot.options.upgrade](boot)


class SwapLoader:
    """One boot; `resumed` says afterwards which interrupted swap it ended, if any."""

    def __init__(self, boot: BootState) -> None:
        self._boot = boot
        self._swap = algorithm_of(boot)
        self._check = SlotCheck(boot, self._swap.largest_image)
        self.resumed: int | None = None

    def run(self) -> Steps:
        """The value is the slot that starts, or None."""
        boot = self._boot
        status = yield from self._prepare()
        yield from self._update(status)
        if boot.swap_type != SwapType.NONE and not self._read_headers(None):
            return None
        if not (yield from self._primary_is_good()):
            return None
        if not (yield from protects_from_rollback(boot)):
            return None
        return PRIMARY

    # ---- what is to be done

    def _prepare(self) -> Steps:
        """Ends an interrupted swap, or finds out which one is wanted; the value is the status."""
        boot, status = self._boot, fresh(self._swap.starts_moving)
        boot.swap_type = SwapType.NONE
        if not self._read_headers(None):
            boot.log("W", "Failed reading image headers; Image=0")
            return status
        if not self._swap.are_slots_compatible():
            boot.log("W", "Cannot upgrade: not a compatible amount of sectors")
            return status
        self._read_status(status)
        missing = self._swap.rereads_headers and not self._read_headers(status, both=not status.at_start)
        if missing and not (boot.options.bootstrap and is_erased_header(boot.headers[PRIMARY])):
            boot.log("W", "Failed reading image headers; Image=0")
            return status
        if not status.at_start:
            yield from self._resume(status)
        elif status.swap_type != SwapType.NONE:
            good = yield from self._check.passes(SECONDARY, status)
            boot.swap_type = status.swap_type if good else SwapType.FAIL
        else:
            boot.swap_type = yield from self._validated_swap(status)
        if status.at_start and boot.options.bootstrap and boot.swap_type == SwapType.NONE:
            yield from self._bootstrap(status)
        return status

    def _read_headers(self, status: SwapStatus | None, *, both: bool = False) -> bool:
        """Whether the primary's was read, or both."""
        boot = self._boot
        for slot in (PRIMARY, SECONDARY):
            try:
                boot.headers[slot] = self._swap.header(slot, status)
                found = boot.headers[slot].is_image or status is None or not self._swap.finds_headers
            except Unreachable:
                found = False
            if not found:
                return slot == SECONDARY and not both
        return True

    def _read_status(self, status: SwapStatus) -> None:
        boot = self._boot
        status.source = self._swap.source()
        if status.source is Source.NONE:
            return
        area = boot.primary
        if status.source is Source.SCRATCH:
            assert boot.scratch is not None
            area = boot.scratch
        self._swap.read_progress(area, status)
        status.swap_type = swap_info_of(area)

    def _validated_swap(self, status: SwapStatus) -> Steps:
        kind = self._boot.wanted_swap()
        if kind in UPGRADES and not (yield from self._check.passes(SECONDARY, status, kind)):
            return SwapType.NONE
        return kind

    def _bootstrap(self, status: SwapStatus) -> Steps:
        """An empty or broken primary slot gets the secondary's image, where that is good."""
        boot = self._boot
        if (yield from self._check.passes(PRIMARY, status)):
            return
        has_image = boot.headers[SECONDARY].is_image
        if (yield from self._check.passes(SECONDARY, status)) and has_image:
            boot.swap_type = SwapType.REVERT

    # ---- doing it

    def _resume(self, status: SwapStatus) -> Steps:
        boot = self._boot
        self.resumed = status.swap_type
        yield from self._do_swap(status)
        if status.swap_type in STAYING:
            yield from set_image_ok(boot.primary)
        if status.swap_type in UPGRADES:
            yield from write_copy_done(boot.primary)
        if not self._read_headers(None if boot.options.is_main else status):
            raise Panic("the image that was swapped in has no header")
        boot.swap_type = SwapType.NONE

    def _update(self, status: SwapStatus) -> Steps:
        boot = self._boot
        status.swap_type = boot.swap_type
        forward = boot.swap_type in (SwapType.TEST, SwapType.PERMANENT)
        if forward and (yield from refuses_downgrade(boot)):
            boot.swap_type = SwapType.NONE
        elif boot.swap_type in UPGRADES:
            yield from self._perform(status)
        elif boot.swap_type == SwapType.FAIL:
            yield from set_image_ok(boot.primary)
        elif boot.swap_type != SwapType.NONE:
            boot.log("E", "panic!")
            raise Panic(f"swap type {boot.swap_type}")

    def _perform(self, status: SwapStatus) -> Steps:
        boot, kind = self._boot, self._boot.swap_type
        empty = False
        if boot.options.bootstrap:
            empty = not (yield from self._check.passes(PRIMARY, status))
        if empty:
            yield from copy_image(boot, self._swap.image_size(SECONDARY))
        else:
            yield from self._do_swap(status)
        if kind in STAYING:
            yield from set_image_ok(boot.primary)
        counted = True
        if boot.options.by_counter and kind == SwapType.PERMANENT:
            counted = yield from raise_counter(boot, boot.primary, boot.headers[SECONDARY], 0)
        if not counted:
            boot.log("E", counter_failed(boot, "image upgrade"))
        yield from write_copy_done(boot.primary)
        if not counted:
            boot.log("E", "panic!")
            raise Panic("the image has no security counter")

    def _do_swap(self, status: SwapStatus) -> Steps:
        if status.at_start:
            status.swap_size = max(
                self._swap.image_size(slot) if self._boot.headers[slot].is_image else 0
                for slot in (PRIMARY, SECONDARY)
            )
        else:
            status.swap_size = swap_size_of(find_status_area(self._boot))
        yield from self._swap.run(status, status.swap_size)

    # ---- what starts

    def _primary_is_good(self) -> Steps:
        boot = self._boot
        if boot.options.validate_primary:
            return (yield from self._check.passes(PRIMARY))
        return is_there(boot)


def is_there(boot: BootState) -> bool:
    """What MCUboot asks of the primary slot when it does not validate it."""
    header = boot.headers[PRIMARY]
    if not header.is_image:
        boot.log("E", f"bad image magic {header.magic:#x}; Image=0")
    return header.is_image
