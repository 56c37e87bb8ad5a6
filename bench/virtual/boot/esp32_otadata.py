"""The OTA data: two sectors, each with an entry that names the slot to boot and how far its update is.

Source: ESP-IDF v5.3.1, esp_flash_data_types.h (the entry), bootloader_common_loader.c (which is valid, which
is active) and bootloader_utility.c (how it is written); recordings in tests/truth.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.virtual.flash import Flash
from bench.virtual.machine import Machine, Region
from bench.virtual.process import Steps

SECTOR = 0x1000
ENTRY = 32
NEW, PENDING_VERIFY, VALID, INVALID, ABORTED = range(5)
UNDEFINED = 0xFFFFFFFF
_ERASED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry in sector 0 or 1, with the CRC that stands there, right or wrong."""

    sector: int
    sequence: int
    label: bytes
    state: int
    crc: int

    @property
    def _fits(self) -> bool:
        return self.crc == _sequence_crc(self.sequence)

    @property
    def initial(self) -> bool:
        """Erased or damaged; the state does not count."""
        return self.sequence == _ERASED or not self._fits

    @property
    def invalid(self) -> bool:
        """Erased or given up; the CRC does not count."""
        return self.sequence == _ERASED or self.state in (INVALID, ABORTED)

    @property
    def valid(self) -> bool:
        return not self.invalid and self._fits

    def slot(self, count: int) -> int:
        """The OTA slot it names, of `count`: in 32 bits, so that sequence 0 is one before 1."""
        return ((self.sequence - 1) & 0xFFFFFFFF) % count

    def with_state(self, state: int) -> Entry:
        """Another state, and nothing else changed: a wrong CRC stays wrong."""
        return replace(self, state=state)

    def packed(self) -> bytes:
        return struct.pack("<I20sII", self.sequence, self.label, self.state, self.crc)


def made(sector: int, sequence: int, state: int) -> Entry:
    """A new entry, its CRC right and its label erased."""
    return Entry(sector, sequence, b"\xff" * 20, state, _sequence_crc(sequence))


def _sequence_crc(sequence: int) -> int:
    return zlib.crc32(struct.pack("<I", sequence), 0xFFFFFFFF)


def entries(flash: Flash, otadata: Region) -> list[Entry]:
    """Both entries, whatever they are."""
    return [
        Entry(sector, *struct.unpack("<I20sII", flash.read(otadata.offset + sector * SECTOR, ENTRY)))
        for sector in (0, 1)
    ]


def active(found: Sequence[Entry]) -> Entry | None:
    """Of the entries that count the one with the higher sequence number; of equals the first."""
    return max(found, key=lambda entry: entry.sequence, default=None)


def write(machine: Machine, otadata: Region, entry: Entry) -> Steps:
    """Erase the entry's sector and write all of the entry."""
    start = otadata.offset + entry.sector * SECTOR
    yield from machine.flash.erase(start - start % SECTOR, SECTOR, machine.now)
    yield from machine.flash.write(start, entry.packed(), machine.now)
