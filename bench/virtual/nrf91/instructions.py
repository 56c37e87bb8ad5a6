"""The instruction set of the Cortex-M33: what a debugger starts that is no firmware really runs, by unicorn.

Source: Armv8-M architecture reference manual (register numbers: DCRSR.REGSEL).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_READ,
    UC_HOOK_MEM_UNMAPPED,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_MEM_WRITE_PROT,
    UC_MEM_WRITE,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)
from unicorn import arm_const as arm

CHANGES = 16
"""Changed ranges of memory of which the translations are dropped one by one, before all are."""

Stop = Literal["count", "asked", "bkpt", "breakpoint", "fault"]

THUMB = 1
XPSR_T = 1 << 24
_NEVER = 0xFFFFFFFE
_BKPT = 7  # unicorn's number of the exception

PC, XPSR = 15, 16
_REGISTERS = {
    **{n: arm.UC_ARM_REG_R0 + n for n in range(13)},
    13: arm.UC_ARM_REG_SP,
    14: arm.UC_ARM_REG_LR,
    PC: arm.UC_ARM_REG_PC,
    XPSR: arm.UC_ARM_REG_XPSR,
    17: arm.UC_ARM_REG_MSP,
    18: arm.UC_ARM_REG_PSP,
    26: arm.UC_ARM_REG_MSP,  # the secure bank is the one in use
    27: arm.UC_ARM_REG_PSP,
    33: arm.UC_ARM_REG_FPSCR,
    **{64 + n: arm.UC_ARM_REG_S0 + n for n in range(32)},
}
_STACK_POINTERS = (13, 17, 18, 26, 27)
_SPECIAL = (20, 34)  # CONTROL, FAULTMASK, BASEPRI, PRIMASK in one word; 34: of the secure bank
_MSPLIM, _PSPLIM = 0x0A, 0x0B  # MSR's numbers of the stack limits, for which unicorn has no names
_ASIDE = 0x1FFFF000
"""An address where the chip has nothing, for instructions of our own."""

Access = Literal["execute", "read", "write"]
Guard = Callable[[Access, int], bool]


@dataclass(frozen=True, slots=True)
class Memory:
    """`array` (ctypes) at `base`. A "flash" takes stores only while it is open, a "rom" never."""

    base: int
    array: Any
    kind: Literal["ram", "flash", "rom", "registers"]


@dataclass(frozen=True, slots=True)
class Bus:
    """What instructions reach beside plain memory. `store` is told of stores to closed flash."""

    read: Callable[[int], int]
    write: Callable[[int, int], None]
    store: Callable[[int, int, int], bool]


class Instructions:
    """The instruction set of a Cortex-M33, by unicorn, on memory shared with the chip.

    It runs in slices bounded by count, so that a run is the same on every machine. Exceptions are
    not modelled: what would take one ends the run as a fault. Stack limits are the emulator's own.
    Registers go by their DCRSR number (Armv8-M, DCRSR.REGSEL); `windows` are [start, end) address
    ranges of which every access goes to the bus.
    """

    def __init__(self, memories: list[Memory], windows: list[tuple[int, int]], bus: Bus) -> None:
        self._bus = bus
        self._memories = memories
        self._stop: Stop = "count"
        self._again: int | None = None
        self._stale = True
        self._changed: list[tuple[int, int]] = []
        self._open = self._want_open = False
        self._closed: list[tuple[int, int]] = []
        self._limits = (0, 0)
        self._guard: Guard | None = None
        self._guards: list[Any] = []
        self._thumb = XPSR_T
        self._others: dict[int, int] = {}
        self._breakpoints: dict[int, Any] = {}
        self._skip: int | None = None
        self._uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M33)
        for memory in memories:
            protection = {
                "ram": UC_PROT_ALL,
                "flash": UC_PROT_READ | UC_PROT_EXEC,
                "rom": UC_PROT_READ,
                "registers": UC_PROT_READ | UC_PROT_WRITE,
            }[memory.kind]
            size = len(memory.array)
            uc.mem_map_ptr(memory.base, size, protection, ctypes.addressof(memory.array))
            if memory.kind == "registers":
                uc.hook_add(
                    UC_HOOK_MEM_WRITE, self._wrote_register, begin=memory.base, end=memory.base + size - 1
                )
        for start, end in windows:
            uc.mmio_map(start, end - start, self._read_window, start, self._write_window, start)
        uc.hook_add(UC_HOOK_MEM_WRITE_PROT, self._stored_to_closed)
        uc.hook_add(UC_HOOK_INTR, self._exception)
        uc.hook_add(UC_HOOK_MEM_UNMAPPED, lambda *_: False)

    # ---- registers

    def read_register(self, number: int) -> int:
        read = self._uc.reg_read
        if number in _SPECIAL:
            control = read(arm.UC_ARM_REG_CONTROL) & 0xFF
            faultmask = read(arm.UC_ARM_REG_FAULTMASK) & 1
            basepri = read(arm.UC_ARM_REG_BASEPRI) & 0xFF
            return int(control << 24 | faultmask << 16 | basepri << 8 | read(arm.UC_ARM_REG_PRIMASK) & 1)
        if number not in _REGISTERS:
            return self._others.get(number, 0)
        value = int(read(_REGISTERS[number])) & 0xFFFFFFFF
        return value & ~XPSR_T | self._thumb if number == XPSR else value

    def write_register(self, number: int, value: int) -> None:
        write = self._uc.reg_write
        if number in _SPECIAL:
            write(arm.UC_ARM_REG_CONTROL, value >> 24 & 0xFF)
            write(arm.UC_ARM_REG_FAULTMASK, value >> 16 & 1)
            write(arm.UC_ARM_REG_BASEPRI, value >> 8 & 0xFF)
            write(arm.UC_ARM_REG_PRIMASK, value & 1)
        elif number not in _REGISTERS:
            self._others[number] = value
        elif number == PC:
            self._again = None
            write(arm.UC_ARM_REG_PC, value & ~1)
        elif number == XPSR:
            self._thumb = value & XPSR_T
            write(arm.UC_ARM_REG_XPSR, value | XPSR_T)
        elif number in _STACK_POINTERS:
            write(_REGISTERS[number], value & ~3)
        else:
            write(_REGISTERS[number], value)

    def reset_registers(self, stack: int, entry: int) -> None:
        """Values out of reset (Armv8-M): SP and PC from the vector table, the rest zero, LR ones."""
        for number in (*range(13), 18, 20, 33, *range(64, 96)):
            self.write_register(number, 0)
        self._others.clear()
        self.limit_stacks(0, 0)
        self.write_register(XPSR, XPSR_T if entry & 1 else 0)
        self.write_register(17, stack)
        self.write_register(14, 0xFFFFFFFF)
        self.write_register(PC, entry)

    def limit_stacks(self, main: int, process: int) -> None:
        """MSPLIM and PSPLIM of the state in use. Only instructions reach them."""
        if (main, process) == self._limits:
            return
        self._limits = (main, process)
        uc = self._uc
        kept = {register: uc.reg_read(register) for register in (arm.UC_ARM_REG_R0, arm.UC_ARM_REG_PC)}
        control = uc.reg_read(arm.UC_ARM_REG_CONTROL)
        uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)  # unprivileged code may not
        uc.mem_map(_ASIDE, 0x1000)
        for number, value in ((_MSPLIM, main), (_PSPLIM, process)):
            uc.mem_write(_ASIDE, struct.pack("<2H", 0xF380, 0x8800 | number))  # msr ..., r0
            uc.ctl_flush_tb()
            uc.reg_write(arm.UC_ARM_REG_R0, value & ~7)
            uc.emu_start(_ASIDE | THUMB, _NEVER, count=1)
        uc.mem_unmap(_ASIDE, 0x1000)
        uc.reg_write(arm.UC_ARM_REG_CONTROL, control)
        for register, value in kept.items():
            uc.reg_write(register, value)
        self._stale = True

    # ---- running

    def all_changed(self) -> None:
        """Any code may have changed under the translations."""
        self._stale = True

    def memory_changed(self, start: int, length: int) -> None:
        """Code in this range may have changed under the translations."""
        self._changed.append((start, start + length))
        if len(self._changed) > CHANGES:
            self._stale = True
            self._changed.clear()

    def open_flash(self, is_open: bool, closed: Sequence[tuple[int, int]] = ()) -> None:
        """Whether stores go straight into the flash arrays; takes effect at the next `run`.

        `closed` are [start, end) ranges that stay closed all the same.
        """
        self._want_open, self._closed = is_open, list(closed)

    def guard(self, guard: Guard | None) -> None:
        """Have `guard(access, address)` asked before each access; what it denies is a fault."""
        if (guard is None) == (self._guard is None):
            self._guard = guard
            return
        self._guard = guard
        self._stale = True
        for hook in self._guards:
            self._uc.hook_del(hook)
        self._guards = []
        if guard is not None:
            self._guards = [
                self._uc.hook_add(UC_HOOK_CODE, self._fetches),
                self._uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, self._accesses),
            ]

    def ask_stop(self) -> None:
        """From a bus callback: end the run at this instruction, which counts as carried out."""
        self._stop = "asked"
        self._uc.emu_stop()

    def set_breakpoints(self, addresses: set[int]) -> None:
        if addresses == set(self._breakpoints):
            return
        for address in set(self._breakpoints) - addresses:
            self._uc.hook_del(self._breakpoints.pop(address))
        for address in addresses - set(self._breakpoints):
            self._breakpoints[address] = self._uc.hook_add(
                UC_HOOK_CODE, self._at_breakpoint, begin=address, end=address
            )
        self._stale = True

    def run(self, count: int, *, over_breakpoint: bool = False) -> Stop:
        """Execute at most `count` instructions from PC. `over_breakpoint`: not one at PC itself."""
        uc = self._uc
        self._protect()
        if self._stale:
            uc.ctl_flush_tb()
            self._stale = False
        else:
            for start, end in self._changed:
                uc.ctl_remove_cache(start, end)
        self._changed.clear()
        if not self._thumb:
            return "fault"  # INVSTATE: this core knows only Thumb
        pc = uc.reg_read(arm.UC_ARM_REG_PC)
        self._skip = pc if over_breakpoint else None
        self._stop = "count"
        try:
            # without a count, translated blocks that loop never come back
            uc.emu_start(pc | THUMB, _NEVER, count=count)
        except UcError:
            self._stop = "fault"
        return self._stop

    def _protect(self) -> None:
        if self._open == self._want_open:
            return
        self._open = self._want_open
        extra = UC_PROT_WRITE if self._open else 0
        for memory in self._memories:
            if memory.kind == "flash":
                size = len(memory.array)
                self._uc.mem_protect(memory.base, size, UC_PROT_READ | UC_PROT_EXEC | extra)
        if self._open:
            for start, end in self._closed:
                self._uc.mem_protect(start, end - start, UC_PROT_READ | UC_PROT_EXEC)

    # ---- unicorn's callbacks

    def _repeated(self, address: int) -> bool:
        """unicorn carries out once more the instruction that asked for a stop, when the run goes on."""
        again, self._again = self._again, None
        return again == address

    def _told(self, address: int) -> None:
        if self._stop == "asked":
            self._again = address

    def _read_window(self, _uc: Uc, offset: int, size: int, start: int) -> int:
        address = start + offset
        return self._bus.read(address & ~3) >> 8 * (address & 3) & (1 << 8 * size) - 1

    def _write_window(self, _uc: Uc, offset: int, _size: int, value: int, start: int) -> None:
        self._register_store((start + offset) & ~3, value)

    def _wrote_register(
        self, _uc: Uc, _access: int, address: int, _size: int, value: int, _data: Any
    ) -> None:
        self._register_store(address & ~3, value)

    def _register_store(self, address: int, value: int) -> None:
        if not self._repeated(address):
            self._bus.write(address, value & 0xFFFFFFFF)
            self._told(address)

    def _stored_to_closed(
        self, _uc: Uc, _access: int, address: int, size: int, value: int, _data: Any
    ) -> bool:
        if self._repeated(address):
            return True
        accepted = self._bus.store(address, size, value)
        self._told(address)
        return accepted

    def _exception(self, uc: Uc, number: int, _data: Any) -> None:
        self._stop = "bkpt" if number == _BKPT else "fault"
        uc.emu_stop()

    def _fetches(self, uc: Uc, address: int, _size: int, _data: Any) -> None:
        if self._guard is not None and not self._guard("execute", address):
            self._stop = "fault"
            uc.emu_stop()

    def _accesses(self, uc: Uc, access: int, address: int, _size: int, _value: int, _data: Any) -> None:
        kind: Access = "write" if access == UC_MEM_WRITE else "read"
        if self._guard is not None and not self._guard(kind, address):
            self._stop = "fault"
            uc.emu_stop()

    def _at_breakpoint(self, uc: Uc, address: int, _size: int, _data: Any) -> None:
        skip, self._skip = self._skip, None
        if address != skip:
            self._stop = "breakpoint"
            uc.emu_stop()
