"""The ESP32's second-stage bootloader with rollback, and the OTA functions of the application above it.

A table with a partition of eFuses belongs to a bootloader built with anti-rollback, another to one without.

Source: ESP-IDF v5.3.1, bootloader_start.c, bootloader_utility.c (what is printed, selected, written, and in
which order) and esp_ota_ops.c (the application's part); recordings of the selection and the load loop in
tests/truth. The lines before the partition table are those of a boot log of v5.4.2 (wokwi-features#1121, an
ESP32-P4), without its `efuse block revision`, which an ESP32 does not have.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.virtual.boot import esp32_otadata as otadata
from bench.virtual.boot import slots as checks
from bench.virtual.boot.esp32_image import Verdict, Verifier
from bench.virtual.boot.esp32_log import Log, Print, silent
from bench.virtual.boot.esp32_otadata import ABORTED, NEW, PENDING_VERIFY, SECTOR, UNDEFINED, VALID, Entry
from bench.virtual.boot.esp32_partitions import FACTORY, NOWHERE, TEST, Layout, read_layout
from bench.virtual.boot.esp32_secure import least_version, raise_version, secure_version, trusted_key
from bench.virtual.boot.traits import TRAITS_MAGIC, unpacked
from bench.virtual.machine import Machine, Region, RunningImage
from bench.virtual.process import Steps

FIRST_REVISION = 100
"""v1.0, which a chip is unless somebody says otherwise."""

_HASH_RATE = 5e6  # bytes hashed in a second with the SHA peripheral, an estimate
_DESCRIPTOR = 32
_NO_DESCRIPTION = 261  # ESP_ERR_NOT_FOUND
_BANNER = (
    ("boot", "ESP-IDF v5.3.1 2nd stage bootloader"),
    ("boot", "compile time Jan  1 2026 00:00:00"),
    ("boot", "Multicore bootloader"),
    ("boot", "chip revision: v{major}.{minor}"),
    ("boot.esp32", "SPI Speed      : 40MHz"),
    ("boot.esp32", "SPI Mode       : DIO"),
    ("boot.esp32", "SPI Flash Size : {megabytes}MB"),
    ("boot", "Enabling RNG early entropy source..."),
)


@dataclass(frozen=True, slots=True)
class _Board:
    """A machine as bootloader and application see it: by partitions."""

    machine: Machine
    layout: Layout
    revision: int

    @property
    def guarded(self) -> bool:
        """Whether old secure versions are refused."""
        fuses = self.layout.fuses
        return fuses != NOWHERE and fuses.offset + 4 <= self.machine.flash.size

    def entries(self) -> list[Entry]:
        return otadata.entries(self.machine.flash, self.layout.otadata)

    def write(self, entry: Entry) -> Steps:
        self.machine.activity("flash")
        yield from otadata.write(self.machine, self.layout.otadata, entry)
        self.machine.activity("boot")

    def verdict(self, place: Region, log: Print, *, loads: bool) -> Verdict:
        trusted = trusted_key(self.machine)
        return Verifier(self.machine.flash, self.revision, trusted, log, loads).verify(place)

    def burn(self, place: Region, log: Print) -> Steps:
        """Raise the secure version to that of the application in `place`."""
        version = secure_version(self.machine, place)
        if version is None:
            log(f"Failed to get partition description {_NO_DESCRIPTION}", "E")
        else:
            yield from raise_version(self.machine, self.layout.fuses, version)


# ---- the boot -------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Choice:
    """Where the bootloader begins to look for an application, and what the OTA data said of it."""

    index: int = FACTORY
    entry: Entry | None = None
    """As it was found; None when none was selected."""
    initial: bool = False
    """The OTA data is to be written once an application was found."""
    aborted: list[Entry] = field(default_factory=list)


def boot(machine: Machine, revision: int = FIRST_REVISION) -> Steps:
    """From the ROM's jump to the application; the value is the `RunningImage`, or None.

    `revision` is the chip's, 300 is v3.0. None stands for the reset that follows.
    """
    machine.activity("boot")
    log = Log(machine)
    yield 0.03
    major, minor = divmod(revision, 100)
    for tag, text in _BANNER:
        log(text.format(major=major, minor=minor, megabytes=machine.flash.size >> 20), tag=tag)
    layout = read_layout(machine.flash, log)
    if layout is None:
        log("load partition table error!", "E")
        machine.activity("idle")
        return None
    board = _Board(machine, layout, revision)
    choice = yield from _selected(board, log)
    index = (yield from _loaded(board, choice, log)) if choice is not None else None
    if index is None:
        machine.activity("idle")
        return None
    return _running(board, index, _arrival(choice, index))


def _selected(board: _Board, log: Print) -> Steps:
    """Read the OTA data, write what it changes; the value is a `_Choice`, or None for a reset."""
    layout = board.layout
    if layout.otadata.offset == 0:
        return _Choice()
    if layout.otadata.size < 2 * SECTOR:
        log(
            f"ota_info partition size {layout.otadata.size} is too small (minimum {2 * SECTOR} bytes)",
            "E",
        )
        return None
    if layout.otadata.offset + 2 * SECTOR > board.machine.flash.size:
        return None
    found = board.entries()
    choice = _Choice()
    choice.aborted = yield from _abort_unconfirmed(board, found)
    for entry in choice.aborted:
        found[entry.sector] = entry
    if board.guarded:
        log("Enabled a check secure version of app for anti rollback")
        log(f"Secure version (from eFuse) = {least_version(board.machine, layout.fuses)}")
        if not layout.app_count and any(entry.valid for entry in found):
            return None  # a division by the number of slots: the processor's exception resets the chip
    candidates = _candidates(board, found, choice, log)
    if candidates is None:
        return choice
    choice.entry = otadata.active(candidates)
    if choice.entry is not None:
        choice.index = choice.entry.slot(layout.app_count)
        if choice.entry.state == NEW:
            yield from board.write(choice.entry.with_state(PENDING_VERIFY))
        if board.guarded and choice.entry.state == VALID:  # before anybody has looked at the image
            yield from board.burn(layout.ota.get(choice.index, NOWHERE), log)
    elif layout.factory.offset:
        log("ota data partition invalid, falling back to factory", "E")
    else:
        log("ota data partition invalid and no factory, will try all partitions", "E")
    return choice


def _candidates(board: _Board, found: list[Entry], choice: _Choice, log: Print) -> list[Entry] | None:
    """The entries that may be selected; None where none is asked, and `choice` says what then.

    With anti-rollback both must be erased or damaged for that, without it both erased or given up.
    """
    layout = board.layout
    if board.guarded:
        if all(entry.initial for entry in found):
            log("otadata[0..1] in initial state")
            choice.initial = True
            return None
        valid = [entry for entry in found if entry.valid]
        places = [layout.ota.get(entry.slot(layout.app_count), NOWHERE) for entry in valid]
        return [e for e, place in zip(valid, places, strict=True) if _is_new_enough(board, place, log)]
    if layout.app_count and not all(entry.invalid for entry in found):
        return [entry for entry in found if entry.valid]
    if layout.factory.offset:
        log("Defaulting to factory image")
    else:
        log("No factory image, trying OTA 0")
        choice.index, choice.initial = 0, all(entry.initial for entry in found)
    return None


def _abort_unconfirmed(board: _Board, found: list[Entry]) -> Steps:
    """An image that ran, and that nobody confirmed, never boots again; the value: the entries changed."""
    aborted = [entry.with_state(ABORTED) for entry in found if entry.state == PENDING_VERIFY]
    for entry in aborted:
        yield from board.write(entry)
    return aborted


def _is_new_enough(board: _Board, place: Region, log: Print) -> bool:
    """Whether the secure version, if that is asked for, is not below the one that the fuses have."""
    if not board.guarded:
        return True
    version = secure_version(board.machine, place)
    if version is None:
        log(f"Failed to get partition description {_NO_DESCRIPTION}", "E")
        return False
    return version >= least_version(board.machine, board.layout.fuses)


def _loaded(board: _Board, choice: _Choice, log: Print) -> Steps:
    """Try applications until one is good; the value is its index, or None.

    From the chosen one down to the factory application, then those above it, then the test application.
    """
    layout = board.layout
    for index in (*range(choice.index, FACTORY - 1, -1), *range(choice.index + 1, layout.app_count)):
        place = layout.place(index)
        if place.size == 0:
            continue
        if _is_new_enough(board, place, log) and (yield from _is_good(board, place, log)):
            if choice.initial and index != FACTORY:
                yield from board.write(otadata.made(0, index + 1, VALID))
                log(f"Set actual ota_seq={index + 1} in otadata[0]")
                if board.guarded:
                    yield from board.burn(place, log)
            log("Disabling RNG early entropy source...")
            return index
        name = "Factory app partition" if index == FACTORY else f"OTA app partition slot {index}"
        log(f"{name} is not bootable", "E")
    # asked about although there may be none, which is then said
    last_resort = _is_new_enough(board, layout.test, log) and layout.test.size > 0
    if last_resort and (yield from _is_good(board, layout.test, log)):
        log("Falling back to test app as only bootable partition", "W")
        log("Disabling RNG early entropy source...")
        return TEST
    log("No bootable app partitions in the partition table", "E")
    return None


def _is_good(board: _Board, place: Region, log: Print) -> Steps:
    verdict, length = board.verdict(place, log, loads=True)
    yield (length or 0x10000) / _HASH_RATE
    if verdict != checks.OK:
        return False
    log(f"Loaded app from partition at offset {place.offset:#x}")
    return True


def _arrival(choice: _Choice, index: int) -> str:
    if choice.aborted or (choice.entry is not None and index != choice.index):
        return "revert"
    return "test" if choice.entry is not None and choice.entry.state == NEW else "normal"


def _stored(machine: Machine, address: int, length: int) -> bytes:
    """Fewer bytes where the flash ends before."""
    return machine.flash.read(address, min(length, machine.flash.size - address))


def _described(machine: Machine, place: Region) -> tuple[str, str]:
    """Project name and version from the application descriptor."""
    data = _stored(machine, place.offset + _DESCRIPTOR, 80)
    version, project = (part.split(b"\0")[0].decode("utf-8", "replace") for part in (data[16:48], data[48:]))
    return project, version


def _running(board: _Board, index: int, arrival: str) -> RunningImage:
    place = board.layout.place(index)
    block = unpacked(TRAITS_MAGIC, _stored(board.machine, place.offset + _DESCRIPTOR + 256, 0x1000))
    version = _described(board.machine, place)[1]
    return RunningImage(board.layout.labels[index], version, block or {}, arrival != "test", arrival)


# ---- what the application may do ------------------------------------------------------------------


class EspOtaSlots:
    """`UpdateSlots` over the OTA slot that does not run, and the OTA data."""

    def __init__(self, machine: Machine, running: RunningImage, revision: int = FIRST_REVISION) -> None:
        layout = read_layout(machine.flash, silent)
        assert layout is not None, "an application runs, so the table was good"
        self._machine = machine
        self._board = _Board(machine, layout, revision)
        self._index = index = next(n for n, label in layout.labels.items() if label == running.region)
        self._home = layout.place(index)
        above = [slot for slot in sorted(layout.ota) if slot > index >= 0]
        self._target = min(above or layout.ota, default=0)
        self.region, self._place = layout.labels.get(self._target, ""), layout.place(self._target)

    @property
    def capacity(self) -> int:
        return self._place.size

    def _active(self) -> Entry | None:
        if not self._board.layout.otadata.offset:
            return None
        return otadata.active([entry for entry in self._board.entries() if entry.valid])

    @property
    def confirmed(self) -> bool:
        """Also where the bootloader has fallen back: the slot that the OTA data name is the one on trial."""
        active = self._active()
        if active is None or active.state in (VALID, UNDEFINED):
            return True
        return active.slot(len(self._board.layout.ota)) != self._index

    def erase(self, start: int = 0) -> Steps:
        flash = self._machine.flash
        end = self._place.offset + self._place.size
        for sector in range(self._place.offset + start, end, SECTOR):
            if not flash.is_erased(sector, SECTOR):
                yield from flash.erase(sector, SECTOR, self._machine.now)

    def package(self) -> tuple[str, str]:
        return _described(self._machine, self._place)

    def write(self, offset: int, data: bytes) -> Steps:
        yield from self._machine.flash.write(self._place.offset + offset, data, self._machine.now)

    def check(self, length: int) -> Steps:
        yield length / _HASH_RATE
        verdict, found = self._board.verdict(self._place, silent, loads=False)
        if verdict == checks.OK and found > length:
            return checks.INTEGRITY
        return verdict

    def request_upgrade(self) -> Steps:
        """The next sequence number that names the target slot, in the sector not in use, state NEW."""
        if not self._board.layout.otadata.offset or not self._place.size:
            return "there is no OTA data, or no slot"
        if not _is_new_enough(self._board, self._place, silent):
            return "its secure version is too low"
        active, count = self._active(), self._board.layout.app_count
        sequence = self._target + 1
        if active is not None:
            sequence %= count
            sequence += max(0, -(-(active.sequence - sequence) // count)) * count
        sector = 1 - active.sector if active else 0
        yield from self._write(otadata.made(sector, sequence & 0xFFFFFFFF, NEW))
        return None

    def confirm(self) -> Steps:
        active = self._active()
        if active is not None and active.state not in (VALID, UNDEFINED):
            yield from self._write(otadata.made(active.sector, active.sequence, VALID))
            if self._board.guarded:
                yield from self._board.burn(self._home, silent)

    def _write(self, entry: Entry) -> Steps:
        yield from otadata.write(self._machine, self._board.layout.otadata, entry)

    def invalidate(self) -> Steps:
        if not self._machine.flash.is_erased(self._place.offset, SECTOR):
            yield from self._machine.flash.erase(self._place.offset, SECTOR, self._machine.now)
