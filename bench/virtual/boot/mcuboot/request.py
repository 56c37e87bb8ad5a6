"""What an application asks of MCUboot: boot_set_pending and boot_set_confirmed, in their order of writes.

Source: bootutil_public.c of both versions; recorded by `tests/truth` (scenarios set-pending-*,
set-confirmed).
"""

from __future__ import annotations

from bench.virtual.boot.mcuboot.area import Area
from bench.virtual.boot.mcuboot.options import Options, Upgrade
from bench.virtual.boot.mcuboot.trailer import (
    Flag,
    Magic,
    SwapType,
    swap_state,
    write_copy_done,
    write_image_ok,
    write_magic,
    write_swap_info,
)
from bench.virtual.process import Steps


def set_pending(area: Area, options: Options, *, permanent: bool = False) -> Steps:
    """Ask for the image in this slot to be started; the value is whether that could be."""
    if options.upgrade is Upgrade.DIRECT_XIP:
        return (yield from _set_next_to_run_in_place(area, permanent))
    magic = swap_state(area).magic
    if magic is Magic.BAD:
        if not options.is_main:
            yield from area.erase(0, area.size)
        return False
    if magic is Magic.UNSET:
        yield from write_magic(area)
        if permanent:
            yield from write_image_ok(area)
        yield from write_swap_info(area, SwapType.PERMANENT if permanent else SwapType.TEST)
    return True


def set_confirmed(area: Area, options: Options) -> Steps:
    """Have the image that runs from this slot stay; the value is whether that could be."""
    if options.upgrade is Upgrade.DIRECT_XIP:
        return (yield from _set_next_to_run_in_place(area, True))
    state = swap_state(area)
    if state.magic is Magic.GOOD and state.image_ok is Flag.UNSET:
        yield from write_image_ok(area)
    return state.magic is not Magic.BAD


def _set_next_to_run_in_place(area: Area, confirm: bool) -> Steps:
    state = swap_state(area)
    if state.magic is Magic.BAD:
        return False
    if state.magic is Magic.UNSET:
        yield from write_magic(area)
    if confirm:
        if state.copy_done is Flag.UNSET:
            yield from write_copy_done(area)
        if state.image_ok is Flag.UNSET:
            yield from write_image_ok(area)
    return True
