"""ESP32: flashed by its ROM bootloader over the console's own serial port; boots from any of its slots.

Access to the flash resets the chip: the application does not survive it.
"""

from __future__ import annotations

import contextlib
import struct
from functools import partial

from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut, opened
from bench.errors import FlashError, ImageError, LockedError, WrongChipError
from bench.firmware.esp32 import DESCRIPTOR_MAGIC
from bench.firmware.esp32_layout import (
    BOOTLOADER_OFFSET,
    differences,
    factory_table,
    header_flash_size,
    table_offset,
)
from bench.firmware.esp32_otadata import (
    FACTORY,
    SECTOR,
    TEST,
    OtaState,
    SecureVersions,
    active_ota_slot,
    parse_otadata,
)
from bench.firmware.esp32_partitions import TABLE_SIZE, Partition, PartitionTable, parse_partition_table
from bench.firmware.esp32_verify import image_length, revision_fault, signed_length, signing_keys, verify
from bench.firmware.image import FirmwareImage

_HEADER = 32
_OTADATA = SECTOR + 32
_TABLES = range(0x8000, 0x18000)
"""Where partition tables lie: behind the bootloader, in any sector (CONFIG_PARTITION_TABLE_OFFSET)."""


class Esp32(HardwareDut):
    """The flasher borrows the console's port: it is opened once."""

    _fits = False

    def flash_access(self) -> contextlib.AbstractContextManager[Flasher]:
        return opened(self.flasher)

    def why_not(self, capability: str) -> str | None:
        """Reading back ends where the flash is encrypted."""
        unreadable = self.flasher.why_unreadable() if capability == "readback" else None
        return unreadable or super().why_not(capability)

    # ---- what runs

    def running_slot(self, flasher: Flasher) -> str:
        try:
            table = self._table(flasher)
        except ImageError as fault:
            raise AssertionError(f"{self.name}: nothing boots: {fault.message}") from None
        apps = {FACTORY: table.factory, TEST: table.test, **table.ota}
        identity = flasher.identity()
        checked = partial(self._bootable, flasher, identity=identity)
        versions = SecureVersions(
            int(identity["secure_version"]), lambda number: _secure_version(flasher, apps.get(number))
        )
        place = table.otadata
        number = active_ota_slot(
            b"\xff" * _OTADATA if place is None else flasher.read(place.offset, _OTADATA),
            table.ota_count,
            factory=table.factory is not None,
            bootable=lambda number: checked(apps.get(number)),
            versions=versions if self.why_not("anti-rollback") is None else None,
        )
        running = None if number is None else apps[number]
        if running is None:
            raise AssertionError(f"{self.name}: nothing boots: no application in the flash is whole")
        return self._region_at(running)

    def _table(self, flasher: Flasher) -> PartitionTable:
        data = flasher.read(table_offset(self.type), TABLE_SIZE)
        return parse_partition_table(data, self.type.flash_size)

    def _region_at(self, place: Partition) -> str:
        for name in self.type.firmware.slots:
            if self.region(name).offset == place.offset:
                return name
        raise AssertionError(
            f"{self.name}: {place.label!r} at {place.offset:#x} runs, which is none of its slots"
        )

    def _bootable(self, flasher: Flasher, place: Partition | None, *, identity: dict[str, str]) -> bool:
        """Whether the bootloader starts what lies there. A build that is known need not be read back."""
        if place is None:
            return False
        known = (self.images.baseline, self.images.update)
        if any(image.size <= place.size and flasher.holds(place.offset, image.data) for image in known):
            return True
        read = partial(_read_at, flasher, place.offset)
        try:
            length = image_length(read, offset=place.offset, size=place.size, revision=_revision(identity))
            data = read(0, min(place.size, signed_length(length)))
            verify(data, length, trusted=self._trusted_key(identity))
        except ImageError:
            return False
        return True

    def _trusted_key(self, identity: dict[str, str]) -> bytes | None:
        """Digest of the key that the chip asks for; else of the baseline's, where it is signed."""
        if identity["trusted_key"]:
            return bytes.fromhex(identity["trusted_key"])
        keys = self._signing_keys(self.images.baseline, _revision(identity))
        return keys[0] if keys else None

    def _signing_keys(self, image: FirmwareImage, revision: int) -> list[bytes]:
        place = self.region(self.type.firmware.slots[0])
        length = image_length(
            partial(_slice, image.data), offset=place.offset, size=place.size, revision=revision
        )
        return signing_keys(image.data, length)

    def unsettled(self, flasher: Flasher) -> str | None:
        try:
            place = self._table(flasher).otadata
        except ImageError as fault:
            return fault.message
        if place is None:
            return None
        for entry in parse_otadata(flasher.read(place.offset, _OTADATA)):
            if entry is not None and entry.state in (OtaState.NEW, OtaState.PENDING_VERIFY):
                return f"OTA data entry {entry.sequence} is {entry.state.name}"
        return None

    # ---- before anything is written

    def check_fit(self, flasher: Flasher) -> None:
        """Security each time; chip, flash and partition table until the board has been found right once.

        What a testcase does to them later is the product's doing, and the factory parts mend it.
        """
        super().check_fit(flasher)
        self._check_writable(flasher)
        if self._fits:
            return
        identity = flasher.identity()
        found = [*self._flash_faults(flasher, identity), *self._image_faults(identity)]
        found += self._table_faults(flasher)
        if found:
            raise WrongChipError(
                f"{self.name} is not the board that {self.type.name}'s board file describes "
                f"({identity['part']}, {identity['flash_size']} of flash): {'; '.join(found)}",
                help="correct [regions], firmware.slots and flash_size in the board file, or attach the "
                "board that it describes; one that may lose all it holds is made blank by `esptool "
                "erase-flash`, and gets its partition table from images.factory",
            )
        self._fits = True

    def _check_writable(self, flasher: Flasher) -> None:
        firmware = self.type.firmware
        for region in (self.region(name) for name in (*firmware.wiped, firmware.slots[0])):
            flasher.check_writable(region.offset, region.size)
        for part in self.images.factory:
            data = part.data
            try:
                flasher.check_writable(part.address, len(data))
            except LockedError:
                if flasher.why_unreadable() is not None or not flasher.holds(part.address, data):
                    raise

    def _flash_faults(self, flasher: Flasher, identity: dict[str, str]) -> list[str]:
        """The flash chip against the board file, and against what its bootloader was built for."""
        size = flash_bytes(identity["flash_size"])
        if size is None:
            raise FlashError(
                f"{self.name}: nobody knows the size of the flash with JEDEC id {identity['flash_id']}",
                help="use a board with a flash that esptool knows",
            )
        wanted = self.type.flash_size
        if size > wanted:
            self._timeline.record(self.name, "flash", f"the flash has {size:#x} bytes, {wanted:#x} are used")
        found = [f"the flash has {size:#x} bytes, not {wanted:#x}"] if size < wanted else []
        factory = {part.address: part.path for part in self.images.factory}
        if BOOTLOADER_OFFSET in factory:  # compared with the board file when it was read
            return found
        built_for = header_flash_size(flasher.read(BOOTLOADER_OFFSET, _HEADER))
        if built_for is None:
            return [
                *found,
                f"there is no bootloader at {BOOTLOADER_OFFSET:#x}, and images.factory gives none",
            ]
        if built_for > size:
            found.append(f"its bootloader is built for {built_for:#x} bytes of flash")
        elif built_for < wanted:
            found.append(f"its bootloader is built for {built_for:#x} bytes of flash, not for {wanted:#x}")
        return found

    def _image_faults(self, identity: dict[str, str]) -> list[str]:
        images = {"images.baseline": self.images.baseline, "images.update": self.images.update}
        revision, trusted = _revision(identity), bytes.fromhex(identity["trusted_key"])
        found = []
        for name, image in images.items():
            if fault := revision_fault(image.data[:_HEADER], revision):
                found.append(f"{name} {fault}")
            elif trusted and trusted not in self._signing_keys(image, revision):
                found.append(
                    f"{name} is not signed with the key that the chip asks for "
                    f"(SHA-256 {trusted.hex()[:12]}...)"
                )
        return found

    def _table_faults(self, flasher: Flasher) -> list[str]:
        """A table that is none is no other board's: where a factory part replaces it, that was compared."""
        where = f"the partition table at {table_offset(self.type):#x}"
        try:
            table = self._table(flasher)
        except ImageError as fault:
            state = f"is damaged ({fault.message})"
        else:
            if table.rows:
                return [f"in {where} {fault}" for fault in differences(table, self.type)]
            state = "is erased"
        if (elsewhere := self._table_elsewhere(flasher)) is not None:
            return [f"the partition table lies at {elsewhere:#x}, not at {table_offset(self.type):#x}"]
        if factory_table([(part.address, part.path) for part in self.images.factory], self.type) is None:
            return [f"{where} {state}, and images.factory gives none"]
        self._timeline.record(self.name, "flash", f"{where} {state}: it is replaced")
        return []

    def _table_elsewhere(self, flasher: Flasher) -> int | None:
        data = flasher.read(_TABLES.start, len(_TABLES))
        for start in range(0, len(_TABLES), SECTOR):
            with contextlib.suppress(ImageError):
                if parse_partition_table(data[start : start + TABLE_SIZE], self.type.flash_size).rows:
                    return _TABLES.start + start
        return None


def flash_bytes(text: str) -> int | None:
    """Bytes of a size as esptool names it ("4MB", "512KB"); None when it names none."""
    for unit, shift in (("MB", 20), ("KB", 10)):
        if text.endswith(unit):
            return int(text.removesuffix(unit)) << shift
    return None


def _revision(identity: dict[str, str]) -> int:
    """100 is v1.0."""
    major, minor = identity["revision"].removeprefix("v").split(".")
    return 100 * int(major) + int(minor)


def _secure_version(flasher: Flasher, place: Partition | None) -> int | None:
    """Of the application descriptor, which begins the first segment; None where there is none."""
    if place is None:
        return None
    magic, version = struct.unpack("<II", flasher.read(place.offset + _HEADER, 8))
    return version if magic == DESCRIPTOR_MAGIC else None


def _read_at(flasher: Flasher, base: int, offset: int, length: int) -> bytes:
    return flasher.read(base + offset, length)


def _slice(data: bytes, offset: int, length: int) -> bytes:
    return data[offset : offset + length]
