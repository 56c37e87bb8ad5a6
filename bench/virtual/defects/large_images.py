"""Images longer than most, or of a length that few have: counters, watchdogs, last pages and last blocks."""

from __future__ import annotations

from typing import Any

from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.mcuboot import swap_move
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.area import SECTOR
from bench.virtual.boot.mcuboot.boot_state import PRIMARY
from bench.virtual.boot.mcuboot.swap_move import SwapByMoving
from bench.virtual.defects.defect import NRF9160, Area, Patch
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Block, Message
from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.firmware.downloads.http import HttpDownload

LARGE = Area("large and odd images")
EIGHTEEN_BITS, NINE_BITS = 1 << 18, 1 << 9
FEW_SECTORS = 64
WATCHDOG = 6.0
"""Seconds."""


@LARGE(CoapBlocks, "_request", source="own", hints=("test_last_byte_is_alone",))
def block_number_of_9_bits_in_a_pull(healthy: Any) -> Any:
    """Behind block 511 a PULL asks for block 0 again."""

    def request(self: CoapBlocks, token: bytes = b"") -> Message:
        message: Message = healthy(self, token)
        block = Block.of(message, coap.BLOCK2)
        assert block is not None
        message.options = [option for option in message.options if option[0] != coap.BLOCK2]
        message.add_uint(coap.BLOCK2, Block(block.number % NINE_BITS, False, block.exponent).value)
        return message

    return request


def _bitten(healthy: Any, machine_of: Any) -> Any:
    def erase(self: Any, start: int = 0) -> Any:
        machine = machine_of(self)
        begun = machine.now()
        for seconds in healthy(self, start):
            yield seconds
            if machine.now() - begun > WATCHDOG:
                machine.reset("watchdog")
                yield 0.0

    return erase


@LARGE(
    McubootSlots,
    "erase",
    source="MCUboot notes",
    hints=("test_image_sizes.py::test_full_slot",),
    also=(Patch(EspOtaSlots, "erase", lambda healthy: _bitten(healthy, lambda slots: slots._machine)),),
)
def watchdog_bites_while_erasing(healthy: Any) -> Any:
    """The watchdog is not fed while the slot is erased, which takes long where a large image was."""
    return _bitten(healthy, lambda slots: slots._state.machine)


@LARGE(
    SwapByMoving,
    "largest_image",
    source="own, after BOOT_MAX_IMG_SECTORS",
    boards=NRF9160,
    hints=("test_last_byte_is_alone",),
)
def bootloader_swaps_64_sectors_at_most(healthy: Any) -> Any:
    """An image of more than 256 KiB is taken and never swapped in."""
    return property(lambda self: FEW_SECTORS * SECTOR)


@LARGE(swap_move, "image_size", source="own", boards=NRF9160, hints=("test_last_byte_is_alone",))
def swap_counts_no_tlvs(healthy: Any) -> Any:
    """The swap ends with the image's body: where its TLVs begin a page, that page stays behind."""
    return lambda area, header, start=0: (header.covered, 0)


@LARGE(
    SwapByMoving,
    "image_size",
    source="own",
    boards=NRF9160,
    hints=("test_longer_image_comes_back_whole",),
)
def swap_as_long_as_the_new_image(healthy: Any) -> Any:
    """A swap exchanges as many pages as the new image has: of a longer old one the end is lost."""
    return lambda self, slot: 0 if slot == PRIMARY else healthy(self, slot)


@LARGE(CoapBlocks, "_taken", source="own", boards=NRF9160, hints=("test_last_byte_is_alone",))
def last_block_of_one_byte_dropped(healthy: Any) -> Any:
    """A PULL whose last block is one byte loses it."""

    def taken(self: CoapBlocks, answer: Message) -> bytes:
        payload: bytes = healthy(self, answer)
        return b"" if self.complete and len(payload) == 1 else payload

    return taken


@LARGE(CoapBlocks, "_taken", source="wakaama 668215e", boards=NRF9160, hints=("test_last_block_is_full",))
def full_last_block_of_a_pull_not_the_last(healthy: Any) -> Any:
    """A PULL whose last block is full asks for one more, which there is not."""

    def taken(self: CoapBlocks, answer: Message) -> bytes:
        payload: bytes = healthy(self, answer)
        block = Block.of(answer, coap.BLOCK2)
        if block is not None and len(payload) == block.size:
            self.complete = False
        return payload

    return taken


@LARGE(HttpDownload, "_chunk", source="own", boards=NRF9160, hints=("test_last_block_is_full",))
def body_of_whole_chunks_never_ends(healthy: Any) -> Any:
    """When a body fills the device's buffer to the last byte, more of it is asked for."""

    def chunk(self: HttpDownload) -> Any:
        block = yield from healthy(self)
        if self.complete and len(block) == SECTOR:
            self.complete = False
        return block

    return chunk


def _one_page_less(healthy: Any) -> Any:
    return property(lambda self: healthy.fget(self) - SECTOR)


@LARGE(
    McubootSlots,
    "capacity",
    source="own",
    hints=("test_image_sizes.py::test_full_slot",),
    also=(Patch(EspOtaSlots, "capacity", _one_page_less),),
)
def last_page_of_the_slot_not_offered(healthy: Any) -> Any:
    """A package that needs the last page of its slot is refused as too large."""
    return _one_page_less(healthy)


def _esp32_erases_all_but_the_last(healthy: Any) -> Any:
    def erase(self: EspOtaSlots, start: int = 0) -> Any:
        flash, last = self._machine.flash, self.capacity // SECTOR - 1
        for number in range(start // SECTOR, last):
            page = self._place.offset + number * SECTOR
            if not flash.is_erased(page, SECTOR):
                yield from flash.erase(page, SECTOR, self._machine.now)

    return erase


@LARGE(
    McubootSlots,
    "erase",
    source="own",
    hints=("test_image_sizes.py::test_full_slot",),
    also=(Patch(EspOtaSlots, "erase", _esp32_erases_all_but_the_last),),
)
def last_page_of_the_slot_not_erased(healthy: Any) -> Any:
    """A package that fills the slot is written over the last page of one that did so before."""

    def erase(self: McubootSlots, start: int = 0) -> Any:
        first = (self._start + start) // SECTOR if start else 0
        last = (self._start + self.capacity) // SECTOR - 1
        for number in range(first, self._other.sectors):
            if number != last and not self._other.is_erased(number):
                yield from self._other.erase(number * SECTOR, SECTOR)

    return erase
