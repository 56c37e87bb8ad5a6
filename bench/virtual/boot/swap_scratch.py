"""MCUboot's swap by scratch: as many sectors as the scratch region holds change places through it.

Source: MCUboot design document, "Image swapping": from the end of the slots to their start. That
document keeps the record of the first exchange in the scratch region, as the sectors that hold the
trailer take part in it; here images end before the trailer's sector, which is never exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.virtual.boot.mcuboot_slot import SwapType
from bench.virtual.boot.swap_algorithm import Copy, Slots, Step, SwapAlgorithm


def _plan(slots: Slots, count: int, kind: SwapType) -> Sequence[Step]:
    primary, secondary, scratch = slots
    assert scratch is not None, "the board file gives no region 'scratch'"
    steps: list[Step] = []
    for start in reversed(range(0, count, scratch.sectors)):
        numbers = range(start, min(count, start + scratch.sectors))
        steps.append(tuple(Copy(secondary, n, scratch, n - start) for n in numbers))
        steps.append(tuple(Copy(primary, n, secondary, n) for n in numbers))
        steps.append(tuple(Copy(scratch, n - start, primary, n) for n in numbers))
    return steps


def _leftover(slots: Slots, count: int, kind: SwapType) -> None:
    """The scratch region is erased before it is used again."""


SCRATCH = SwapAlgorithm("scratch", update_sector=0, spare=0, plan=_plan, leftover=_leftover)
