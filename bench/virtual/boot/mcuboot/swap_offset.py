"""Swap by offset: the update lies one sector up in the secondary slot, which leaves room.

Source: MCUboot design document, "Swap using offset"; every operation recorded by `tests/truth`. An
upgrade goes from the start of the slots to their end and leaves the old image at the secondary slot's
very start; a revert goes back the same way.
"""

from __future__ import annotations

from bench.virtual.boot.mcuboot.area import SECTOR, Area
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState, Panic
from bench.virtual.boot.mcuboot.image import Header, header_at, image_size, sectors_of
from bench.virtual.boot.mcuboot.swap_move import transfer
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
    tlv_sizes_of,
    write_copy_done,
)
from bench.virtual.process import Steps

_SECOND = FIRST + 1


class SwapByOffset:
    name = "offset"
    starts_moving = False
    rereads_headers = True
    finds_headers = True

    def __init__(self, boot: BootState) -> None:
        self._boot = boot

    @property
    def largest_image(self) -> int:
        boot = self._boot
        trailer = sectors_of(boot.primary.trailer.size)
        return (min(boot.primary.sectors, boot.secondary.sectors - 1) - trailer) * SECTOR

    def are_slots_compatible(self) -> bool:
        primary, secondary = (slot.sectors for slot in self._boot.slots)
        return primary in (secondary, secondary - 1)

    def source(self) -> Source:
        return source_by_slots(self._boot)

    def read_progress(self, area: Area, status: SwapStatus) -> None:
        done = last_written(area)
        if done:
            status.exchange, status.step = done // 2 + FIRST, done % 2 + FIRST

    # ---- where the images are

    def header(self, slot: int, status: SwapStatus | None) -> Header:
        boot, asked = self._boot, slot
        settled = status is None or status.at_start
        if settled:
            offset = self._start_at_rest(slot, status)
        else:
            assert status is not None
            slot, offset = self._place_under_way(slot, status)
        header = header_at(boot.slots[slot], offset)
        if settled and not header.is_image and asked == SECONDARY:
            offset = SECTOR if boot.wanted_swap() is SwapType.REVERT else 0
            header = header_at(boot.slots[slot], offset)
        if header.is_image and status is not None and slot == SECONDARY:
            boot.secondary_start = offset
        return header

    def _start_at_rest(self, slot: int, status: SwapStatus | None) -> int:
        boot = self._boot
        if status is None:
            if slot == SECONDARY and boot.wanted_swap() is not SwapType.REVERT:
                return SECTOR
            return 0
        if self._is_revert(status) or slot == PRIMARY:
            return 0
        return SECTOR

    def _is_revert(self, status: SwapStatus) -> bool:
        return status.swap_type == SwapType.REVERT or self._boot.wanted_swap() is SwapType.REVERT

    def _place_under_way(self, slot: int, status: SwapStatus) -> tuple[int, int]:
        last = _last_sector(swap_size_of(find_status_area(self._boot)))
        done = status.exchange - FIRST
        if self._is_revert(status):
            if slot == PRIMARY:
                moved = done > last or (done == last and status.step == _SECOND)
                return (SECONDARY, SECTOR) if moved else (PRIMARY, 0)
            moved = done > last or (done == last and status.step == FIRST + 2)
            return (PRIMARY, 0) if moved else (SECONDARY, 0)
        if slot == PRIMARY:
            moved = (done > 0 or status.step == _SECOND) and status.exchange <= last
            return (SECONDARY if moved else PRIMARY), 0
        return (PRIMARY, 0) if done > 0 else (SECONDARY, SECTOR)

    def image_size(self, slot: int) -> int:
        boot = self._boot
        start = boot.secondary_start if slot == SECONDARY else 0
        size, plain = image_size(boot.slots[slot], boot.headers[slot], start)
        boot.tlv_sizes[slot] = plain
        return size

    # ---- the swap

    def run(self, status: SwapStatus, size: int) -> Steps:
        boot = self._boot
        boot.log("I", "Starting swap using offset algorithm.")
        last = _last_sector(size)
        if too_large(boot, last, status):
            return
        if last >= boot.primary.sectors:
            raise Panic(f"a swap of {size} bytes in a slot of {boot.primary.size}")
        yield from self._keep_revert(status)
        if status.exchange == FIRST:
            if status.source is not Source.PRIMARY:
                yield from boot.erase_trailer(boot.primary)
                yield from begin(boot, boot.primary, status)
            yield from boot.erase_trailer(boot.secondary)
        used = [
            sectors_of(header.header_size + header.protected_size + plain + header.body_size)
            for header, plain in zip(boot.headers, tlv_sizes_of(boot.primary), strict=True)
        ]
        if self._is_revert(status):
            for done in range(last + 1):
                if done >= status.exchange - FIRST:
                    number = last - done
                    yield from self._exchange(number, number + 1, number, status, used)
            yield from boot.erase_range(boot.secondary, 0, SECTOR)
            yield from boot.erase_trailer(boot.secondary)
        else:
            for number in range(last + 1):
                if number >= status.exchange - FIRST:
                    yield from self._exchange(number, number, number + 1, status, used)

    def _keep_revert(self, status: SwapStatus) -> Steps:
        """The secondary's trailer tells that a revert is under way, as long as the primary's does not."""
        secondary = self._boot.secondary
        if status.swap_type != SwapType.REVERT or status.exchange != FIRST:
            return
        state = swap_state(secondary)
        self._boot.log("I", f"Secondary image: {state}")
        if state.magic is Magic.UNSET:
            yield from self._boot.erase_trailer(secondary)
            yield from write_copy_done(secondary)
            yield from begin(self._boot, secondary, status)

    def _exchange(self, number: int, free: int, wanted: int, status: SwapStatus, used: list[int]) -> Steps:
        """Sector `number` of the primary slot to the secondary's `free`, that one's `wanted` to `number`.

        What lies behind the end of an image is left out, but recorded like the rest.
        """
        primary, secondary = self._boot.primary, self._boot.secondary
        word = 2 * (status.exchange - FIRST)
        if status.step == FIRST:
            if number <= used[PRIMARY]:
                yield from transfer(primary, number, secondary, free)
            yield from write_word(primary, word, FIRST)
            status.step = _SECOND
        if status.step == _SECOND:
            if number <= used[SECONDARY]:
                yield from transfer(secondary, wanted, primary, number)
            yield from write_word(primary, word + 1, _SECOND)
            status.exchange += 1
            status.step = FIRST


def _last_sector(size: int) -> int:
    return max(1, sectors_of(size)) - 1
