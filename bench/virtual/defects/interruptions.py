"""Swaps, choices and trials that are cut off, and what they leave behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.virtual.boot import mcuboot, mcuboot_image, swap
from bench.virtual.boot.mcuboot_policy import raise_counter
from bench.virtual.boot.mcuboot_slot import Slot, SwapType, Trailer
from bench.virtual.defects.defect import NRF9160, Area

INTERRUPTIONS = Area("interrupted swaps")


@INTERRUPTIONS(
    Slot,
    "steps_done",
    source="mcuboot#829",
    boards=NRF9160,
    hints=(
        "test_power_cut_at_every_flash_operation",
        "test_brownout_during_installation",
    ),
)
def swap_goes_on_one_step_too_late(healthy: Any) -> Any:
    """After a cut the step of the swap that was under way counts as done."""

    def steps_done(self: Slot) -> int:
        done: int = healthy(self)
        return done + 1 if done else 0

    return steps_done


@INTERRUPTIONS(
    mcuboot,
    "swap",
    source="mcuboot PR#2282",
    boards=NRF9160,
    hints=("test_counter_does_not_rise_with_an_installation_that_was_cut",),
)
def resumed_swap_raises_the_counter(healthy: Any) -> Any:
    """A swap that goes on after a cut raises the security counter: the old image cannot come back."""

    def resumable(slots: Any, algorithm: Any, kind: SwapType) -> Any:
        resumed = slots.primary.steps_done() > 0
        yield from healthy(slots, algorithm, kind)
        if resumed:
            yield from raise_counter(slots.primary.machine, mcuboot_image.protected_tlvs(slots.primary))

    return resumable


@INTERRUPTIONS(
    swap,
    "_remember_revert",
    source="mcuboot#1966",
    boards=NRF9160,
    hints=("test_power_cut_at_every_flash_operation_of_a_revert",),
)
def revert_forgotten_by_a_cut(healthy: Any) -> Any:
    """A revert that is cut at its beginning is not taken up again: the image on trial stays for good."""

    def remember(secondary: Slot) -> Any:
        yield 0.0

    return remember


@INTERRUPTIONS(
    Slot,
    "trailer",
    source="MCUboot main, a torn copy_done",
    boards=NRF9160,
    hints=("test_power_cut_at_every_flash_operation",),
)
def torn_copy_done_never_reverts(healthy: Any) -> Any:
    """A cut while the end of the swap is recorded leaves an image that neither is on trial nor stays."""

    def trailer(self: Slot) -> Trailer:
        found: Trailer = healthy(self)
        return found if found.copy_done in (None, 1) else replace(found, swap_info=None)

    return trailer


@INTERRUPTIONS(
    mcuboot_image, "tlvs_of", source="MCUboot notes", boards=NRF9160, hints=("test_hostile_image_is_refused",)
)
def plain_tlvs_count_as_protected(healthy: Any) -> Any:
    """A security counter or dependency outside the signed part takes the place of the signed one."""

    def tlvs_of(slot: Slot, header: Any) -> Any:
        found = healthy(slot, header)
        return found and ({**found[0], **found[1]}, found[1])

    return tlvs_of
