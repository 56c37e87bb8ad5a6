"""Swap by scratch: as many sectors as the scratch area holds change places through it.

Source: MCUboot design document, "Image swapping"; every operation recorded by `tests/truth`. It goes
from the end of the slots to their start. Where the first exchange takes in the trailer, the status is
kept in the scratch area until the primary slot has a trailer again.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.virtual.boot.mcuboot.area import SECTOR, WORD, Area, copy
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, BootState, Panic
from bench.virtual.boot.mcuboot.image import Header, header_at, image_size, sectors_of
from bench.virtual.boot.mcuboot.swap_status import (
    FIRST,
    Source,
    SwapStatus,
    begin,
    find_status_area,
    status_words,
    write_word,
)
from bench.virtual.boot.mcuboot.trailer import (
    Flag,
    Magic,
    SwapType,
    swap_size_of,
    swap_state,
    write_image_ok,
    write_magic,
    write_swap_info,
    write_swap_size,
)
from bench.virtual.process import Steps

_STEPS = 3
_SECOND, _THIRD = FIRST + 1, FIRST + 2


class SwapByScratch:
    name = "scratch"
    starts_moving = True  # there is no such phase; MCUboot's fresh status says so all the same
    finds_headers = False

    def __init__(self, boot: BootState) -> None:
        self._boot = boot
        assert boot.scratch is not None
        self._scratch = boot.scratch
        self.rereads_headers = boot.options.is_main

    @property
    def largest_image(self) -> int:
        """Up to the trailer; main keeps room for the scratch area's trailer in the sector of its start."""
        primary = self._boot.primary
        if not self._boot.options.is_main:
            return primary.status_offset
        in_first_sector = (primary.trailer_sector + 1) * SECTOR - primary.status_offset
        return primary.status_offset - max(0, self._scratch.trailer.size - in_first_sector)

    def are_slots_compatible(self) -> bool:
        return self._boot.primary.sectors == self._boot.secondary.sectors

    def source(self) -> Source:
        boot = self._boot
        primary, scratch = swap_state(boot.primary), swap_state(self._scratch)
        boot.log("I", f"Primary image: {primary}")
        boot.log("I", f"Scratch: {scratch}")
        found = Source.NONE
        if (
            primary.magic is Magic.GOOD
            and scratch.magic is not Magic.GOOD
            and primary.copy_done
            in (
                Flag.SET,
                Flag.UNSET,
            )
        ):
            found = Source.NONE if primary.copy_done is Flag.SET else Source.PRIMARY
        elif scratch.magic is Magic.GOOD:
            found = Source.SCRATCH
        elif primary.magic is Magic.UNSET and primary.copy_done is Flag.UNSET:
            found = Source.PRIMARY  # so also on a board that has never swapped
        names = {Source.NONE: "none", Source.SCRATCH: "scratch", Source.PRIMARY: "primary slot"}
        boot.log("I", f"Boot source: {names[found]}")
        return found

    def read_progress(self, area: Area, status: SwapStatus) -> None:
        """Up to the first gap behind a written word."""
        words = status_words(area)
        if True not in words:
            return
        first = words.index(True)
        done = words.index(False, first) if False in words[first:] else len(words)
        status.exchange, status.step = done // _STEPS + FIRST, done % _STEPS + FIRST

    def header(self, slot: int, status: SwapStatus | None) -> Header:
        boot, area = self._boot, self._boot.slots[slot]
        if boot.options.is_main and status is not None and not status.at_start:
            count = len(self._exchanges(swap_size_of(find_status_area(boot))))
            done = status.exchange - FIRST
            if done >= count:
                area = boot.slots[SECONDARY if slot == PRIMARY else PRIMARY]
            elif done == count - 1:
                if slot == SECONDARY and status.step >= _SECOND:
                    area = self._scratch
                elif slot == PRIMARY and status.step >= _THIRD:
                    area = boot.secondary
        return header_at(area)

    def image_size(self, slot: int) -> int:
        return image_size(self._boot.slots[slot], self._boot.headers[slot])[0]

    def _exchanges(self, size: int) -> Sequence[tuple[int, int]]:
        """First sector and number of sectors of each, in order; raises `Panic` beyond the slot."""
        end, most = max(1, sectors_of(size)), self._scratch.sectors
        if end > self._boot.primary.sectors:
            raise Panic(f"a swap of {size} bytes in a slot of {self._boot.primary.size}")
        found = []
        while end > 0:
            first = max(0, end - most)
            found.append((first, end - first))
            end = first
        return found

    def run(self, status: SwapStatus, size: int) -> Steps:
        self._boot.log("I", "Starting swap using scratch algorithm.")
        for number, (first, count) in enumerate(self._exchanges(size)):
            if number >= status.exchange - FIRST:
                yield from self._exchange(first, count, status)

    # ---- one exchange

    def _exchange(self, first: int, count: int, status: SwapStatus) -> Steps:
        primary = self._boot.primary
        start, length = first * SECTOR, count * SECTOR
        copied = length
        if first + count > primary.trailer_sector:
            copied = self._without_trailer(start, length)
        status.in_scratch = status.exchange == FIRST and copied != length
        if status.step == FIRST:
            yield from self._to_scratch(start, copied, status)
        if status.step == _SECOND:
            yield from self._to_secondary(start, length, copied, status)
        if status.step == _THIRD:
            yield from self._to_primary(start, length, copied, status)

    def _without_trailer(self, start: int, length: int) -> int:
        primary = self._boot.primary
        if not self._boot.options.is_main:
            return max(0, length - primary.trailer.size)
        return min(primary.size - start - primary.trailer.size, self._scratch.status_offset)

    def _record(self, status: SwapStatus) -> Steps:
        area = self._scratch if status.in_scratch else self._boot.primary
        number = _STEPS * (status.exchange - FIRST) + status.step - FIRST
        yield from write_word(area, number, status.step)

    def _to_scratch(self, start: int, copied: int, status: SwapStatus) -> Steps:
        boot, scratch = self._boot, self._scratch
        yield from boot.erase_range(scratch, 0, scratch.size)
        if status.exchange == FIRST:
            yield from begin(boot, scratch, status)  # keeps the swap's type while the primary's is erased
            if not status.in_scratch:
                yield from boot.erase_trailer(boot.primary)
                yield from begin(boot, boot.primary, status)
                yield from boot.erase_range(scratch, 0, scratch.size)
        yield from copy(boot.secondary, start, scratch, 0, copied)
        yield from self._record(status)
        status.step = _SECOND

    def _to_secondary(self, start: int, length: int, copied: int, status: SwapStatus) -> Steps:
        boot, secondary = self._boot, self._boot.secondary
        erased = length
        if boot.options.is_main and status.exchange == FIRST:
            yield from boot.erase_trailer(secondary)
            if status.in_scratch:
                erased = secondary.trailer_sector * SECTOR - start
        if erased > 0:
            yield from boot.erase_range(secondary, start, erased)
        yield from copy(boot.primary, start, secondary, start, copied)
        if not boot.options.is_main and status.exchange == FIRST and not status.in_scratch:
            yield from boot.erase_trailer(secondary)
        yield from self._record(status)
        status.step = _THIRD

    def _to_primary(self, start: int, length: int, copied: int, status: SwapStatus) -> Steps:
        boot, primary, scratch = self._boot, self._boot.primary, self._scratch
        erased = length
        if boot.options.is_main and status.in_scratch:
            yield from boot.erase_trailer(primary)
            erased = primary.trailer_sector * SECTOR - start
        if erased > 0:
            yield from boot.erase_range(primary, start, erased)
        yield from copy(scratch, 0, primary, start, copied)
        was_in_scratch = status.in_scratch
        if was_in_scratch:
            yield from self._trailer_from_scratch(start + copied, status)
        status.in_scratch = False
        yield from self._record(status)
        status.exchange += 1
        status.step = FIRST
        if was_in_scratch:
            yield from boot.erase_range(scratch, 0, scratch.size, backwards=True)

    def _trailer_from_scratch(self, into: int, status: SwapStatus) -> Steps:
        primary, scratch = self._boot.primary, self._scratch
        yield from copy(scratch, scratch.status_offset, primary, into, (_STEPS - 1) * WORD)
        state = swap_state(scratch)
        if state.image_ok is Flag.SET:
            yield from write_image_ok(primary)
        if state.swap_type != SwapType.NONE:
            yield from write_swap_info(primary, state.swap_type)
        yield from write_swap_size(primary, status.swap_size)
        yield from write_magic(primary)
