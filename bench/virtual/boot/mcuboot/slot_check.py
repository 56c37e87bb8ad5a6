"""Whether the image in a slot may be swapped in or started, and what becomes of one that may not.

Source: MCUboot design document, "High-level operation"; recorded by `tests/truth`.
"""

from __future__ import annotations

import struct

from bench.virtual.boot.mcuboot.area import Area
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState
from bench.virtual.boot.mcuboot.image import (
    ERASED_MAGIC,
    NON_BOOTABLE,
    Header,
    fits,
    header_at,
    security_counter,
)
from bench.virtual.boot.mcuboot.options import Upgrade
from bench.virtual.boot.mcuboot.swap_status import SwapStatus
from bench.virtual.boot.mcuboot.trailer import Flag, Magic, SwapType, swap_state
from bench.virtual.boot.mcuboot.validation import Validator
from bench.virtual.process import Steps

HASH_RATE = 1.5e6  # bytes of flash hashed in a second; SHA-256 in software at 64 MHz, an estimate
_VERIFY_TIME = 0.25  # seconds for one ECDSA-P256 check in software, an estimate
_RESET_VECTOR = 4
"""Offset in a Cortex-M image's body."""


def start_of(boot: BootState, slot: int) -> int:
    """Where the slot's image begins in it."""
    return boot.secondary_start if slot == SECONDARY else 0


def is_erased_header(header: Header) -> bool:
    return header.magic == ERASED_MAGIC


def is_downgrade(candidate: Header, running: Header) -> bool:
    """Whether the candidate's version is lower."""
    return candidate.number < running.number


class SlotCheck:
    """`largest` is the most bytes that an image may have in this way to upgrade."""

    def __init__(self, boot: BootState, largest: int) -> None:
        self._boot, self._largest = boot, largest

    def passes(self, slot: int, status: SwapStatus | None = None, wanted: int = 0) -> Steps:
        """The value is whether; an image that must not be in its slot is erased on the way.

        `wanted` is the swap that the check is for, where it is a fresh one.
        """
        boot = self._boot
        area, header = boot.slots[slot], boot.headers[slot]
        if is_erased_header(header) or header.flags & NON_BOOTABLE:
            if slot == SECONDARY and boot.options.swaps:
                yield from self._forget_request(status)
            return False
        if slot == SECONDARY and self._is_at_wrong_place(status, wanted):
            boot.log("E", "Secondary header magic detected in first sector, wrong upload address?")
            yield from boot.erase_slot(area)
            return False
        if slot == SECONDARY and self._is_older_overwrite():
            word = "Insufficient" if boot.options.is_main else "insufficient"
            boot.log("E", f"{word} version in secondary slot")
            yield from boot.erase_slot(area)
            return False
        good = fits(header, area, is_main=boot.options.is_main)
        if good:
            yield min(header.covered, area.size) / HASH_RATE + _VERIFY_TIME
            good = self._believes(area, header, slot)
        if not good:
            if slot == SECONDARY or boot.options.upgrade is Upgrade.DIRECT_XIP:
                yield from boot.erase_slot(area)
            return False
        if slot == SECONDARY and not self._is_for_primary():
            boot.log("E", "Binary in secondary slot of image 0 is not designated for the primary slot")
            boot.log("E", "Erasing image from secondary slot")
            yield from boot.erase_slot(area)
            return False
        return True

    def _believes(self, area: Area, header: Header, slot: int) -> bool:
        boot = self._boot
        counter = boot.counter.value if boot.options.by_counter else None
        validator = Validator(boot.options, boot.keys, counter, self._largest, boot.log)
        return validator.believes(area, header, start_of(boot, slot))

    def _forget_request(self, status: SwapStatus | None) -> Steps:
        boot = self._boot
        yield from boot.erase_trailer(boot.secondary)
        if not (boot.options.is_main and boot.options.upgrade is Upgrade.MOVE):
            return
        told = status is not None and status.swap_type == SwapType.REVERT
        if told or boot.wanted_swap() is SwapType.REVERT:
            yield from boot.erase_trailer(boot.primary)
            boot.log("I", "Cleared image 0 primary slot trailer due to stuck revert")

    def _is_at_wrong_place(self, status: SwapStatus | None, wanted: int) -> bool:
        """With an offset, an image in the first sector was written by an application that knows none."""
        boot = self._boot
        if boot.options.upgrade is not Upgrade.OFFSET or status is None or not status.at_start:
            return False
        asked = wanted in (SwapType.TEST, SwapType.PERMANENT)
        return asked and header_at(boot.secondary).is_image

    def _is_older_overwrite(self) -> bool:
        """A swap looks at the version later, when it is clear that there will be one."""
        boot = self._boot
        if boot.options.upgrade is not Upgrade.OVERWRITE or not boot.options.by_version:
            return False
        primary = boot.headers[PRIMARY]
        return is_downgrade(boot.headers[SECONDARY], primary) and not is_erased_header(primary)

    def _is_for_primary(self) -> bool:
        """By the address of its first instruction (MCUBOOT_VERIFY_IMG_ADDRESS, on for overwrite-only).

        2.1.0 looks only where there are several images.
        """
        boot = self._boot
        if boot.options.upgrade is not Upgrade.OVERWRITE or not boot.options.is_main:
            return True
        at = boot.headers[SECONDARY].header_size + _RESET_VECTOR
        (address,) = struct.unpack("<I", boot.secondary.read(at, 4))
        return bool(boot.primary.start <= address < boot.primary.start + boot.primary.size)


def refuses_downgrade(boot: BootState) -> Steps:
    """Before a swap to another version, not before a revert; the refused image is erased."""
    options = boot.options
    if not options.by_version or not options.swaps:
        return False
    if options.by_image_counter:
        older = _has_lower_counter(boot)
    else:
        older = is_downgrade(boot.headers[SECONDARY], boot.headers[PRIMARY])
    if older:
        boot.log("I", "Image 0 in slot 1 erased due to downgrade prevention")
        yield from boot.erase_slot(boot.secondary)
    return older


def _has_lower_counter(boot: BootState) -> bool:
    running, candidate = (
        security_counter(
            boot.slots[slot], boot.headers[slot], start_of(boot, slot), is_main=boot.options.is_main
        )
        for slot in (PRIMARY, SECONDARY)
    )
    return running is not None and (candidate is None or running > candidate)


def protects_from_rollback(boot: BootState) -> Steps:
    """Raises the platform's counter to that of an image that stays; the value is False on failure.

    2.1.0 takes an image for one that stays when this boot has swapped nothing, which is also so when it
    has ended an interrupted swap (mcu-tools/mcuboot#2282).
    """
    if not boot.options.by_counter:
        return True
    if boot.options.is_main:
        state = swap_state(boot.primary)
        stays = state.magic is not Magic.GOOD or state.image_ok is Flag.SET
    else:
        stays = boot.swap_type == SwapType.NONE
    if stays and not (yield from raise_counter(boot, boot.primary, boot.headers[PRIMARY], 0)):
        boot.log("E", counter_failed(boot, "image 0 validation"))
        return False
    return True


def counter_failed(boot: BootState, after: str) -> str:
    """The line of each version."""
    if boot.options.is_main:
        return f"Security counter update failed after {after}: -1"
    return f"Security counter update failed after {after.replace(' 0', '')}."


def raise_counter(boot: BootState, area: Area, header: Header, start: int) -> Steps:
    """To that of an image that will stay; the value is whether that went well."""
    counter = security_counter(area, header, start, is_main=boot.options.is_main)
    if counter is None:
        return False
    yield from boot.counter.raise_to(counter)
    return True
