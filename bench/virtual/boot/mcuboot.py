"""MCUboot on a virtual board: verifies for real, swaps, resumes after any power loss.

Source: MCUboot design document, and the bootloader's own log texts. Everything it knows it reads
from the flash, the public key included.
"""

from __future__ import annotations

import struct

from bench.virtual.boot import slots as checks
from bench.virtual.boot.mcuboot_image import (
    HASH_RATE,
    Keys,
    hash_fits,
    is_bootable,
    keys_of,
    protected_tlvs,
    tlvs_of,
    verification_time,
)
from bench.virtual.boot.mcuboot_policy import is_downgrade, needs_another, raise_counter
from bench.virtual.boot.mcuboot_slot import (
    DONE,
    IMAGE_MAGIC,
    PRIMARY,
    SECONDARY,
    SECTOR,
    TRAILER_MAGIC,
    Slot,
    SwapType,
    Trailer,
    erase_slot,
)
from bench.virtual.boot.swap import algorithm_of, slots_of, start_swap, swap
from bench.virtual.boot.traits import BOARD_TLV, DESCRIPTOR_OFFSET, TRAITS_MAGIC, unpacked
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps

_NAMES = {
    SwapType.NONE: "none",
    SwapType.TEST: "test",
    SwapType.PERMANENT: "perm",
    SwapType.REVERT: "revert",
    SwapType.FAIL: "none",
}


def _log_trailer(machine: Machine, title: str, slot: Slot) -> None:
    trailer = slot.trailer()
    magic = "good" if trailer.magic else "unset" if trailer.erased else "bad"
    swap = (trailer.swap_info or SwapType.NONE) & 0xF

    def flag(value: int | None) -> str:
        return "0x3" if value is None else "0x1" if value == 1 else "0x2"

    machine.print(
        f"I: {title}: magic={magic}, swap_type={swap:#x}, "
        f"copy_done={flag(trailer.copy_done)}, image_ok={flag(trailer.image_ok)}"
    )


def _wanted_swap(primary: Trailer, secondary: Trailer) -> SwapType:
    if secondary.magic:
        if secondary.swap_info is not None and secondary.swap_info & 0xF == SwapType.REVERT:
            return SwapType.REVERT
        return SwapType.PERMANENT if secondary.image_ok == 1 else SwapType.TEST
    if primary.magic and primary.copy_done == 1 and primary.image_ok is None:
        return SwapType.REVERT
    return SwapType.NONE


def _complaint(primary: Slot, secondary: Slot, keys: Keys, kind: SwapType) -> tuple[str, SwapType]:
    """What speaks against the wanted swap, if anything, and which swap it comes to."""
    if not is_bootable(secondary, keys):
        return "Image in the secondary slot is not valid!", SwapType.FAIL
    if kind is SwapType.REVERT:
        return "", kind
    if keys.refuses_older and is_downgrade(secondary, primary):
        return "insufficient version in secondary slot", SwapType.FAIL
    if needs_another(secondary, protected_tlvs(secondary)):
        return "Image dependencies are not satisfied", SwapType.NONE
    return "", kind


def boot(machine: Machine) -> Steps:
    """From reset to the jump; the generator's value is the `RunningImage`, or None when nothing boots."""
    machine.activity("boot")
    yield 0.02
    machine.print("*** Booting MCUboot v2.1.0 ***")
    machine.print("I: Starting bootloader")
    keys = keys_of(machine)
    algorithm = algorithm_of(machine)
    primary, secondary = Slot(machine, PRIMARY), Slot(machine, SECONDARY, algorithm.update_sector)
    _log_trailer(machine, "Primary image", primary)
    _log_trailer(machine, "Secondary image", secondary)
    if keys is None:
        machine.print("E: Unable to find the verification key")
        return None
    arrival = "normal"
    trailer = primary.trailer()
    machine.activity("flash")
    # a torn "copy done" is none: the swap ends once more, and writes it again
    if trailer.magic and trailer.copy_done != 1 and trailer.swap_info is not None:
        kind = SwapType(trailer.swap_info & 0xF)
        machine.print(f"I: Image index: 0, Swap type: {_NAMES[kind]}")
        machine.print(f"I: Resuming swap using {algorithm.name} algorithm.")
        yield from swap(slots_of(machine, primary, secondary), algorithm, kind)
        arrival = _NAMES[kind]
    else:
        kind = _wanted_swap(trailer, secondary.trailer())
        if kind is SwapType.REVERT:  # a swap leaves the old image at the slot's very start
            secondary = Slot(machine, SECONDARY)
        if kind is not SwapType.NONE:
            yield verification_time(secondary)
            complaint, kind = _complaint(primary, secondary, keys, kind)
            if complaint:
                machine.print(f"E: {complaint}")
            if kind is SwapType.FAIL:
                yield from erase_slot(secondary)
        machine.print(f"I: Image index: 0, Swap type: {_NAMES[kind]}")
        if kind in (SwapType.TEST, SwapType.PERMANENT, SwapType.REVERT):
            machine.print(f"I: Starting swap using {algorithm.name} algorithm.")
            slots = slots_of(machine, primary, secondary)
            yield from start_swap(slots, kind)
            yield from swap(slots, algorithm, kind)
            arrival = _NAMES[kind]
    machine.activity("boot")
    yield verification_time(primary)
    if not primary_is_good(primary, keys):
        machine.print("E: Image in the primary slot is not valid!")
        machine.print("E: Unable to find bootable image")
        machine.activity("idle")
        return None
    if _stays(primary):
        machine.activity("flash")
        yield from raise_counter(machine, protected_tlvs(primary))
        machine.activity("boot")
    machine.print("I: Bootloader chainload address offset: 0x10000")
    machine.print("I: Jumping to the first image slot")
    return _running(primary, {"perm": "test", "none": "normal"}.get(arrival, arrival))


def primary_is_good(primary: Slot, keys: Keys) -> bool:
    """Whether what is about to start may (MCUBOOT_VALIDATE_PRIMARY_SLOT)."""
    return is_bootable(primary, keys)


def _running(primary: Slot, arrival: str) -> RunningImage:
    header = primary.header()
    assert header is not None
    block = unpacked(TRAITS_MAGIC, primary.read(header.header_size + DESCRIPTOR_OFFSET, 0x1000))
    return RunningImage(PRIMARY, header.version, block or {}, _stays(primary), arrival)


def _stays(primary: Slot) -> bool:
    """Whether the image in the primary slot is confirmed."""
    trailer = primary.trailer()
    return not trailer.magic or trailer.image_ok == 1


# ---- what the application may do ------------------------------------------------------------------


class McubootSlots:
    """`UpdateSlots` over MCUboot's secondary slot and the two trailers."""

    region = SECONDARY

    def __init__(self, machine: Machine, running: RunningImage) -> None:
        self._machine = machine
        self._primary = Slot(machine, PRIMARY)
        self._algorithm = algorithm_of(machine)
        self._secondary = Slot(machine, SECONDARY, self._algorithm.update_sector)

    @property
    def capacity(self) -> int:
        return (self._secondary.sectors - 1 - self._algorithm.spare) * SECTOR  # without the trailer

    @property
    def confirmed(self) -> bool:
        return _stays(self._primary)

    def erase(self, start: int = 0) -> Steps:
        yield from erase_slot(self._secondary, start)

    def package(self) -> tuple[str, str]:
        header = self._secondary.header()
        keys = keys_of(self._machine)
        return ("", "") if header is None or keys is None else (keys.board, header.version)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._secondary.write(offset, data)

    def check(self, length: int) -> Steps:
        """Magic, lengths, hash and board; the signature is the bootloader's to judge."""
        slot = self._secondary
        yield length / HASH_RATE
        if struct.unpack("<I", slot.read(0, 4))[0] != IMAGE_MAGIC:
            return checks.UNSUPPORTED
        header = slot.header()
        tlvs = header and tlvs_of(slot, header)
        if header is None or not tlvs or not hash_fits(slot, header, tlvs[1]):
            return checks.INTEGRITY
        keys = keys_of(self._machine)
        if keys is not None and tlvs[0].get(BOARD_TLV) != keys.board.encode():
            return checks.WRONG_BOARD
        return checks.OK

    def request_upgrade(self) -> Steps:
        yield from self._secondary.write_at(self._secondary.region.size - 16, TRAILER_MAGIC)

    def confirm(self) -> Steps:
        if not self.confirmed:
            yield from self._primary.write_at(self._primary.flag_offsets[0], DONE)

    def invalidate(self) -> Steps:
        for number in (self._secondary.first, self._secondary.trailer_sector):
            if not self._secondary.is_erased(number):
                yield from self._secondary.erase_sector(number)
