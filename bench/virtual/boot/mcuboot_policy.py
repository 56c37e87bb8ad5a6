"""What MCUboot holds against an image that is whole and well signed: its age, and what it needs.

The security counter is kept in the region `counters`, which only the bootloader writes: a word for
each raise, its value and the value's complement in 16 bits each, so that a torn word is none.

Source: MCUboot design document, "Downgrade prevention" and "Dependency check".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from bench.virtual.boot.mcuboot_slot import Slot
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

SECURITY_COUNTER = 0x50
DEPENDENCY = 0x40
_REGION = "counters"
_WORD = 4
_ERASED = b"\xff" * _WORD


def _kept(machine: Machine) -> tuple[int, int]:
    """The highest value raised to so far, and the offset in the flash where the next one goes."""
    region = machine.regions[_REGION]
    highest = 0
    for offset in range(region.offset, region.offset + region.size, _WORD):
        word = machine.flash.read(offset, _WORD)
        if word == _ERASED:
            return highest, offset
        value, complement = struct.unpack("<HH", word)
        if value ^ complement == 0xFFFF:
            highest = max(highest, value)
    return highest, region.offset + region.size


def _counter_in(protected: Mapping[int, bytes]) -> int | None:
    entry = protected.get(SECURITY_COUNTER, b"")
    return int.from_bytes(entry, "little") if len(entry) == 4 else None


def counter_allows(machine: Machine, protected: Mapping[int, bytes]) -> bool:
    """Whether the image's security counter is not below the board's; a board without one allows all."""
    if _REGION not in machine.regions:
        return True
    counter = _counter_in(protected)
    return counter is not None and counter >= _kept(machine)[0]


def raise_counter(machine: Machine, protected: Mapping[int, bytes]) -> Steps:
    """Have the board refuse, from now on, what is older than a confirmed image."""
    if _REGION not in machine.regions:
        return
    counter = _counter_in(protected) or 0
    highest, offset = _kept(machine)
    end = machine.regions[_REGION].offset + machine.regions[_REGION].size
    if counter > highest and offset < end:
        yield from machine.flash.write(offset, struct.pack("<HH", counter, counter ^ 0xFFFF), machine.now)


def is_downgrade(candidate: Slot, running: Slot) -> bool:
    """Whether the candidate's version is lower; where nothing runs any version will do."""
    new, old = candidate.header(), running.header()
    return new is not None and old is not None and _numbers(new.version) < _numbers(old.version)


def needs_another(candidate: Slot, protected: Mapping[int, bytes]) -> bool:
    """Whether the image depends on one that this board, which has image 0 alone, will not have."""
    entry = protected.get(DEPENDENCY)
    if entry is None:
        return False
    if len(entry) != 12:
        return True
    image, major, minor, revision = struct.unpack_from("<B3xBBH", entry)
    header = candidate.header()
    return image != 0 or header is None or _numbers(header.version) < (major, minor, revision)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
