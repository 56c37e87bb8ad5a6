"""Swaps, choices and trials that are cut off, and what they leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.virtual.boot.mcuboot import package_check, swap_move, validation
from bench.virtual.boot.mcuboot.area import Area as FlashArea
from bench.virtual.boot.mcuboot.boot_state import PRIMARY
from bench.virtual.boot.mcuboot.image import Entry, Tlvs
from bench.virtual.boot.mcuboot.slot_check import raise_counter
from bench.virtual.boot.mcuboot.swap_loader import SwapLoader
from bench.virtual.boot.mcuboot.swap_move import SwapByMoving
from bench.virtual.defects.defect import NRF9160, Area, Patch

INTERRUPTIONS = Area("interrupted swaps")


@INTERRUPTIONS(
    swap_move,
    "last_written",
    source="mcuboot#829",
    boards=NRF9160,
    hints=(
        "test_power_cut_at_every_flash_operation",
        "test_brownout_during_installation",
    ),
)
def swap_goes_on_one_step_too_late(healthy: Any) -> Any:
    """After a cut the step of the swap that was under way counts as done."""

    def last_written(area: FlashArea) -> int:
        done: int = healthy(area)
        return done + 1 if done else 0

    return last_written


@INTERRUPTIONS(
    SwapLoader,
    "_resume",
    source="mcuboot PR#2282",
    boards=NRF9160,
    hints=("test_counter_does_not_rise_with_an_installation_that_was_cut",),
)
def resumed_swap_raises_the_counter(healthy: Any) -> Any:
    """A swap that goes on after a cut raises the security counter: the old image cannot come back."""

    def resume(self: SwapLoader, status: Any) -> Any:
        yield from healthy(self, status)
        yield from raise_counter(self._boot, self._boot.primary, self._boot.headers[PRIMARY], 0)

    return resume


@INTERRUPTIONS(
    SwapByMoving,
    "_keep_revert",
    source="mcuboot#1966",
    boards=NRF9160,
    hints=("test_power_cut_at_every_flash_operation_of_a_revert",),
)
def revert_forgotten_by_a_cut(healthy: Any) -> Any:
    """A revert that is cut at its beginning is not taken up again: the image on trial stays for good."""

    def keep_revert(self: SwapByMoving, status: Any) -> Any:
        yield 0.0

    return keep_revert


def _plain_before_protected(healthy: Any) -> Any:
    """`entries` of which a plain one counts, and stands for a protected one of its kind."""

    def entries(tlvs: Tlvs, *kind: int) -> Iterator[Entry]:
        found = list(healthy(tlvs, *kind))
        plain = {entry.kind for entry in found if not entry.is_protected}
        return (e._replace(is_protected=True) for e in found if not (e.is_protected and e.kind in plain))

    return entries


@INTERRUPTIONS(
    validation,
    "entries",
    source="MCUboot notes",
    boards=NRF9160,
    hints=("test_hostile_image_is_refused",),
    also=(Patch(package_check, "entries", _plain_before_protected),),
)
def plain_tlvs_count_as_protected(healthy: Any) -> Any:
    """A security counter or dependency outside the signed part takes the place of the signed one."""
    return _plain_before_protected(healthy)
