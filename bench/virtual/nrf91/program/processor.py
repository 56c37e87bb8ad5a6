"""The Cortex-M33 from reset on, by unicorn: instructions in slices, exceptions in and out.

Source: Armv8-M architecture reference manual (reset, exception entry and return, EXC_RETURN).

A slice is bounded by a count of instructions, so that a run is the same on every machine. A callback that
asks for a stop has the instruction under way undone: it is carried out when the run goes on.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from unicorn import (
    UC_ARCH_ARM,
    UC_ERR_FETCH_PROT,
    UC_HOOK_INTR,
    UC_HOOK_MEM_UNMAPPED,
    UC_HOOK_MEM_WRITE_PROT,
    UC_MODE_MCLASS,
    UC_MODE_THUMB,
    UC_PROT_ALL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    Uc,
    UcError,
)
from unicorn import arm_const as arm

from bench.virtual.nrf91.instructions import Memory
from bench.virtual.nrf91.program.stores import Answer

THUMB = 1
SPSEL, FPCA = 2, 4  # CONTROL
ALIGNED = 1 << 9  # of a stacked xPSR
EXC_RETURN = 0xFFFFFFE1  # secure
TO_THREAD, FROM_PSP, WITHOUT_FLOATS = 1 << 3, 1 << 2, 1 << 4
_NEVER = 0xFFFFFFFE
_SVC, _RETURN = 2, 8  # unicorn's numbers
_FLOATS = (*range(arm.UC_ARM_REG_S0, arm.UC_ARM_REG_S0 + 16), arm.UC_ARM_REG_FPSCR)
_BASIC = (
    arm.UC_ARM_REG_R0, arm.UC_ARM_REG_R1, arm.UC_ARM_REG_R2, arm.UC_ARM_REG_R3, arm.UC_ARM_REG_R12,
    arm.UC_ARM_REG_LR,
)  # fmt: skip
_SLEEPS = (b"\x30\xbf", b"\xfe\xe7")  # WFI just behind; a branch to itself

StopReason = Literal["count", "asked", "svc", "return", "fault", "entered"]


@dataclass(frozen=True, slots=True)
class Bus:
    """What is beside plain memory: words at aligned addresses. `store` is asked about stores to flash."""

    read: Callable[[int], int]
    write: Callable[[int, int], None]
    store: Callable[[int, int, int], Answer]


@dataclass(frozen=True, slots=True)
class Masks:
    primask: int
    faultmask: int
    basepri: int


class Processor:
    """Out of reset. `closed` are [start, end) ranges of memory where nothing is executed: a program that
    goes there has "entered" them. `windows` are ranges of which every access goes to the bus.
    """

    def __init__(
        self,
        memories: Sequence[Memory],
        closed: Sequence[tuple[int, int]],
        windows: Sequence[tuple[int, int]],
        bus: Bus,
    ) -> None:
        self._bus = bus
        self._why: StopReason = "count"
        self.fault_address: int | None = None
        self._uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M33)
        for memory in memories:
            protection = {"ram": UC_PROT_ALL, "flash": UC_PROT_READ | UC_PROT_EXEC}.get(
                memory.kind, UC_PROT_READ
            )
            address = ctypes.addressof(memory.array)
            uc.mem_map_ptr(memory.base, len(memory.array), protection, address)
        for start, end in closed:
            uc.mem_protect(start, end - start, UC_PROT_READ)
        for start, end in windows:
            uc.mmio_map(start, end - start, self._read_window, start, self._write_window, start)
        uc.hook_add(UC_HOOK_MEM_WRITE_PROT, self._stored)
        uc.hook_add(UC_HOOK_MEM_UNMAPPED, self._unmapped)
        uc.hook_add(UC_HOOK_INTR, self._exception)

    # ---- registers

    def start(self, stack: int, entry: int) -> None:
        self._uc.reg_write(arm.UC_ARM_REG_MSP, stack & ~3)
        self._uc.reg_write(arm.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._uc.reg_write(arm.UC_ARM_REG_PC, entry & ~1)

    @property
    def pc(self) -> int:
        return int(self._uc.reg_read(arm.UC_ARM_REG_PC))

    @property
    def sp(self) -> int:
        return int(self._uc.reg_read(arm.UC_ARM_REG_SP))

    @property
    def masks(self) -> Masks:
        read = self._uc.reg_read
        return Masks(
            read(arm.UC_ARM_REG_PRIMASK) & 1,
            read(arm.UC_ARM_REG_FAULTMASK) & 1,
            read(arm.UC_ARM_REG_BASEPRI) & 0xFF,
        )

    @property
    def asleep(self) -> bool:
        """Whether it waits for an interrupt: just behind WFI, or in a branch to itself."""
        try:
            around = bytes(self._uc.mem_read(self.pc - 2, 4))
        except UcError:
            return False
        return around[:2] == _SLEEPS[0] or around[2:] == _SLEEPS[1]

    # ---- running

    def run(self, count: int) -> StopReason:
        """Execute at most `count` instructions."""
        self._why, self.fault_address = "count", None
        try:
            self._uc.emu_start(self.pc | THUMB, _NEVER, count=count)
        except UcError as error:
            if self._why == "count":
                self._why = "entered" if error.errno == UC_ERR_FETCH_PROT else "fault"
        return self._why

    def ask_stop(self) -> None:
        """From a callback: undo the instruction, and end the run."""
        self._why = "asked"
        self._uc.emu_stop()

    def code_changed(self, start: int, length: int) -> None:
        self._uc.ctl_remove_cache(start, start + length)

    # ---- exceptions

    def enter(self, number: int, handler: int) -> None:
        """Stack a frame and go to the handler."""
        uc = self._uc
        read, write = uc.reg_read, uc.reg_write
        xpsr, control = read(arm.UC_ARM_REG_XPSR), read(arm.UC_ARM_REG_CONTROL)
        thread, floats = not xpsr & 0x1FF, bool(control & FPCA)
        from_psp = thread and bool(control & SPSEL)
        frame = [read(register) for register in _BASIC] + [self.pc, xpsr]
        if floats:
            frame += [read(register) for register in _FLOATS] + [0]
        stack = self.sp - 4 * len(frame)
        if stack % 8:
            stack -= 4
            frame[7] |= ALIGNED
        uc.mem_write(stack, struct.pack(f"<{len(frame)}I", *(word & 0xFFFFFFFF for word in frame)))
        write(arm.UC_ARM_REG_PSP if from_psp else arm.UC_ARM_REG_MSP, stack)
        write(arm.UC_ARM_REG_XPSR, 1 << 24 | number)
        write(arm.UC_ARM_REG_CONTROL, control & ~(SPSEL | FPCA))
        link = EXC_RETURN | TO_THREAD * thread | FROM_PSP * from_psp | WITHOUT_FLOATS * (not floats)
        write(arm.UC_ARM_REG_LR, link)
        write(arm.UC_ARM_REG_PC, handler & ~1)

    def leave(self) -> None:
        """The handler has branched to its EXC_RETURN value."""
        uc = self._uc
        write = uc.reg_write
        link = self.pc  # bit 0 does not matter to anything here
        psp = bool(link & FROM_PSP)
        pointer = arm.UC_ARM_REG_PSP if psp else arm.UC_ARM_REG_MSP
        stack = uc.reg_read(pointer)
        frame = struct.unpack("<8I", uc.mem_read(stack, 32))
        end, control = stack + 32, uc.reg_read(arm.UC_ARM_REG_CONTROL) & ~(SPSEL | FPCA)
        if not link & WITHOUT_FLOATS:
            for register, word in zip(_FLOATS, struct.unpack("<17I", uc.mem_read(end, 68)), strict=True):
                write(register, word)
            end, control = end + 72, control | FPCA
        write(pointer, end + 4 * bool(frame[7] & ALIGNED))
        for register, word in zip(_BASIC, frame, strict=False):
            write(register, word)
        write(arm.UC_ARM_REG_XPSR, frame[7] & ~ALIGNED)
        write(arm.UC_ARM_REG_CONTROL, control | SPSEL * psp)
        write(arm.UC_ARM_REG_FAULTMASK, 0)
        write(arm.UC_ARM_REG_PC, frame[6] & ~1)

    # ---- unicorn's callbacks

    def _read_window(self, _uc: Uc, offset: int, size: int, start: int) -> int:
        address = start + offset
        return self._bus.read(address & ~3) >> 8 * (address & 3) & (1 << 8 * size) - 1

    def _write_window(self, _uc: Uc, offset: int, size: int, value: int, start: int) -> None:
        address = start + offset
        if size < 4:  # priorities are written byte by byte
            shift = 8 * (address & 3)
            kept = self._bus.read(address & ~3) & ~((1 << 8 * size) - 1 << shift)
            value = kept | (value & (1 << 8 * size) - 1) << shift
        if self._why == "count":
            self._bus.write(address & ~3, value & 0xFFFFFFFF)

    def _stored(self, uc: Uc, _access: int, address: int, size: int, value: int, _data: Any) -> bool:
        answer = self._bus.store(address, size, value & (1 << 8 * size) - 1)
        if answer == "wait":
            self.ask_stop()
        elif answer == "refused":
            self.fault_address = address
        return answer != "refused"

    def _unmapped(self, _uc: Uc, _access: int, address: int, *_: Any) -> bool:
        self.fault_address = address
        return False

    def _exception(self, uc: Uc, number: int, _data: Any) -> None:
        self._why = {_SVC: "svc", _RETURN: "return"}.get(number, "fault")  # type: ignore[assignment]
        uc.emu_stop()
