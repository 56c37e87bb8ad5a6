"""MCUboot's swap by offset: the update lies one sector up in the secondary slot, which leaves room.

Source: MCUboot design document, "Swap using offset". An upgrade goes from the start of the slots to
their end and leaves the old image at the secondary slot's very start; a revert goes back the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.virtual.boot.mcuboot_slot import Slot, SwapType
from bench.virtual.boot.swap_algorithm import Copy, Slots, Step, SwapAlgorithm


def _plan(slots: Slots, count: int, kind: SwapType) -> Sequence[Step]:
    primary, secondary, _ = slots
    steps: list[Step] = []
    if kind is SwapType.REVERT:
        for number in reversed(range(count)):
            steps.append((Copy(primary, number, secondary, number + 1),))
            steps.append((Copy(secondary, number, primary, number),))
    else:
        for number in range(count):
            steps.append((Copy(primary, number, secondary, number),))
            steps.append((Copy(secondary, number + 1, primary, number),))
    return steps


def _leftover(slots: Slots, count: int, kind: SwapType) -> tuple[Slot, int]:
    return slots.secondary, 0 if kind is SwapType.REVERT else count


OFFSET = SwapAlgorithm("offset", update_sector=1, spare=1, plan=_plan, leftover=_leftover)
