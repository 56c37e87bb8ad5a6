"""What lies beside what an update writes: the next page, the other bank and slot, settings, fuses."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from typing import Any

from bench.virtual.boot import esp32_otadata as otadata
from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.area import SECTOR
from bench.virtual.defects.defect import ESP32, NRF9160, Area, Patch
from bench.virtual.firmware import settings
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.component_store import BANK_SIZE, Bank, Banks
from bench.virtual.firmware.update.machine import Progress
from bench.virtual.firmware.update.reception import Reception

NEIGHBOURS = Area("what lies beside an update")
ERASED = 0xFFFFFFFF


def _and_the_page_at(machine: Any, offset: int) -> Any:
    if not machine.flash.is_erased(offset, SECTOR):
        yield from machine.flash.erase(offset, SECTOR, machine.now)


def _esp32_erases_too_far(healthy: Any) -> Any:
    def erase(self: EspOtaSlots, start: int = 0) -> Any:
        yield from healthy(self, start)
        yield from _and_the_page_at(self._machine, self._place.offset + self._place.size)

    return erase


@NEIGHBOURS(
    McubootSlots,
    "erase",
    source="own",
    hints=(
        "test_longer_image_comes_back_whole",
        "test_update_of_the_application",
    ),
    also=(Patch(EspOtaSlots, "erase", _esp32_erases_too_far),),
)
def page_behind_the_slot_erased(healthy: Any) -> Any:
    """Erasing the update slot takes the first page of the region behind it along."""

    def erase(self: McubootSlots, start: int = 0) -> Any:
        yield from healthy(self, start)
        yield from _and_the_page_at(self._other.machine, self._other.start + self._other.size)

    return erase


@NEIGHBOURS(EspOtaSlots, "erase", source="own", boards=ESP32, hints=("test_longer_image_comes_back_whole",))
def page_before_the_slot_erased(healthy: Any) -> Any:
    """Erasing the update slot takes the last page of the region before it along."""

    def erase(self: EspOtaSlots, start: int = 0) -> Any:
        yield from healthy(self, start)
        if start == 0:
            yield from _and_the_page_at(self._machine, self._place.offset - SECTOR)

    return erase


@NEIGHBOURS(Bank, "erase", source="own", boards=NRF9160, hints=("test_second_package_of_a_component",))
def bank_erased_with_its_neighbour(healthy: Any) -> Any:
    """Erasing a component's bank takes the bank behind it along, whosever it is."""

    def erase(self: Bank, start: int = 0) -> Any:
        yield from healthy(self, start)
        yield from _and_the_page_at(self._machine, self._offset + BANK_SIZE)

    return erase


@NEIGHBOURS(Banks, "next", source="own", boards=NRF9160, hints=("test_second_package_of_a_component",))
def component_written_over_itself(healthy: Any) -> Any:
    """Every package of a component goes into its first bank, also when that is the one in use."""
    return property(lambda self: 0)


@NEIGHBOURS(
    Settings, "_start_half", source="own", hints=("test_setting_is_kept_however_often_others_change",)
)
def settings_lost_when_their_log_is_full(healthy: Any) -> Any:
    """When the log of settings turns to its other half, only the record of the update comes along."""

    def start_half(self: Settings) -> Any:
        steps, held = healthy(self), self.values
        if self._generation:
            self.values = {name: value for name, value in held.items() if name == "fota"}
        first = next(steps)  # what is to be written is put together now
        self.values = held
        yield first
        yield from steps

    return start_half


@NEIGHBOURS(Settings, "_start_half", source="own", hints=("test_power_cut_of_a_used_board",))
def settings_half_valid_before_it_is_filled(healthy: Any) -> Any:
    """The header of a fresh half is written first: a cut before the entries follow loses them all."""

    def start_half(self: Settings) -> Any:
        self._active = 1 - self._active if self._generation else 0
        self._generation += 1
        start, flash, now = self._starts[self._active], self._machine.flash, self._machine.now
        body = b"".join(settings._record(key, value) for key, value in self.values.items())
        head = struct.pack("<II", settings.MAGIC, self._generation)
        head += struct.pack("<I", zlib.crc32(head))
        self._end = len(head) + len(body)
        yield from flash.erase(start, self._half, now)
        yield from flash.write(start, head, now)
        yield from flash.write(start + len(head), body, now)

    return start_half


@NEIGHBOURS(Settings, "load", source="own", hints=("test_power_cut_of_a_used_board",))
def torn_entry_loses_all_settings(healthy: Any) -> Any:
    """An entry whose writing was cut makes the whole log count as damaged."""

    def load(self: Settings) -> None:
        healthy(self)
        position, head = settings._HEADER.size, settings._RECORD.size
        while self.values and position + head <= self._half:
            length, crc = settings._RECORD.unpack(self._read(position, head))
            if length == crc == ERASED:
                return
            if (
                length > self._half - position - head
                or zlib.crc32(self._read(position + head, length)) != crc
            ):
                self.values = {}
            position += head + settings._aligned(length)

    return load


@NEIGHBOURS(EspOtaSlots, "_write", source="own", boards=ESP32, hints=("test_bad_build_after_a_good_one",))
def ota_data_rewritten_in_place(healthy: Any) -> Any:
    """The choice of the new slot overwrites the one in force, not the older one of the two."""

    def write(self: EspOtaSlots, entry: otadata.Entry) -> Any:
        active = self._active()
        if active is not None and entry.state == otadata.NEW:
            entry = replace(entry, sector=active.sector)
        yield from healthy(self, entry)

    return write


@NEIGHBOURS(
    EspOtaSlots,
    "_write",
    source="own",
    boards=ESP32,
    hints=(
        "test_longer_image_comes_back_whole",
        "test_updates_in_a_row",
    ),
)
def ota_sequence_not_raised(healthy: Any) -> Any:
    """The sequence number is the slot's own: the way back to the first slot is never taken."""

    def write(self: EspOtaSlots, entry: otadata.Entry) -> Any:
        if entry.state == otadata.NEW:
            entry = otadata.made(entry.sector, self._target + 1, otadata.NEW)
        yield from healthy(self, entry)

    return write


@NEIGHBOURS(
    EspOtaSlots,
    "__init__",
    source="own",
    boards=ESP32,
    hints=(
        "test_longer_image_comes_back_whole",
        "test_updates_in_a_row",
    ),
)
def update_always_into_the_second_slot(healthy: Any) -> Any:
    """Every package goes into the second slot, also when that is the one that runs."""

    def init(self: EspOtaSlots, *arguments: Any) -> None:
        healthy(self, *arguments)
        layout = self._board.layout
        self._target = max(layout.ota)
        self.region, self._place = layout.labels[self._target], layout.place(self._target)

    return init


@NEIGHBOURS(Reception, "_keep_progress", source="own", hints=("test_wear",))
def settings_erased_with_each_block_of_a_pull(healthy: Any) -> Any:
    """The progress of a PULL is kept after each block, and each time the settings are erased for it."""

    def keep_progress(self: Reception, etag: bytes) -> Any:
        keeper = self._fota.keeper
        if isinstance(keeper, Settings):
            keeper._end = keeper._half
            self._fota.progress = Progress(self.uri, etag, self._store.received)
            yield from self._fota.keep()

    return keep_progress
