"""The platform's security counter: kept in the region `counters`, which only the bootloader writes.

Where it is kept is the platform's affair, not MCUboot's (boot_nv_security_counter_get and _update):
here a record for each raise, the value and its complement in 32 bits each, so that a torn one is none.
"""

from __future__ import annotations

import struct

from bench.virtual.machine import Machine
from bench.virtual.process import Steps

REGION = "counters"
_RECORD = struct.Struct("<II")
_ERASED = b"\xff" * _RECORD.size
_COMPLEMENT = 0xFFFFFFFF


class SecurityCounter:
    """0 until it is raised, and on boards without the region."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    @property
    def value(self) -> int:
        return self._kept()[0]

    def _kept(self) -> tuple[int, int | None]:
        """The highest value raised to so far, and the offset in the flash where the next one goes."""
        region = self._machine.regions.get(REGION)
        highest = 0
        if region is None:
            return highest, None
        for offset in range(region.offset, region.offset + region.size, _RECORD.size):
            record = self._machine.flash.read(offset, _RECORD.size)
            if record == _ERASED:
                return highest, offset
            value, complement = _RECORD.unpack(record)
            if value ^ complement == _COMPLEMENT:
                highest = max(highest, value)
        return highest, None

    def raise_to(self, value: int) -> Steps:
        """Never down; nothing when there is no room for another record."""
        highest, offset = self._kept()
        if value > highest and offset is not None:
            record = _RECORD.pack(value, value ^ _COMPLEMENT)
            yield from self._machine.flash.write(offset, record, self._machine.now)
