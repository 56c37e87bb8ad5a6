"""ESP32 OTA data: which application the second-stage bootloader starts.

Sources: ESP-IDF programming guide, "Over The Air Updates (OTA)", "OTA Data Partition" and "App Rollback";
ESP-IDF, `bootloader_utility_get_selected_boot_partition` and `bootloader_utility_load_boot_image` in
components/bootloader_support/src/bootloader_utility.c.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from bench.errors import ImageError

SECTOR = 0x1000
_ERASED = 0xFFFFFFFF
_WORD = 0xFFFFFFFF
_FUSE_BITS = 32

FACTORY, TEST = -1, -2
"""ESP-IDF's numbers for the applications that are no OTA slot (FACTORY_INDEX, TEST_APP_INDEX)."""


class OtaState(IntEnum):
    NEW = 0
    PENDING_VERIFY = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4
    UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class OtaEntry:
    """One of the two OTA data sectors. Of n slots it names number (`sequence` - 1) modulo n, in 32 bits."""

    sequence: int
    state: OtaState

    def slot(self, slots: int) -> int:
        return (self.sequence - 1 & _WORD) % slots

    @property
    def selectable(self) -> bool:
        return self.state not in (OtaState.INVALID, OtaState.ABORTED)


Entries = tuple[OtaEntry | None, OtaEntry | None]


def parse_otadata(data: bytes) -> Entries:
    """Both sectors; None where the sector is erased or its CRC (over the sequence only) is wrong."""
    if len(data) < SECTOR + 32:
        raise ImageError(f"{len(data)} bytes are less than the two OTA data sectors")
    first, second = (_ota_entry(data[start : start + 32]) for start in (0, SECTOR))
    return first, second


def _ota_entry(data: bytes) -> OtaEntry | None:
    sequence, state, crc = struct.unpack("<I20xII", data)
    if sequence == _ERASED or crc != zlib.crc32(data[:4], _ERASED) & _WORD:
        return None
    return OtaEntry(sequence, OtaState(state) if state in set(OtaState) else OtaState.UNDEFINED)


# ---- which application runs -----------------------------------------------------------------------


@dataclass(slots=True)
class SecureVersions:
    """Anti-rollback: `burned` bits of the eFuses, and what the descriptor in a slot says (None: has none)."""

    burned: int
    of: Callable[[int], int | None]

    def allows(self, slot: int) -> bool:
        version = self.of(slot)
        return version is not None and version >= self.burned

    def raised_by(self, slot: int) -> SecureVersions:
        """After the bootloader has burned the version of a slot that is confirmed."""
        version = self.of(slot)
        fits = version is not None and self.burned < version <= _FUSE_BITS
        return SecureVersions(version, self.of) if fits and version is not None else self


def active_ota_slot(
    otadata: bytes,
    slots: int,
    *,
    factory: bool = False,
    bootable: Callable[[int], bool] = lambda slot: True,
    versions: SecureVersions | None = None,
) -> int | None:
    """The application that the bootloader has started, as it left the OTA data.

    The number of an OTA slot, `FACTORY` or `TEST`; None when nothing is bootable. `slots` OTA slots
    exist and, by `factory`, a factory application. `bootable(number)` says whether an application is
    there and whole: it is asked in the order in which the bootloader tries, and no further.
    """
    return _first_bootable(
        _usable(parse_otadata(otadata), slots, versions), slots, factory, bootable, versions
    )


def next_ota_slot(
    otadata: bytes,
    slots: int,
    *,
    factory: bool = False,
    bootable: Callable[[int], bool] = lambda slot: True,
    versions: SecureVersions | None = None,
) -> int | None:
    """The application that starts after a reset, where rollback is built in; otherwise as `active_ota_slot`.

    An image that ran and was not confirmed (PENDING_VERIFY) is given up then.
    """
    entries = [
        replace(e, state=OtaState.ABORTED) if e is not None and e.state is OtaState.PENDING_VERIFY else e
        for e in parse_otadata(otadata)
    ]
    usable = _usable(entries, slots, versions)
    active = max(usable, key=_by_sequence, default=None)
    if versions is not None and active is not None and active.state is OtaState.VALID:
        versions = versions.raised_by(active.slot(slots))  # before the image has been looked at
    return _first_bootable(usable, slots, factory, bootable, versions)


def _by_sequence(entry: OtaEntry) -> int:
    return entry.sequence


def _usable(
    entries: Sequence[OtaEntry | None], slots: int, versions: SecureVersions | None
) -> list[OtaEntry]:
    """The entries that may decide. Of two with the same sequence the first one does."""
    found = [e for e in entries if e is not None and e.selectable and slots]
    return [e for e in found if versions is None or versions.allows(e.slot(slots))]


def _first_bootable(
    usable: list[OtaEntry],
    slots: int,
    factory: bool,
    bootable: Callable[[int], bool],
    versions: SecureVersions | None,
) -> int | None:
    active = max(usable, key=_by_sequence, default=None)
    for number in _order(FACTORY if active is None else active.slot(slots), slots):
        if number == FACTORY and not factory:
            continue
        if (versions is None or versions.allows(number)) and bootable(number):
            return number
    return None


def _order(first: int, slots: int) -> Iterable[int]:
    """Down from the selected one to the factory application, then up; the test application is the last."""
    yield from range(first, FACTORY - 1, -1)
    yield from range(first + 1, slots)
    yield TEST
