"""Swap by moving: the primary image goes up by one sector, then sectors change places.

Source: MCUboot design document, "Swap using move"; every operation recorded by `tests/truth`.
"""

from __future__ import annotations

from bench.virtual.boot.mcuboot.area import SECTOR, Area, copy
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState, Panic
from bench.virtual.boot.mcuboot.image import Header, header_at, image_size, sectors_of
from bench.virtual.boot.mcuboot.swap_status import (
    FIRST,
    Source,
    SwapStatus,
    begin,
    find_status_area,
    last_written,
    source_by_slots,
    too_large,
    write_word,
)
from bench.virtual.boot.mcuboot.trailer import (
    Magic,
    SwapType,
    swap_size_of,
    swap_state,
    write_image_ok,
    write_magic,
    write_swap_size,
)
from bench.virtual.process import Steps

_32_BITS = 0xFFFFFFFF


class SwapByMoving:
    name = "move"
    starts_moving = True
    rereads_headers = True
    finds_headers = True

    def __init__(self, boot: BootState) -> None:
        self._boot = boot

    @property
    def largest_image(self) -> int:
        """Main leaves out the sector that the primary image moves into, 2.1.0 does not."""
        boot = self._boot
        if not boot.options.is_main:
            return boot.primary.trailer_sector * SECTOR
        trailer = sectors_of(boot.primary.trailer.size)
        return min(boot.primary.sectors - 1, boot.secondary.sectors) * SECTOR - trailer * SECTOR

    def are_slots_compatible(self) -> bool:
        boot = self._boot
        most = [boot.primary.sectors]
        if not boot.options.is_main:
            most.append(boot.primary.trailer_sector)
        return boot.primary.sectors == boot.secondary.sectors or boot.secondary.sectors + 1 in most

    def source(self) -> Source:
        return source_by_slots(self._boot)

    def read_progress(self, area: Area, status: SwapStatus) -> None:
        done, moves = last_written(area), self._boot.options.max_sectors
        if not done:
            return
        if done < moves:
            status.moving, status.exchange, status.step = True, done + FIRST, FIRST
        else:
            status.moving = False
            status.exchange = (done - moves) // 2 + FIRST
            status.step = (done - moves) % 2 + FIRST

    def header(self, slot: int, status: SwapStatus | None) -> Header:
        boot, offset = self._boot, 0
        if status is not None and not status.at_start:
            last = _sectors(swap_size_of(find_status_area(boot)))
            if status.moving:
                offset = SECTOR if slot == PRIMARY and status.exchange > last else 0
            elif FIRST < status.exchange <= last:
                slot = SECONDARY if slot == PRIMARY else PRIMARY
            elif status.exchange == FIRST and slot == PRIMARY:
                offset = SECTOR
            elif status.exchange == FIRST and status.step == FIRST + 1:
                slot = PRIMARY
        return header_at(boot.slots[slot], offset)

    def image_size(self, slot: int) -> int:
        return image_size(self._boot.slots[slot], self._boot.headers[slot])[0]

    def run(self, status: SwapStatus, size: int) -> Steps:
        boot = self._boot
        boot.log("I", "Starting swap using move algorithm.")
        last = _sectors(size)
        if too_large(boot, last, status):
            return
        if last >= boot.primary.sectors:
            raise Panic(f"a swap of {size} bytes in a slot of {boot.primary.size}")
        yield from self._keep_revert(status)
        if status.moving:
            for number in range(last, 0, -1):
                if number <= (last - status.exchange + FIRST) & _32_BITS:
                    yield from self._move_up(number, status)
            status.exchange = FIRST
        status.moving = False
        for number in range(FIRST, last + FIRST):
            if number >= status.exchange:
                yield from self._exchange(number, status)

    def _keep_revert(self, status: SwapStatus) -> Steps:
        """A revert is told by the primary's trailer, which is erased to begin it.

        So it is made to look like a permanent upgrade first, in the secondary's.
        """
        secondary = self._boot.secondary
        if status.swap_type != SwapType.REVERT or not status.moving or status.exchange != FIRST:
            return
        state = swap_state(secondary)
        self._boot.log("I", f"Secondary image: {state}")
        if state.magic is Magic.UNSET:
            yield from self._boot.erase_trailer(secondary)
            yield from write_image_ok(secondary)
            yield from write_swap_size(secondary, status.swap_size)
            yield from write_magic(secondary)

    def _move_up(self, number: int, status: SwapStatus) -> Steps:
        """Sector `number` - 1 of the primary slot to `number`."""
        boot, primary = self._boot, self._boot.primary
        if status.exchange == FIRST:
            if status.source is not Source.PRIMARY:
                yield from boot.erase_trailer(primary)
                yield from begin(boot, primary, status)
            yield from boot.erase_trailer(boot.secondary)
        yield from transfer(primary, number - 1, primary, number)
        yield from write_word(primary, status.exchange - FIRST, FIRST)
        status.exchange += 1

    def _exchange(self, number: int, status: SwapStatus) -> Steps:
        """The primary image's sector, which stands at `number`, for the secondary's at `number` - 1."""
        primary, secondary = self._boot.primary, self._boot.secondary
        word = self._boot.options.max_sectors + 2 * (status.exchange - FIRST)
        if status.step == FIRST:
            yield from transfer(secondary, number - 1, primary, number - 1)
            yield from write_word(primary, word, FIRST)
            status.step = FIRST + 1
        if status.step == FIRST + 1:
            yield from transfer(primary, number, secondary, number - 1)
            yield from write_word(primary, word + 1, FIRST + 1)
            status.exchange += 1
            status.step = FIRST


def transfer(source: Area, number: int, target: Area, into: int) -> Steps:
    """One sector to another, which is erased first."""
    yield from target.erase(into * SECTOR, SECTOR)
    yield from copy(source, number * SECTOR, target, into * SECTOR, SECTOR)


def _sectors(size: int) -> int:
    return max(1, sectors_of(size))
