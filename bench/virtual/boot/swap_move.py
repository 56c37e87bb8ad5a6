"""MCUboot's swap by moving: the primary image goes up by one sector, then sectors change places.

Source: MCUboot design document, "Swap using move".
"""

from __future__ import annotations

import struct

from bench.virtual.boot.mcuboot_slot import DONE, SECTOR, TRAILER_MAGIC, Slot, SwapType, copy_sector
from bench.virtual.process import Steps


def start_swap(primary: Slot, secondary: Slot, kind: SwapType) -> Steps:
    """Write the primary's trailer; its magic comes last, so that a cut before it starts afresh."""
    size = max(primary.total_size(), secondary.total_size())
    ok, _, info, size_at = primary.flag_offsets
    yield from primary.erase_sector(primary.trailer_sector)
    yield from primary.write(info, bytes([kind, 0xFF, 0xFF, 0xFF]))
    yield from primary.write(size_at, struct.pack("<I", size))
    if kind is not SwapType.TEST:
        yield from primary.write(ok, DONE)
    yield from primary.write(primary.region.size - 16, TRAILER_MAGIC)


def swap(primary: Slot, secondary: Slot) -> Steps:
    """Do, or go on with, the swap that the primary's trailer describes.

    Every step only destroys what an earlier, recorded step has copied elsewhere; so the step that
    a power loss interrupted is simply done again.
    """
    count = -(-primary.swap_size() // SECTOR)
    done = primary.steps_done()
    if not secondary.is_erased(secondary.trailer_sector):
        yield from secondary.erase_sector(secondary.trailer_sector)
    for step in range(done, 3 * count):
        if step < count:  # make room: move every primary sector up by one, the last first
            source = count - 1 - step
            yield from copy_sector(primary, source, primary, source + 1)
        else:
            number, second_half = divmod(step - count, 2)
            if second_half:
                yield from copy_sector(primary, number + 1, secondary, number)
            else:
                yield from copy_sector(secondary, number, primary, number)
        yield from primary.write(primary.status_offset(step), DONE)
    yield from primary.erase_sector(count)  # the spare sector still holds a copy
    yield from primary.write(primary.flag_offsets[1], DONE)
