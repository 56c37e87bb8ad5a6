"""One run of the machine code in the flash, from reset to where it goes on in an application.

It is a process of the chip's processor: it takes simulated time, and dies with the supply where it stands.
What it stores to flash is done by the flash controller in the time that it takes, so that a cut finds it
half done. Whatever it touches that is not modelled ends the run by an error that names it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import PlantError
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.instructions import Memory
from bench.virtual.nrf91.program.exceptions import BUS, LINES, SVC, Exceptions
from bench.virtual.nrf91.program.local_time import LocalTime
from bench.virtual.nrf91.program.peripheral import NotModelled
from bench.virtual.nrf91.program.peripherals import NVMC, READY, READYNEXT, Peripherals
from bench.virtual.nrf91.program.processor import Bus, Processor
from bench.virtual.nrf91.program.register_names import name_of
from bench.virtual.nrf91.program.stores import Answer, Stores
from bench.virtual.nrf91.program.system import TAKE_AT_ONCE, System
from bench.virtual.process import Steps

if TYPE_CHECKING:
    from bench.virtual.nrf91.chip import Nrf91Chip

SLICE = 64_000
"""Instructions between two looks: a millisecond's worth."""
LOOK = 0.001
"""Seconds that the program may be ahead of everything else."""
MASKED = 256
"""Instructions that are carried out one by one while an exception waits for its mask to go."""
GATHERING = 64
"""Slices in which one write to flash may be gathered."""
BUS_ACCESS = 4 / mem.CORE_CLOCK
PATIENCE = 32
"""Looks at one register, nothing else between them, after which a program is taken to wait."""
WAIT = 10e-6
"""Seconds that each further look then takes."""
PRECISE_BUS_FAULT, UNDEFINED = 0x8200, 1 << 16  # CFSR
_READY = {address + alias for address in (NVMC + READY, NVMC + READYNEXT) for alias in (0, mem.SECURE_ALIAS)}


@dataclass(frozen=True, slots=True)
class Jump:
    """Where a program went on: its PC, in a closed range, and its stack pointer."""

    address: int
    stack: int


class Program:
    """`closed` are [start, end) ranges of the flash that hold applications. `retained` keeps GPREGRET;
    `send(data, baud)` is the console's line; `reset()` resets the chip.
    """

    def __init__(
        self,
        name: str,
        chip: Nrf91Chip,
        closed: Sequence[tuple[int, int]],
        retained: dict[int, int],
        send: Callable[[bytes, float], None],
        reset: Callable[[], None],
    ) -> None:
        self._name, self._chip, self._closed = name, chip, closed
        self._time = LocalTime(chip.scheduler)
        self._exceptions = Exceptions()
        self._system = System(self._time, self._exceptions, self._ask_reset)
        self._peripherals = Peripherals(chip, self._time, retained, send)
        self._stores = Stores(chip, self._time.now, self._flash_changed)
        self._reset = reset
        self._resets = False
        self._one = self._next_alone = False  # an instruction is carried out by itself: this one, the next
        self._looked_at, self._looks = 0, 0
        self.instructions = 0
        """Carried out in whole slices."""
        self._cpu = Processor(
            [
                Memory(0, chip.flash.array, "flash"),
                Memory(mem.UICR_BASE, chip.uicr.array, "rom"),
                Memory(mem.FICR_BASE, chip.ficr, "rom"),
                Memory(mem.RAM_BASE, chip.ram, "ram"),
            ],
            closed,
            [(mem.PERIPHERALS, mem.PERIPHERALS_END), (mem.PPB, mem.PPB_END)],
            Bus(self._read, self._write, self._store),
        )

    def run(self) -> Steps:
        """Its value is the `Jump`, or None when the core has locked up or sleeps for good.

        Raises `PlantError` for what is not modelled.
        """
        cpu = self._cpu
        stack, entry = struct.unpack_from("<II", self._chip.flash.view, 0)
        cpu.start(stack, entry)
        if not entry & 1:
            return None
        masked = slices = 0
        while True:
            if not self._stores.waiting and self._time.ahead >= LOOK:
                yield self._time.take()
            waits = self._interrupt()
            masked = masked + 1 if waits else 0
            self._one = self._next_alone or 0 < masked <= MASKED
            self._next_alone = False
            count = 1 if self._one else SLICE
            stopped = cpu.run(count)
            self._stores.settle()
            slices = slices + 1 if self._stores.waiting else 0
            if stopped == "asked" or slices > GATHERING:
                slices = 0
                yield from self._catch_up()
                if self._resets:
                    self._reset()
                    yield 0.0  # the reset has ended this run
            elif stopped == "count":
                self.instructions += count
                self._time.spend(count / mem.CORE_CLOCK)
                if cpu.asleep and not waits:
                    moment = self._next_moment()
                    yield from self._catch_up()
                    if moment is None:
                        return None
                    self._time.wait_until(moment)
            elif stopped == "entered":
                yield from self._catch_up()
                return Jump(cpu.pc, cpu.sp)
            elif stopped == "return":
                if self._exceptions.active:
                    self._exceptions.active.pop()
                cpu.leave()
            elif not self._take(SVC if stopped == "svc" else self._fault()):
                yield from self._catch_up()
                return None

    # ---- time

    def _catch_up(self) -> Steps:
        """The plant comes to where the program is, and the flash with it."""
        if self._time.ahead:
            yield self._time.take()
        if self._stores.waiting:
            yield from self._stores.work()

    def _next_moment(self) -> float | None:
        found = [self._system.next_moment()]
        found += [
            peripheral.next_moment()
            for line, peripheral in self._peripherals.by_line.items()
            if LINES + line in self._exceptions.enabled
        ]
        return min((moment for moment in found if moment is not None), default=None)

    # ---- exceptions

    def _interrupt(self) -> bool:
        """Take what is due; whether something waits for its mask to go."""
        lines = self._exceptions
        self._system.settle()
        for line, peripheral in self._peripherals.by_line.items():
            if LINES + line in lines.enabled and LINES + line not in lines.active and peripheral.interrupts:
                lines.pending.add(LINES + line)
        if not lines.pending:
            return False
        number = lines.waiting()
        if number is None:
            return False
        if lines.priority(number) < self._running_priority():
            lines.pending.discard(number)
            self._enter(number)
            return False
        return True

    def _running_priority(self) -> int:
        masks = self._cpu.masks
        return self._exceptions.running_priority(masks.primask, masks.faultmask, masks.basepri)

    def _take(self, number: int) -> bool:
        """A fault or SVC; whether there is a handler for it."""
        wanted = self._exceptions.escalated(number, self._running_priority())
        return wanted is not None and self._enter(wanted)

    def _enter(self, number: int) -> bool:
        place = _word(self._chip, self._system.vectors + 4 * number)
        if place is None or not place & 1:
            return False
        self._exceptions.active.append(number)
        self._cpu.enter(number, place)
        return True

    def _fault(self) -> int:
        address = self._cpu.fault_address
        self._system.fault(UNDEFINED if address is None else PRECISE_BUS_FAULT, address)
        return BUS

    # ---- the bus, from within the emulator

    def _read(self, address: int) -> int:
        self._time.spend(BUS_ACCESS)
        if address in _READY:  # looked at for every word: the flash controller's time comes later
            return 1
        if self._stores.waiting:
            self._cpu.ask_stop()
            return 0
        if address == self._looked_at:
            self._looks += 1
            if self._looks > PATIENCE:
                self._time.spend(WAIT)
                if self._time.ahead > 10 * LOOK:
                    self._cpu.ask_stop()
                    return 0
        else:
            self._looked_at, self._looks = address, 0
        try:
            if address >= mem.PPB:
                return self._system.read(address)
            peripheral, offset = self._peripherals.find(address)
            return peripheral.read(offset)
        except NotModelled:
            raise self._error("reads", address) from None

    def _write(self, address: int, value: int) -> None:
        if self._stores.waiting:
            self._cpu.ask_stop()
            return
        if address in TAKE_AT_ONCE and not self._one:
            self._next_alone = True
            self._cpu.ask_stop()
            return
        self._time.spend(BUS_ACCESS)
        self._looks = 0
        try:
            if address >= mem.PPB:
                self._system.write(address, value)
            else:
                peripheral, offset = self._peripherals.find(address)
                peripheral.write(offset, value)
        except NotModelled:
            raise self._error(f"writes {value:#x} to", address) from None

    def _store(self, address: int, size: int, value: int) -> Answer:
        return self._stores.store(address, size, value)

    def _ask_reset(self) -> None:
        self._resets = True
        self._cpu.ask_stop()

    def _flash_changed(self, start: int, length: int) -> None:
        if start < mem.FLASH_SIZE and not any(begin <= start < end for begin, end in self._closed):
            self._cpu.code_changed(start, length)

    def _error(self, does: str, address: int) -> PlantError:
        return PlantError(
            f"{self._name}: its bootloader {does} {address:#010x} ({name_of(address)}) at PC "
            f"{self._cpu.pc:#x}, which is not modelled",
            help='build it without that, or set virtual.bootloader = "model"; what is modelled: '
            "docs/virtual-bench.md",
        )


def _word(chip: Nrf91Chip, address: int) -> int | None:
    """A word of flash or RAM, where a vector table can be."""
    if 0 <= address <= mem.FLASH_SIZE - 4:
        return int(struct.unpack_from("<I", chip.flash.view, address)[0])
    offset = address - mem.RAM_BASE
    if 0 <= offset <= mem.RAM_SIZE - 4:
        return int(struct.unpack_from("<I", chip.ram, offset)[0])
    return None
