"""MCUboot on a virtual board: verifies for real, swaps by moving, resumes after any power loss.

Source: MCUboot design document, "Image format", "Image trailer", "Swap using move", and the
bootloader's own log texts. Everything it knows it reads from the flash, the public key included.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bench.virtual.boot import slots as checks
from bench.virtual.boot.traits import (
    BOARD_TLV,
    BOOTLOADER_MAGIC,
    DESCRIPTOR_OFFSET,
    TRAITS_MAGIC,
    unpacked,
)
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps

SECTOR = 0x1000
_IMAGE_MAGIC = 0x96F3B83D
_TRAILER_MAGIC = bytes.fromhex("77c295f360d2ef7f3552500f2cb67980")
_ALIGN = 8  # spacing of the trailer's flags
_STATUS_UNIT = 4  # one word for each finished step of a swap
_DONE = b"\x01\xff\xff\xff"
_HASH_RATE = 1.5e6  # bytes of flash hashed in a second; SHA-256 in software at 64 MHz, an estimate
_VERIFY_TIME = 0.25  # seconds for one ECDSA-P256 check in software, an estimate

PRIMARY, SECONDARY = "slot0", "slot1"


class SwapType(IntEnum):
    NONE = 1
    TEST = 2
    PERMANENT = 3
    REVERT = 4
    FAIL = 5


_NAMES = {
    SwapType.NONE: "none",
    SwapType.TEST: "test",
    SwapType.PERMANENT: "perm",
    SwapType.REVERT: "revert",
    SwapType.FAIL: "none",
}


@dataclass(frozen=True, slots=True)
class _Header:
    version: str
    header_size: int
    body_size: int
    protected_size: int

    @property
    def covered(self) -> int:
        return self.header_size + self.body_size + self.protected_size


@dataclass(frozen=True, slots=True)
class _Trailer:
    magic: bool
    erased: bool
    image_ok: int | None
    copy_done: int | None
    swap_info: int | None


class _Slot:
    """One application slot in the flash."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        self.region = machine.regions[name]
        self.sectors = self.region.size // SECTOR

    def read(self, offset: int, length: int) -> bytes:
        return self.machine.flash.read(self.region.offset + offset, length)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self.machine.flash.write(self.region.offset + offset, data, self.machine.now)

    def erase_sector(self, number: int) -> Steps:
        start = self.region.offset + number * SECTOR
        yield from self.machine.flash.erase(start, SECTOR, self.machine.now)

    def is_erased(self, number: int) -> bool:
        return self.machine.flash.is_erased(self.region.offset + number * SECTOR, SECTOR)

    def header(self) -> _Header | None:
        data = self.read(0, 32)
        magic, _, header_size, protected, size = struct.unpack_from("<IIHHI", data)
        if magic != _IMAGE_MAGIC or header_size < 32:
            return None
        if header_size + size + protected + 4 > self.trailer_sector * SECTOR:
            return None
        major, minor, revision = struct.unpack_from("<BBH", data, 20)
        return _Header(f"{major}.{minor}.{revision}", header_size, size, protected)

    def total_size(self) -> int:
        """Bytes up to the end of the TLVs; 0 without an image."""
        header = self.header()
        if header is None:
            return 0
        end = header.covered
        magic, length = struct.unpack("<HH", self.read(end, 4))
        return end + length if magic == 0x6907 and end + length <= self.region.size else end

    # ---- trailer, in the last sector

    @property
    def trailer_sector(self) -> int:
        return self.sectors - 1

    @property
    def flag_offsets(self) -> tuple[int, int, int, int]:
        """Of image OK, copy done, swap info and swap size."""
        end = self.region.size - 16
        return end - _ALIGN, end - 2 * _ALIGN, end - 3 * _ALIGN, end - 4 * _ALIGN

    def trailer(self) -> _Trailer:
        def flag(offset: int) -> int | None:
            value = self.read(offset, 1)[0]
            return None if value == 0xFF else value

        magic = self.read(self.region.size - 16, 16)
        ok, done, info, _ = self.flag_offsets
        return _Trailer(magic == _TRAILER_MAGIC, magic == b"\xff" * 16, flag(ok), flag(done), flag(info))

    def status_offset(self, step: int) -> int:
        return self.trailer_sector * SECTOR + step * _STATUS_UNIT

    def steps_done(self) -> int:
        done = 0
        while self.read(self.status_offset(done), _STATUS_UNIT) == _DONE:
            done += 1
        return done

    def swap_size(self) -> int:
        (size,) = struct.unpack("<I", self.read(self.flag_offsets[3], 4))
        return int(size)


# ---- verification ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keys:
    public_key: ec.EllipticCurvePublicKey
    board: str


def _keys(machine: Machine) -> _Keys | None:
    region = machine.regions["mcuboot"]
    block = unpacked(BOOTLOADER_MAGIC, machine.flash.read(region.offset + DESCRIPTOR_OFFSET, 0x200))
    if block is None:
        return None
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), block["public_key"])
    return _Keys(key, str(block["board"]))


def _entries(slot: _Slot, start: int, magic: int) -> list[tuple[int, bytes]] | None:
    found, total = struct.unpack("<HH", slot.read(start, 4))
    if found != magic or start + total > slot.region.size:
        return None
    entries, position, end = [], start + 4, start + total
    while position + 4 <= end:
        kind, length = struct.unpack("<HH", slot.read(position, 4))
        if position + 4 + length > end:
            return None
        entries.append((kind, slot.read(position + 4, length)))
        position += 4 + length
    return entries


def _tlvs(slot: _Slot, header: _Header) -> tuple[dict[int, bytes], dict[int, bytes]] | None:
    """Protected and plain entries; None when the areas are damaged."""
    protected: list[tuple[int, bytes]] | None = []
    if header.protected_size:
        protected = _entries(slot, header.header_size + header.body_size, 0x6908)
    plain = _entries(slot, header.covered, 0x6907)
    if protected is None or plain is None:
        return None
    return dict(protected), dict(plain)


def _hash_fits(slot: _Slot, header: _Header, plain: dict[int, bytes]) -> bool:
    return plain.get(0x10) == hashlib.sha256(slot.read(0, header.covered)).digest()


def _is_bootable(slot: _Slot, keys: _Keys) -> bool:
    header = slot.header()
    tlvs = header and _tlvs(slot, header)
    if header is None or not tlvs:
        return False
    protected, plain = tlvs
    if not _hash_fits(slot, header, plain) or 0x22 not in plain:
        return False
    if protected.get(BOARD_TLV) != keys.board.encode():
        return False
    try:
        keys.public_key.verify(plain[0x22], slot.read(0, header.covered), ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _verification_time(slot: _Slot) -> float:
    return slot.total_size() / _HASH_RATE + _VERIFY_TIME


# ---- the swap -------------------------------------------------------------------------------------


def _start_swap(primary: _Slot, secondary: _Slot, kind: SwapType) -> Steps:
    """Write the primary's trailer; its magic comes last, so that a cut before it starts afresh."""
    size = max(primary.total_size(), secondary.total_size())
    ok, _, info, size_at = primary.flag_offsets
    yield from primary.erase_sector(primary.trailer_sector)
    yield from primary.write(info, bytes([kind, 0xFF, 0xFF, 0xFF]))
    yield from primary.write(size_at, struct.pack("<I", size))
    if kind is not SwapType.TEST:
        yield from primary.write(ok, _DONE)
    yield from primary.write(primary.region.size - 16, _TRAILER_MAGIC)


def _swap(primary: _Slot, secondary: _Slot) -> Steps:
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
            yield from _copy_sector(primary, source, primary, source + 1)
        else:
            number, second_half = divmod(step - count, 2)
            if second_half:
                yield from _copy_sector(primary, number + 1, secondary, number)
            else:
                yield from _copy_sector(secondary, number, primary, number)
        yield from primary.write(primary.status_offset(step), _DONE)
    yield from primary.erase_sector(count)  # the spare sector still holds a copy
    yield from primary.write(primary.flag_offsets[1], _DONE)


def _copy_sector(source: _Slot, number: int, target: _Slot, into: int) -> Steps:
    yield from target.erase_sector(into)
    yield from target.write(into * SECTOR, source.read(number * SECTOR, SECTOR))


def _erase_slot(slot: _Slot, start: int = 0) -> Steps:
    for number in range(start // SECTOR, slot.sectors):
        if not slot.is_erased(number):
            yield from slot.erase_sector(number)


# ---- the boot -------------------------------------------------------------------------------------


def _log_trailer(machine: Machine, title: str, slot: _Slot) -> None:
    trailer = slot.trailer()
    magic = "good" if trailer.magic else "unset" if trailer.erased else "bad"
    swap = (trailer.swap_info or SwapType.NONE) & 0xF

    def flag(value: int | None) -> str:
        return "0x3" if value is None else "0x1" if value == 1 else "0x2"

    machine.print(
        f"I: {title}: magic={magic}, swap_type={swap:#x}, "
        f"copy_done={flag(trailer.copy_done)}, image_ok={flag(trailer.image_ok)}"
    )


def _wanted_swap(primary: _Trailer, secondary: _Trailer) -> SwapType:
    if secondary.magic:
        return SwapType.PERMANENT if secondary.image_ok == 1 else SwapType.TEST
    if primary.magic and primary.copy_done == 1 and primary.image_ok is None:
        return SwapType.REVERT
    return SwapType.NONE


def boot(machine: Machine) -> Steps:
    """From reset to the jump; the generator's value is the `RunningImage`, or None when nothing boots."""
    machine.activity("boot")
    yield 0.02
    machine.print("*** Booting MCUboot v2.1.0 ***")
    machine.print("I: Starting bootloader")
    keys = _keys(machine)
    primary, secondary = _Slot(machine, PRIMARY), _Slot(machine, SECONDARY)
    _log_trailer(machine, "Primary image", primary)
    _log_trailer(machine, "Secondary image", secondary)
    if keys is None:
        machine.print("E: Unable to find the verification key")
        return None
    arrival = "normal"
    trailer = primary.trailer()
    machine.activity("flash")
    if trailer.magic and trailer.copy_done is None and trailer.swap_info is not None:
        kind = SwapType(trailer.swap_info & 0xF)
        machine.print(f"I: Image index: 0, Swap type: {_NAMES[kind]}")
        machine.print("I: Resuming swap using move algorithm.")
        yield from _swap(primary, secondary)
        arrival = _NAMES[kind]
    else:
        kind = _wanted_swap(trailer, secondary.trailer())
        if kind is not SwapType.NONE:
            yield _verification_time(secondary)
            if not _is_bootable(secondary, keys):
                machine.print("E: Image in the secondary slot is not valid!")
                yield from _erase_slot(secondary)
                kind = SwapType.FAIL
        machine.print(f"I: Image index: 0, Swap type: {_NAMES[kind]}")
        if kind in (SwapType.TEST, SwapType.PERMANENT, SwapType.REVERT):
            machine.print("I: Starting swap using move algorithm.")
            yield from _start_swap(primary, secondary, kind)
            yield from _swap(primary, secondary)
            arrival = _NAMES[kind]
    machine.activity("boot")
    yield _verification_time(primary)
    if not _is_bootable(primary, keys):
        machine.print("E: Image in the primary slot is not valid!")
        machine.print("E: Unable to find bootable image")
        machine.activity("idle")
        return None
    machine.print("I: Bootloader chainload address offset: 0x10000")
    machine.print("I: Jumping to the first image slot")
    return _running(primary, {"perm": "test", "none": "normal"}.get(arrival, arrival))


def _running(primary: _Slot, arrival: str) -> RunningImage:
    header = primary.header()
    assert header is not None
    block = unpacked(TRAITS_MAGIC, primary.read(header.header_size + DESCRIPTOR_OFFSET, 0x1000))
    trailer = primary.trailer()
    confirmed = not trailer.magic or trailer.image_ok == 1
    return RunningImage(PRIMARY, header.version, block or {}, confirmed, arrival)


# ---- what the application may do ------------------------------------------------------------------


class McubootSlots:
    """`UpdateSlots` over MCUboot's secondary slot and the two trailers."""

    region = SECONDARY

    def __init__(self, machine: Machine, running: RunningImage) -> None:
        self._machine = machine
        self._primary = _Slot(machine, PRIMARY)
        self._secondary = _Slot(machine, SECONDARY)

    @property
    def capacity(self) -> int:
        return (self._secondary.sectors - 2) * SECTOR  # the trailer, and the spare sector of a move

    @property
    def confirmed(self) -> bool:
        trailer = self._primary.trailer()
        return not trailer.magic or trailer.image_ok == 1

    def erase(self, start: int = 0) -> Steps:
        yield from _erase_slot(self._secondary, start)

    def package(self) -> tuple[str, str]:
        header = self._secondary.header()
        keys = _keys(self._machine)
        return ("", "") if header is None or keys is None else (keys.board, header.version)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._secondary.write(offset, data)

    def check(self, length: int) -> Steps:
        """Magic, lengths, hash and board; the signature is the bootloader's to judge."""
        slot = self._secondary
        yield length / _HASH_RATE
        if struct.unpack("<I", slot.read(0, 4))[0] != _IMAGE_MAGIC:
            return checks.UNSUPPORTED
        header = slot.header()
        tlvs = header and _tlvs(slot, header)
        if header is None or not tlvs or not _hash_fits(slot, header, tlvs[1]):
            return checks.INTEGRITY
        keys = _keys(self._machine)
        if keys is not None and tlvs[0].get(BOARD_TLV) != keys.board.encode():
            return checks.WRONG_BOARD
        return checks.OK

    def request_upgrade(self) -> Steps:
        yield from self._secondary.write(self._secondary.region.size - 16, _TRAILER_MAGIC)

    def confirm(self) -> Steps:
        if not self.confirmed:
            yield from self._primary.write(self._primary.flag_offsets[0], _DONE)

    def invalidate(self) -> Steps:
        for number in (0, self._secondary.trailer_sector):
            if not self._secondary.is_erased(number):
                yield from self._secondary.erase_sector(number)
