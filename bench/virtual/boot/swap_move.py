"""MCUboot's swap by moving: the primary image goes up by one sector, then sectors change places.

Source: MCUboot design document, "Swap using move".
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.virtual.boot.mcuboot_slot import Slot, SwapType
from bench.virtual.boot.swap_algorithm import Copy, Slots, Step, SwapAlgorithm


def _plan(slots: Slots, count: int, kind: SwapType) -> Sequence[Step]:
    primary, secondary, _ = slots
    up = [(Copy(primary, number, primary, number + 1),) for number in reversed(range(count))]
    exchange = [
        step
        for number in range(count)
        for step in (
            (Copy(secondary, number, primary, number),),
            (Copy(primary, number + 1, secondary, number),),
        )
    ]
    return up + exchange


def _leftover(slots: Slots, count: int, kind: SwapType) -> tuple[Slot, int]:
    return slots.primary, count


MOVE = SwapAlgorithm("move", update_sector=0, spare=1, plan=_plan, leftover=_leftover)
