"""The ESP32's second-stage bootloader with two OTA slots and rollback.

Source: ESP-IDF programming guide, "Bootloader" and "Over the air updates (rollback)", and the log
texts of the bootloader.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from functools import partial

from bench.virtual.boot import slots as checks
from bench.virtual.boot.esp32_secure import (
    FUSES,
    least_version,
    raise_version,
    secure_version,
    signature_holds,
    trusted_key,
)
from bench.virtual.boot.traits import TRAITS_MAGIC, unpacked
from bench.virtual.machine import Machine, Region, RunningImage
from bench.virtual.process import Steps

SECTOR = 0x1000
NEW, PENDING_VERIFY, VALID, INVALID, ABORTED = range(5)
UNDEFINED = 0xFFFFFFFF
_HASH_RATE = 5e6  # bytes hashed in a second with the SHA peripheral, an estimate
_TABLE = 0x8000
_DESCRIPTOR = 32
_CHIP_ID = 0  # ESP32


@dataclass(frozen=True, slots=True)
class _Entry:
    sector: int
    sequence: int
    state: int

    @property
    def bootable(self) -> bool:
        return self.state not in (INVALID, ABORTED)


class _Flash:
    """The flash as bootloader and application see it: by partitions."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.partitions = self._partition_table()

    def _partition_table(self) -> dict[str, tuple[int, int, Region]]:
        """Label -> type, subtype, place; empty when the table is missing or its MD5 is wrong."""
        data = self.machine.flash.read(_TABLE, 0xC00)
        rows = {}
        for start in range(0, len(data), 32):
            row = data[start : start + 32]
            if row[:2] == b"\xaa\x50":
                kind, subtype, offset, size = struct.unpack_from("<BBII", row, 2)
                label = row[12:28].rstrip(b"\0").decode("ascii", "replace")
                rows[label] = (kind, subtype, Region(offset, size))
            elif row[:2] == b"\xeb\xeb":
                return rows if row[16:] == hashlib.md5(data[:start]).digest() else {}
            else:
                return {}
        return {}

    def apps(self) -> list[tuple[str, Region]]:
        """The OTA slots in the order of their subtypes."""
        found = [
            (subtype, label, place)
            for label, (kind, subtype, place) in self.partitions.items()
            if kind == 0 and subtype >= 0x10
        ]
        return [(label, place) for _, label, place in sorted(found)]

    @property
    def fuses(self) -> Region | None:
        """Where a development board keeps what a product has in its eFuses."""
        return self.partitions[FUSES][2] if FUSES in self.partitions else None

    def otadata(self) -> Region:
        return self.partitions["otadata"][2]

    def read(self, place: Region, offset: int, length: int) -> bytes:
        return self.machine.flash.read(place.offset + offset, length)

    def entries(self) -> list[_Entry]:
        """The OTA entries whose CRC is right."""
        found = []
        for sector in (0, 1):
            data = self.read(self.otadata(), sector * SECTOR, 32)
            sequence, state, crc = struct.unpack("<I20xII", data)
            if sequence not in (0, UNDEFINED) and crc == _sequence_crc(sequence):
                found.append(_Entry(sector, sequence, state))
        return found

    def write_entry(self, sector: int, sequence: int, state: int) -> Steps:
        start = self.otadata().offset + sector * SECTOR
        data = struct.pack("<I20sII", sequence, b"\xff" * 20, state, _sequence_crc(sequence))
        yield from self.machine.flash.erase(start, SECTOR, self.machine.now)
        yield from self.machine.flash.write(start, data, self.machine.now)


def _sequence_crc(sequence: int) -> int:
    return zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)


# ---- verification ---------------------------------------------------------------------------------


def _judge(flash: _Flash, place: Region) -> tuple[str, int]:
    """A `slots` verdict for the image in `place`, and its length in bytes."""
    header = flash.read(place, 0, 24)
    if header[0] != 0xE9 or not 1 <= header[1] <= 16:
        return checks.UNSUPPORTED, 0
    if not _is_for_this_chip(header):
        return checks.WRONG_BOARD, 0
    position, checksum = 24, 0xEF
    for _ in range(header[1]):
        if position + 8 > place.size:
            return checks.INTEGRITY, 0
        (length,) = struct.unpack_from("<I", flash.read(place, position + 4, 4))
        position += 8
        if position + length > place.size - 64:
            return checks.INTEGRITY, 0
        checksum ^= _folded(flash.read(place, position, length))
        position += length
    position += 15 - position % 16
    if flash.read(place, position, 1)[0] != checksum:
        return checks.INTEGRITY, 0
    position += 1
    if header[23] == 1:
        if not hash_fits(flash, place, position):
            return checks.INTEGRITY, 0
        position += 32
    trusted = trusted_key(flash.machine)
    if trusted is not None and not signature_holds(partial(flash.read, place), position, trusted):
        return checks.SIGNATURE, 0
    return checks.OK, position


def hash_fits(flash: _Flash, place: Region, position: int) -> bool:
    """Whether the SHA-256 at `position` is that of what stands before it."""
    return flash.read(place, position, 32) == hashlib.sha256(flash.read(place, 0, position)).digest()


def _is_for_this_chip(header: bytes) -> bool:
    return bool(struct.unpack_from("<H", header, 12)[0] == _CHIP_ID)


def _is_too_old(flash: _Flash, place: Region) -> bool:
    """Whether the image's secure version is below the one that the fuses ask for."""
    return secure_version(partial(flash.read, place)) < least_version(flash.machine, flash.fuses)


def _folded(data: bytes) -> int:
    """XOR of all bytes, by halves."""
    value, width = int.from_bytes(data, "little"), 1
    while width < len(data):
        width *= 2
    while width > 1:
        width //= 2
        value = (value >> (8 * width)) ^ (value & ((1 << (8 * width)) - 1))
    return value


def _length(flash: _Flash, place: Region) -> int:
    return _judge(flash, place)[1]


# ---- the boot -------------------------------------------------------------------------------------


class _Log:
    """ESP-IDF's form: level, milliseconds since boot, tag."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._start = machine.now()

    def __call__(self, text: str, level: str = "I", tag: str = "boot") -> None:
        milliseconds = int((self._machine.now() - self._start) * 1000) + 30
        self._machine.print(f"{level} ({milliseconds}) {tag}: {text}")


def boot(machine: Machine) -> Steps:
    """From the ROM's jump to the application; the value is the `RunningImage`, or None."""
    machine.activity("boot")
    log = _Log(machine)
    yield 0.03
    log("ESP-IDF v5.3.1 2nd stage bootloader")
    log("Enabling RNG early entropy source...")
    flash = _Flash(machine)
    apps = flash.apps()
    if not apps or "otadata" not in flash.partitions:
        log("load partition table error!", "E")
        return None
    log("Partition Table:")
    log("## Label            Usage          Type ST Offset   Length")
    for number, (label, (kind, subtype, place)) in enumerate(flash.partitions.items()):
        usage = "OTA app" if kind == 0 else "data"
        log(
            f"{number:2} {label:16} {usage:14} {kind:02x}   {subtype:02x} {place.offset:08x} {place.size:08x}"
        )
    log("End of partition table")

    rolled_back = yield from _abort_unconfirmed(machine, flash)
    machine.activity("boot")
    candidates = [e for e in flash.entries() if e.bootable]
    active = max(candidates, key=lambda e: e.sequence) if candidates else None
    if active is None and flash.entries():
        log("ota data partition invalid and no factory, will try all partitions", "E")
    chosen = (active.sequence - 1) % len(apps) if active is not None else 0
    if rolled_back:
        log("Rollback to previously worked partition.")
    arrival = "revert" if rolled_back else "normal"
    if active is not None and active.state == NEW:
        machine.activity("flash")
        yield from flash.write_entry(active.sector, active.sequence, PENDING_VERIFY)
        machine.activity("boot")
        arrival = "test"

    for number in (chosen, *(n for n in range(len(apps)) if n != chosen)):
        label, place = apps[number]
        verdict, length = _judge(flash, place)
        yield (length or 0x10000) / _HASH_RATE
        if verdict == checks.OK and _is_too_old(flash, place):
            log(f"Secure version of the app in slot {number} is too low", "E")
        elif verdict == checks.OK:
            log(f"Loaded app from partition at offset {place.offset:#x}")
            if number != chosen:
                arrival = "revert"
            if number == chosen and (active is None or active.state in (VALID, UNDEFINED)):
                version = secure_version(partial(flash.read, place))
                yield from raise_version(machine, flash.fuses, version)
            return _running(flash, label, place, arrival)
        elif verdict == checks.SIGNATURE:
            log("Secure boot signature verification failed", "E", "secure_boot_v2")
        elif verdict == checks.INTEGRITY:
            log("Image hash failed - image is corrupt", "E", "esp_image")
        else:
            log(f"image at {place.offset:#x} has invalid magic byte", "E", "esp_image")
        log(f"OTA app partition slot {number} is not bootable", "E")
    log("No bootable app partitions in the partition table", "E")
    machine.activity("idle")
    return None


def _abort_unconfirmed(machine: Machine, flash: _Flash) -> Steps:
    """An image that ran, and that nobody confirmed, never boots again; the value: was there one."""
    found = False
    for entry in flash.entries():
        if entry.state == PENDING_VERIFY:
            machine.activity("flash")
            yield from flash.write_entry(entry.sector, entry.sequence, ABORTED)
            found = True
    return found


def _described(flash: _Flash, place: Region) -> tuple[str, str]:
    """Project name and version from the application descriptor."""
    data = flash.read(place, _DESCRIPTOR, 80)
    version, project = (
        field.split(b"\0")[0].decode("utf-8", "replace") for field in (data[16:48], data[48:])
    )
    return project, version


def _running(flash: _Flash, label: str, place: Region, arrival: str) -> RunningImage:
    block = unpacked(TRAITS_MAGIC, flash.read(place, _DESCRIPTOR + 256, 0x1000))
    version = _described(flash, place)[1]
    return RunningImage(label, version, block or {}, arrival != "test", arrival)


# ---- what the application may do ------------------------------------------------------------------


class EspOtaSlots:
    """`UpdateSlots` over the OTA slot that does not run, and the OTA data."""

    def __init__(self, machine: Machine, running: RunningImage) -> None:
        self._machine = machine
        self._flash = _Flash(machine)
        self._apps = self._flash.apps()
        labels = [label for label, _ in self._apps]
        self._running = labels.index(running.region)
        self._target = (self._running + 1) % len(labels)
        self.region, self._place = self._apps[self._target]

    @property
    def capacity(self) -> int:
        return self._place.size

    def _active(self) -> _Entry | None:
        entries = [e for e in self._flash.entries() if e.bootable]
        return max(entries, key=lambda e: e.sequence) if entries else None

    @property
    def confirmed(self) -> bool:
        active = self._active()
        return active is None or active.state in (VALID, UNDEFINED)

    def erase(self, start: int = 0) -> Steps:
        flash = self._machine.flash
        end = self._place.offset + self._place.size
        for sector in range(self._place.offset + start, end, SECTOR):
            if not flash.is_erased(sector, SECTOR):
                yield from flash.erase(sector, SECTOR, self._machine.now)

    def package(self) -> tuple[str, str]:
        return _described(self._flash, self._place)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._machine.flash.write(self._place.offset + offset, data, self._machine.now)

    def check(self, length: int) -> Steps:
        yield length / _HASH_RATE
        verdict, found = _judge(self._flash, self._place)
        if verdict == checks.OK and found > length:
            return checks.INTEGRITY
        return verdict

    def request_upgrade(self) -> Steps:
        """The next sequence number that names the target slot, in the sector not in use, state NEW."""
        if _is_too_old(self._flash, self._place):
            return "its secure version is too low"
        active = self._active()
        sequence = (active.sequence if active else 0) + 1
        while (sequence - 1) % len(self._apps) != self._target:
            sequence += 1
        sector = 1 - active.sector if active else 0
        yield from self._flash.write_entry(sector, sequence, NEW)
        return None

    def confirm(self) -> Steps:
        active = self._active()
        if active is not None and active.state not in (VALID, UNDEFINED):
            yield from self._flash.write_entry(active.sector, active.sequence, VALID)

    def invalidate(self) -> Steps:
        if not self._machine.flash.is_erased(self._place.offset, SECTOR):
            yield from self._machine.flash.erase(self._place.offset, SECTOR, self._machine.now)
