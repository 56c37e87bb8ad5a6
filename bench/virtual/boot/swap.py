"""Doing a swap: MCUboot's trailer and status, whatever way the bootloader was built to swap.

Source: MCUboot design document, "Image trailer" and "Swap status".
"""

from __future__ import annotations

import struct

from bench.virtual.boot.mcuboot_slot import DONE, SECTOR, TRAILER_MAGIC, Slot, SwapType
from bench.virtual.boot.swap_algorithm import Copy, Slots, SwapAlgorithm
from bench.virtual.boot.swap_move import MOVE
from bench.virtual.boot.swap_offset import OFFSET
from bench.virtual.boot.swap_scratch import SCRATCH
from bench.virtual.boot.traits import BOOTLOADER_MAGIC, DESCRIPTOR_OFFSET, unpacked
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

ALGORITHMS = {algorithm.name: algorithm for algorithm in (MOVE, SCRATCH, OFFSET)}


def algorithm_of(machine: Machine) -> SwapAlgorithm:
    """The one that the bootloader in the flash was built with."""
    region = machine.regions["mcuboot"]
    block = unpacked(BOOTLOADER_MAGIC, machine.flash.read(region.offset + DESCRIPTOR_OFFSET, 0x200))
    return ALGORITHMS[block["swap"]] if block is not None else MOVE


def start_swap(slots: Slots, kind: SwapType) -> Steps:
    """Write the primary's trailer; its magic comes last, so that a cut before it starts afresh."""
    primary = slots.primary
    if kind is SwapType.REVERT:
        yield from _remember_revert(slots.secondary)
    size = max(primary.total_size(), slots.secondary.total_size())
    ok, _, info, size_at = primary.flag_offsets
    yield from primary.erase_sector(primary.trailer_sector)
    yield from primary.write_at(info, bytes([kind, 0xFF, 0xFF, 0xFF]))
    yield from primary.write_at(size_at, struct.pack("<I", size))
    if kind is not SwapType.TEST:
        yield from primary.write_at(ok, DONE)
    yield from primary.write_at(primary.region.size - 16, TRAILER_MAGIC)


def _remember_revert(secondary: Slot) -> Steps:
    """What tells a revert is in the primary's trailer, which is erased to begin it.

    Until the new one there is whole, the secondary's says it; the swap erases that one first.
    """
    yield from secondary.write_at(secondary.flag_offsets[2], bytes([SwapType.REVERT, 0xFF, 0xFF, 0xFF]))
    yield from secondary.write_at(secondary.region.size - 16, TRAILER_MAGIC)


def swap(slots: Slots, algorithm: SwapAlgorithm, kind: SwapType) -> Steps:
    """Do, or go on with, the swap that the primary's trailer describes."""
    primary, secondary, _ = slots
    count = -(-primary.swap_size() // SECTOR)
    done = primary.steps_done()
    if not secondary.is_erased(secondary.trailer_sector):
        yield from secondary.erase_sector(secondary.trailer_sector)
    plan = algorithm.plan(slots, count, kind)
    for number, step in enumerate(plan[done:], done):
        for copy in step:
            yield from _do(copy)
        yield from primary.write_at(primary.status_offset(number), DONE)
    leftover = algorithm.leftover(slots, count, kind)
    if leftover is not None:
        slot, sector = leftover
        yield from slot.erase_sector(sector)
    yield from primary.write_at(primary.flag_offsets[1], DONE)


def _do(copy: Copy) -> Steps:
    yield from copy.target.erase_sector(copy.into)
    yield from copy.target.write_at(copy.into * SECTOR, copy.source.read_at(copy.number * SECTOR, SECTOR))


def slots_of(machine: Machine, primary: Slot, secondary: Slot) -> Slots:
    scratch = Slot(machine, "scratch") if "scratch" in machine.regions else None
    return Slots(primary, secondary, scratch)
