"""Where components live in the flash: two banks each, one in use, the other for the next package."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.virtual.boot import slots as checks
from bench.virtual.firmware.settings import Settings
from bench.virtual.firmware.update.component_package import ComponentPackage, Damaged, NoPackage, parse
from bench.virtual.machine import Machine, Region
from bench.virtual.process import Steps

BANK_SIZE = 4096
"""Bytes; one page, so that a bank is erased in one go."""
_HASH_RATE = 1.5e6  # bytes of flash hashed in a second; SHA-256 in software at 64 MHz, an estimate


class Bank:
    """One bank, in use or for the next package."""

    def __init__(self, machine: Machine, region: Region, number: int) -> None:
        if (number + 1) * BANK_SIZE > region.size:
            raise ValueError(f"region of {region.size} bytes has no bank {number}")
        self._machine = machine
        self._offset = region.offset + number * BANK_SIZE

    def _read(self) -> bytes:
        return self._machine.flash.read(self._offset, BANK_SIZE)

    def erase(self, start: int = 0) -> Steps:
        yield from self._machine.flash.erase(self._offset + start, BANK_SIZE - start, self._machine.now)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._machine.flash.write(self._offset + offset, data, self._machine.now)

    def check(self, length: int) -> Steps:
        """Look at the `length` bytes written; returns OK, INTEGRITY or UNSUPPORTED."""
        yield length / _HASH_RATE
        try:
            parse(self._read()[:length])
        except NoPackage:
            return checks.UNSUPPORTED
        except Damaged:
            return checks.INTEGRITY
        return checks.OK

    def invalidate(self) -> Steps:
        if not self._machine.flash.is_erased(self._offset, BANK_SIZE):
            yield from self.erase()

    def packages(self) -> list[ComponentPackage]:
        """What the bank holds: one package, several in a bundle that is still to be unpacked, or none."""
        try:
            return parse(self._read())
        except (NoPackage, Damaged):
            return []

    def package(self) -> ComponentPackage | None:
        """The one package that the bank holds, as found in the flash; None when it is not whole."""
        held = self.packages()
        return held[0] if len(held) == 1 else None


class Drawer:
    """Records that survive a restart together: all of them are one entry of the settings, so that
    those put in at once are all old or all new, whenever the supply fails."""

    KEY = "components"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def values(self) -> Mapping[str, Any]:
        held: Mapping[str, Any] = self._settings.values.get(self.KEY, {})
        return held

    def put(self, key: str, value: Any) -> Steps:
        yield from self.put_all({key: value})

    def put_all(self, records: Mapping[str, Any]) -> Steps:
        yield from self._settings.put(self.KEY, {**self.values, **records})


class Banks:
    """The two banks of one component; as a `Place` it is always the one that is not in use."""

    capacity = BANK_SIZE

    def __init__(self, machine: Machine, region: Region, row: int, drawer: Drawer, instance: int) -> None:
        self._banks = (Bank(machine, region, 2 * row), Bank(machine, region, 2 * row + 1))
        self._drawer, self._instance = drawer, instance

    @property
    def active(self) -> int | None:
        """The number of the bank in use; None while the component is as it left the factory."""
        number: int | None = self._drawer.values.get("banks", {}).get(self._instance)
        return number

    @property
    def next(self) -> int:
        return 0 if self.active is None else 1 - self.active

    def running(self) -> ComponentPackage | None:
        """The package in use, as found in the flash; None when it is not whole, or as from the factory."""
        return None if self.active is None else self._banks[self.active].package()

    def packages(self) -> list[ComponentPackage]:
        """What came in."""
        return self._banks[self.next].packages()

    def package(self) -> ComponentPackage | None:
        """What an installation would take."""
        return self._banks[self.next].package()

    def erase(self, start: int = 0) -> Steps:
        yield from self._banks[self.next].erase(start)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._banks[self.next].write(offset, data)

    def check(self, length: int) -> Steps:
        return (yield from self._banks[self.next].check(length))

    def invalidate(self) -> Steps:
        yield from self._banks[self.next].invalidate()
