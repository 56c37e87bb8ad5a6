"""PUSH: sizes, formats, large packages, patience."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.virtual.boot.esp32 import EspOtaSlots
from bench.virtual.boot.esp32_otadata import SECTOR
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.defects.defect import Area, Patch
from bench.virtual.firmware import coap_engine
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.data_model import TLV
from bench.virtual.firmware.update import push
from bench.virtual.firmware.update.machine import CONNECTION_LOST, DOWNLOADING
from bench.virtual.firmware.update.push import PushReceiver
from bench.virtual.firmware.update.store import PackageStore

TRANSFER = Area("push, sizes and formats")
WORD = 4
ERASED_AT_MOST = 0x40000
WHOLE_PUSH = 180.0
"""Seconds that a whole PUSH may take."""


def _following_dropped(healthy: Any) -> Any:
    def next_block(self: PushReceiver, request: Any, block: Block) -> None:
        if self.source == ("dropped", request.source):
            self._answer(request, coap.CONTINUE if block.more else coap.CHANGED)
        else:
            healthy(self, request, block)

    return next_block


@TRANSFER(
    PushReceiver,
    "_first_block",
    source="seen in a client's source",
    also=(Patch(PushReceiver, "_next_block", _following_dropped),),
    hints=("test_push_forms.py::test_announced_size",),
)
def package_without_size1_dropped(healthy: Any) -> Any:
    """Without Size1 every block is answered as taken, and none is."""

    def first_block(self: PushReceiver, request: Any, block: Block, skip: int) -> None:
        if block.more and request.message.uint(coap.SIZE1) is None:
            self.source = ("dropped", request.source)
            self._answer(request, coap.CONTINUE)
        else:
            healthy(self, request, block, skip)

    return first_block


@TRANSFER(PushReceiver, "_take", source="own", hints=("test_push_forms.py::test_announced_size",))
def package_ends_at_the_announced_size(healthy: Any) -> Any:
    """A PUSH is over when the bytes that Size1 announced are there, whatever the M bit says."""

    def take(self: PushReceiver, request: Any, block: Block, attempt: int, skip: int = 0) -> Any:
        there = self._store.received + len(request.message.payload) - skip
        if block.more and self._size and there >= self._size:
            block = replace(block, more=False)
        yield from healthy(self, request, block, attempt, skip)

    return take


@TRANSFER(
    PushReceiver,
    "_next_block",
    source="seen in a client's source",
    hints=("test_push_forms.py::test_blocks_become_smaller",),
)
def offset_by_the_first_block_size(healthy: Any) -> Any:
    """When the block size changes midway, block numbers are multiplied by the size of the first block."""

    def next_block(self: PushReceiver, request: Any, block: Block) -> None:
        before = self._last[0].exponent if self._last is not None else block.exponent
        first = self.__dict__.setdefault("_first", {}).setdefault(self._owner.attempt, before)
        if block.exponent != first and request.source == self.source and self._fota.state == DOWNLOADING:
            self._store.received = (block.number * (16 << first) - self._skip) % self._store.capacity
            self._machine.cpu.spawn(self._take(request, block, self._owner.attempt))
        else:
            healthy(self, request, block)

    return next_block


@TRANSFER(
    PushReceiver, "write_package", source="own", hints=("test_push_forms.py::test_blocks_become_smaller",)
)
def smallest_blocks_refused(healthy: Any) -> Any:
    """Blocks of 16 bytes are answered 4.00: their size exponent 0 is taken for none."""

    def write_package(self: PushReceiver, request: Any) -> None:
        block = Block.of(request.message, coap.BLOCK1)
        if block is not None and block.exponent == 0:
            request.respond(coap.BAD_REQUEST)
        else:
            healthy(self, request)

    return write_package


@TRANSFER(PushReceiver, "write_package", source="own", hints=("test_coap.py::test_reserved_block_size",))
def reserved_block_size_taken(healthy: Any) -> Any:
    """The reserved size exponent 7 is taken for blocks of 1024 bytes."""

    def write_package(self: PushReceiver, request: Any) -> None:
        block = Block.of(request.message, coap.BLOCK1)
        if block is not None and block.exponent == 7:
            others = [option for option in request.message.options if option[0] != coap.BLOCK1]
            request.message.options = others
            request.message.add_uint(coap.BLOCK1, replace(block, exponent=6).value)
        healthy(self, request)

    return write_package


@TRANSFER(
    PushReceiver,
    "_take",
    source="wakaama#668215e",
    hints=("test_successful_update.py::test_push_succeeds[esp32",),
)
def full_last_block_waits_for_another(healthy: Any) -> Any:
    """A last block that is full is answered 2.04, and a shorter one is waited for."""

    def take(self: PushReceiver, request: Any, block: Block, attempt: int, skip: int = 0) -> Any:
        if block.more or len(request.message.payload) < block.size:
            yield from healthy(self, request, block, attempt, skip)
            return
        yield from self._store.append(request.message.payload[skip:])
        self._storing = False
        self._last = (block, request.message.payload)
        self._watch(attempt)
        self._answer(request, coap.CHANGED)

    return take


@TRANSFER(
    PackageStore,
    "append",
    source="own",
    hints=("test_image_sizes.py::test_last_block[nrf9160-push-one-byte-more",),
)
def bytes_behind_the_last_word_not_written(healthy: Any) -> Any:
    """The flash is written by words, and what does not fill the last one is left out."""

    def append(self: PackageStore, data: bytes) -> Any:
        yield from healthy(self, data[: len(data) // WORD * WORD])
        self.received += len(data) % WORD

    return append


@TRANSFER(PackageStore, "append", source="zephyr#26448", hints=("test_image_sizes.py::test_full_slot",))
def length_of_18_bits(healthy: Any) -> Any:
    """Packages of more than 256 KiB wrap round and overwrite their own beginning."""

    def append(self: PackageStore, data: bytes) -> Any:
        high = self.received & ~0x3FFFF
        self.received &= 0x3FFFF
        yield from healthy(self, data)
        self.received += high

    return append


@TRANSFER(Block, "offset", source="own", hints=("test_image_sizes.py::test_full_slot[esp32",))
def block_number_of_9_bits(healthy: Any) -> Any:
    """Block numbers are kept in nine bits: block 512 is taken for block 0."""
    return property(lambda self: (self.number & 0x1FF) * self.size)


def _esp32_erases_a_part(healthy: Any) -> Any:
    def erase(self: EspOtaSlots, start: int = 0) -> Any:
        place = self._place
        self._place = replace(place, size=min(place.size, ERASED_AT_MOST))
        yield from healthy(self, start)
        self._place = place

    return erase


@TRANSFER(
    McubootSlots,
    "erase",
    source="Anjay-zephyr",
    also=(Patch(EspOtaSlots, "erase", _esp32_erases_a_part),),
    hints=("test_image_sizes.py::test_full_slot",),
)
def only_the_first_256_kib_erased(healthy: Any) -> Any:
    """Before a download no more than 256 KiB of the slot are erased, and its trailer."""

    def erase(self: McubootSlots, start: int = 0) -> Any:
        area = self._other
        first = (self._start + start) // SECTOR if start else 0
        last = ERASED_AT_MOST // SECTOR
        for number in (*range(first, min(last, area.sectors)), area.sectors - 1):
            if not area.is_erased(number):
                yield from area.erase(number * SECTOR, SECTOR)

    return erase


@TRANSFER(
    PushReceiver, "_first_block", source="zephyr#85000", hints=("test_push_forms.py::test_package_in_tlv",)
)
def tlv_header_in_the_image(healthy: Any) -> Any:
    """Of a package in TLV the header is written too, in front of the image."""
    return lambda self, request, block, skip: healthy(self, request, block, 0)


@TRANSFER(PushReceiver, "write_package", source="own", hints=("test_push_forms.py::test_package_in_tlv",))
def package_in_tlv_refused(healthy: Any) -> Any:
    """A package in TLV is answered 4.15, though the registration says that TLV is spoken."""

    def write_package(self: PushReceiver, request: Any) -> None:
        if request.message.uint(coap.CONTENT_FORMAT) == TLV:
            request.respond(coap.UNSUPPORTED_FORMAT)
        else:
            healthy(self, request)

    return write_package


@TRANSFER(push, "PUSH_SILENCE", source="own", hints=("test_push_forms.py::test_slow_push",))
def pause_of_fifteen_seconds_ends_a_push(healthy: Any) -> Any:
    """A PUSH is given up after 15 s without a block, less than a server's retransmissions may take."""
    return 15.0


@TRANSFER(PushReceiver, "_first_block", source="own", hints=("test_push_forms.py::test_slow_push",))
def whole_push_limited_to_three_minutes(healthy: Any) -> Any:
    """A PUSH is given up three minutes after its first block, however well it goes."""

    def first_block(self: PushReceiver, request: Any, block: Block, skip: int) -> None:
        healthy(self, request, block, skip)
        attempt = self._owner.attempt

        def late() -> None:
            if attempt == self._owner.attempt and self._fota.state == DOWNLOADING:
                self._machine.cpu.spawn(self._owner.drop("download failed", CONNECTION_LOST))

        self._machine.cpu.after(WHOLE_PUSH, late)

    return first_block


@TRANSFER(
    coap_engine, "REMEMBERED", source="node-coap#391", hints=("test_coap.py::test_request_that_comes_twice",)
)
def late_duplicates_worked_on_again(healthy: Any) -> Any:
    """Only the last message is remembered: a copy that comes after another message is worked on again."""
    return 1
