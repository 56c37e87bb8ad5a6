"""What an application of a virtual board does with MCUboot's slots."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from bench.virtual.boot import slots as checks
from bench.virtual.boot.mcuboot import package_check
from bench.virtual.boot.mcuboot.area import SECTOR, Unreachable
from bench.virtual.boot.mcuboot.boot_state import PRIMARY, SECONDARY, SLOT_NAMES, BootState
from bench.virtual.boot.mcuboot.bootloader import options_of, stays
from bench.virtual.boot.mcuboot.image import (
    SHA256,
    Header,
    Malformed,
    entries,
    fits,
    header_at,
    tlvs_of,
)
from bench.virtual.boot.mcuboot.options import Options, Upgrade
from bench.virtual.boot.mcuboot.request import set_confirmed, set_pending
from bench.virtual.boot.mcuboot.slot_check import HASH_RATE
from bench.virtual.boot.mcuboot.validation import Keys, hash_fits
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.process import Steps


class McubootSlots:
    """`UpdateSlots` over the slot that does not run, and the two trailers.

    `options` are those of the bootloader; without them, those that the one in the flash names.
    """

    def __init__(self, machine: Machine, running: RunningImage, options: Options | None = None) -> None:
        self._state = BootState(machine, options or options_of(machine), Keys(b""))
        self._running = SLOT_NAMES.index(running.region)
        other = SECONDARY if self._running == PRIMARY else PRIMARY
        self._own, self._other = self._state.slots[self._running], self._state.slots[other]
        offset = self._state.options.upgrade is Upgrade.OFFSET
        self._start = SECTOR if offset else 0

    @property
    def region(self) -> str:
        return self._other.name

    @property
    def capacity(self) -> int:
        """Without the trailer, and without the sector that a swap by moving or with an offset needs."""
        spare = self._state.options.upgrade in (Upgrade.MOVE, Upgrade.OFFSET)
        return (self._other.trailer_sector - spare) * SECTOR

    @property
    def confirmed(self) -> bool:
        return stays(self._state, self._running)

    def erase(self, start: int = 0) -> Steps:
        first = (self._start + start) // SECTOR if start else 0
        for number in range(first, self._other.sectors):
            if not self._other.is_erased(number):
                yield from self._other.erase(number * SECTOR, SECTOR)

    def package(self) -> tuple[str, str]:
        header = header_at(self._other, self._start)
        board = package_check.board_of(self._protected())
        return (board, header.version) if header.is_image else ("", "")

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._other.write(self._start + offset, data)

    def check(self, length: int) -> Steps:
        """Magic, sizes and hash; the signature is the bootloader's to judge."""
        yield length / HASH_RATE
        header = header_at(self._other, self._start)
        if not header.is_image:
            return checks.UNSUPPORTED
        whole = fits(header, self._other, is_main=True) and self._is_whole(header)
        return checks.OK if whole else checks.INTEGRITY

    def _is_whole(self, header: Header) -> bool:
        try:
            digest = hashlib.sha256(self._other.read(self._start, header.covered)).digest()
            found = list(entries(tlvs_of(self._other, header, self._start, is_main=True), SHA256))
            return bool(found) and all(
                entry.length == len(digest) and hash_fits(self._other.read(entry.offset, 32), digest)
                for entry in found
            )
        except (Malformed, Unreachable):
            return False

    def request_upgrade(self) -> Steps:
        """Refuses what MCUboot does not look at, before it is asked for."""
        objection = self._objection()
        if objection is not None:
            return objection
        asked = yield from set_pending(self._other, self._state.options)
        return None if asked else f"the trailer of {self._other.name} is damaged"

    def _objection(self) -> str | None:
        header, protected = header_at(self._other, self._start), self._protected()
        own = package_check.board_of(package_check.protected_of(self._own, 0))
        if not package_check.is_for(protected, own):
            return "it is for another board"
        if package_check.is_older(header, header_at(self._own)):
            return "its version is too low"
        if package_check.needs_another(header, protected):
            return "what it depends on is not there"
        return None

    def _protected(self) -> Mapping[int, bytes]:
        return package_check.protected_of(self._other, self._start)

    def confirm(self) -> Steps:
        yield from set_confirmed(self._own, self._state.options)

    def invalidate(self) -> Steps:
        first = self._start // SECTOR
        for number in (first, *range(self._other.trailer_sector, self._other.sectors)):
            if not self._other.is_erased(number):
                yield from self._other.erase(number * SECTOR, SECTOR)
