"""The Cortex-M33 as a debugger sees it: halt, resume, step, registers, breakpoints.

The board's firmware is not machine code: it runs as processes on `Cpu`, which this core freezes
and releases. Code that a debugger brings along, such as a flash algorithm, really runs, on
unicorn, from the moment the debugger moves the program counter.

Source: Armv8-M architecture reference manual, debug (DHCSR, DCRSR, DEMCR, DFSR, AIRCR, FPB).
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Protocol

from unicorn import (
    UC_ARCH_ARM,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_UNMAPPED,
    UC_HOOK_MEM_WRITE,
    UC_HOOK_MEM_WRITE_PROT,
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

from bench.virtual.flash import Flash
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.nvmc import Nvmc
from bench.virtual.process import Cpu

DHCSR, DCRSR, DCRDR, DEMCR, DFSR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC, 0xE000ED30
AIRCR, VTOR = 0xE000ED0C, 0xE000ED08
FP_CTRL, FP_COMP, FP_COMPARATORS = 0xE0002000, 0xE0002008, 8
DWT_CTRL = 0xE0001000

C_DEBUGEN, C_HALT, C_STEP = 1, 2, 4
S_REGRDY, S_HALT, S_LOCKUP, S_RETIRE_ST, S_RESET_ST = 1 << 16, 1 << 17, 1 << 19, 1 << 24, 1 << 25
HALTED, BKPT, VCATCH = 1, 2, 8  # DFSR
VC_CORERESET = 1

SLICE = 200_000
"""Instructions between two looks of the debugger at a running core."""
_THUMB = 1
_REGISTERS = {
    **{n: arm.UC_ARM_REG_R0 + n for n in range(13)},
    13: arm.UC_ARM_REG_SP,
    14: arm.UC_ARM_REG_LR,
    15: arm.UC_ARM_REG_PC,
    16: arm.UC_ARM_REG_XPSR,
    17: arm.UC_ARM_REG_MSP,
    18: arm.UC_ARM_REG_PSP,
    33: arm.UC_ARM_REG_FPSCR,
    **{64 + n: arm.UC_ARM_REG_S0 + n for n in range(32)},
}
_SPECIAL = 20  # CONTROL, FAULTMASK, BASEPRI, PRIMASK in one word


class Surroundings(Protocol):
    """What the core needs of the chip around it."""

    cpu: Cpu
    flash: Flash
    uicr: Flash
    nvmc: Nvmc
    ram: Any
    ficr: Any
    program_counter: Callable[[], int]

    def array_at(self, address: int) -> tuple[Flash, int] | None: ...
    def read_peripheral(self, address: int) -> int: ...
    def write_peripheral(self, address: int, value: int) -> None: ...
    def request_reset(self, reason: str) -> None: ...
    def take_pending_boot(self) -> Callable[[], None] | None: ...
    def abandon_firmware(self) -> None: ...


class Core:
    """One core. The bus accesses of its debug registers come through `read` and `write`."""

    def __init__(self, chip: Surroundings) -> None:
        self._chip = chip
        self.halted = False
        self.lockup = False
        self._debug_enabled = False
        self._was_reset = True
        self._foreign = False  # the debugger's own code runs, not the firmware
        self._stop: str = ""
        self._dfsr = self._demcr = self._dcrdr = 0
        self._registers: dict[int, int] = {}
        self._breakpoints: dict[int, int] = {}
        self._step_over: int | None = None
        self._writable = False
        self._stale = False
        self._hook: Any = None
        self._uc = self._build()

    # ---- the emulator

    def _build(self) -> Uc:
        chip = self._chip
        uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB | UC_MODE_MCLASS)
        uc.ctl_set_cpu_model(arm.UC_CPU_ARM_CORTEX_M33)
        code = UC_PROT_READ | UC_PROT_EXEC
        uc.mem_map_ptr(0, mem.FLASH_SIZE, code, ctypes.addressof(chip.flash.array))
        uc.mem_map_ptr(mem.RAM_BASE, mem.RAM_SIZE, UC_PROT_ALL, ctypes.addressof(chip.ram))
        uc.mem_map_ptr(mem.FICR_BASE, mem.INFO_SIZE, UC_PROT_READ, ctypes.addressof(chip.ficr))
        uc.mem_map_ptr(mem.UICR_BASE, mem.INFO_SIZE, UC_PROT_READ, ctypes.addressof(chip.uicr.array))
        # READY is polled for every word: plain memory keeps that at the emulator's own speed
        self._nvmc_page = ctypes.create_string_buffer(mem.PAGE)
        for register in (mem.NVMC_READY, mem.NVMC_READYNEXT):
            struct.pack_into("<I", self._nvmc_page, register & 0xFFF, 1)
        uc.mem_map_ptr(
            mem.NVMC_PAGE, mem.PAGE, UC_PROT_READ | UC_PROT_WRITE, ctypes.addressof(self._nvmc_page)
        )
        uc.hook_add(
            UC_HOOK_MEM_WRITE,
            lambda _uc, _access, address, _size, value, _data: chip.write_peripheral(
                address, value & 0xFFFFFFFF
            ),
            begin=mem.NVMC_PAGE,
            end=mem.NVMC_PAGE + mem.PAGE - 1,
        )
        self._map_registers(uc, mem.PERIPHERALS, mem.NVMC_PAGE, chip.read_peripheral, chip.write_peripheral)
        self._map_registers(
            uc,
            mem.NVMC_PAGE + mem.PAGE,
            mem.PERIPHERALS_END,
            chip.read_peripheral,
            chip.write_peripheral,
        )
        self._map_registers(uc, mem.PPB, mem.PPB_END, self.read, self.write)
        uc.hook_add(UC_HOOK_MEM_WRITE_PROT, self._store_to_flash)
        uc.hook_add(UC_HOOK_INTR, self._interrupted)
        uc.hook_add(UC_HOOK_MEM_UNMAPPED, self._fault)
        return uc

    @staticmethod
    def _map_registers(
        uc: Uc, start: int, end: int, read: Callable[[int], int], write: Callable[[int, int], None]
    ) -> None:
        uc.mmio_map(
            start,
            end - start,
            lambda _uc, offset, _size, base: read(base + offset & ~3),
            start,
            lambda _uc, offset, _size, value, base: write(base + offset & ~3, value & 0xFFFFFFFF),
            start,
        )

    def _store_to_flash(self, _uc: Uc, _access: int, address: int, size: int, value: int, _data: Any) -> bool:
        """A store while the array is read-only to the core: it erases a page, or faults."""
        found = self._chip.array_at(address)
        if found is None:
            return False
        area, offset = found
        data = (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        accepted = self._chip.nvmc.store(area, offset, data)
        self._stale = True
        return accepted

    def _interrupted(self, uc: Uc, number: int, _data: Any) -> None:
        self._stop = "bkpt" if number == 7 else "exception"
        uc.emu_stop()

    def _fault(self, _uc: Uc, _access: int, _address: int, _size: int, _value: int, _data: Any) -> bool:
        self._stop = "fault"
        return False

    def _at_instruction(self, uc: Uc, address: int, _size: int, _data: Any) -> None:
        if address in self._breakpoints.values() and address != self._step_over:
            self._stop = "breakpoint"
            uc.emu_stop()
        self._step_over = None

    def flash_writable(self, writable: bool) -> None:
        """Follow NVMC.CONFIG. Protection cannot be changed inside a hook, so running code stops first."""
        if writable != self._writable:
            self._writable = writable
            self._stop = self._stop or "protection"
            self._uc.emu_stop()

    def _protect(self) -> None:
        extra = UC_PROT_WRITE if self._writable else 0
        self._uc.mem_protect(0, mem.FLASH_SIZE, UC_PROT_READ | UC_PROT_EXEC | extra)
        self._uc.mem_protect(mem.UICR_BASE, mem.INFO_SIZE, UC_PROT_READ | extra)

    def memory_changed(self) -> None:
        """Code may have changed under the emulator's translations."""
        self._stale = True

    def _run(self, count: int) -> None:
        """Run the debugger's code for at most `count` instructions."""
        uc = self._uc
        while not self.halted and not self.lockup:
            self._protect()
            if self._stale:
                uc.ctl_flush_tb()
                self._stale = False
            self._stop = ""
            try:
                # count bounds warm translation blocks too; without it they never return
                uc.emu_start(uc.reg_read(arm.UC_ARM_REG_PC) | _THUMB, 0xFFFFFFFE, count=count)
            except UcError:
                self._stop = self._stop or "fault"
            if self._stop in ("bkpt", "breakpoint"):
                if self._debug_enabled:
                    self._halt(BKPT)
                else:
                    self.lockup = True
            elif self._stop in ("fault", "exception"):
                self.lockup = True
            elif self._stop == "protection":
                continue
            break
        self._chip.nvmc.account()

    # ---- run control

    def _halt(self, reason: int) -> None:
        self.halted = True
        self._dfsr |= reason
        if not self._foreign:
            self._chip.cpu.halt()
            self._uc.reg_write(arm.UC_ARM_REG_PC, self._chip.program_counter())

    def _resume(self) -> None:
        self.halted = False
        if not self._foreign:
            self._chip.cpu.resume()

    def reset(self) -> bool:
        """Leave reset. Returns whether the firmware may boot now (no halt was asked for, no lockup)."""
        for register in range(13):
            self._uc.reg_write(arm.UC_ARM_REG_R0 + register, 0)
        stack, entry = struct.unpack_from("<II", self._chip.flash.view, 0)
        self._uc.reg_write(arm.UC_ARM_REG_XPSR, 0x01000000)
        self._uc.reg_write(arm.UC_ARM_REG_CONTROL, 0)
        self._uc.reg_write(arm.UC_ARM_REG_MSP, stack & ~3)
        self._uc.reg_write(arm.UC_ARM_REG_LR, 0xFFFFFFFF)
        self._uc.reg_write(arm.UC_ARM_REG_PC, entry & ~1)
        self._registers.clear()
        self._foreign = False
        self._was_reset = True
        self._stale = True
        self.halted = False
        self.lockup = stack in (0, 0xFFFFFFFF) or entry & 1 == 0 or entry >= mem.FLASH_SIZE
        if self._debug_enabled and self._demcr & VC_CORERESET:
            self.halted = True
            self._dfsr |= VCATCH
        return not self.lockup and not self.halted

    def power_off(self) -> None:
        self._debug_enabled = False
        self._demcr = self._dfsr = 0
        self._breakpoints.clear()

    # ---- debug registers

    def read(self, address: int) -> int:
        """A word of the private peripheral bus, as a bus master sees it."""
        if address == DHCSR:
            return self._read_dhcsr()
        if address == DCRDR:
            return self._dcrdr
        if address == DEMCR:
            return self._demcr
        if address == DFSR:
            return self._dfsr
        if address in mem.SYSTEM_CONSTANTS:
            return mem.SYSTEM_CONSTANTS[address]
        if address == FP_CTRL:
            return 0x10000000 | FP_COMPARATORS << 4 | self._registers.get(address, 0) & 1
        if address == DWT_CTRL:
            return 0x40000000 | self._registers.get(address, 0) & 1
        component = mem.CORESIGHT.get(address & ~0xFFF)
        if component is not None and (address & 0xFFF >= 0xFB0 or address & ~0xFFF == mem.ROM_TABLE):
            return component.get(address & 0xFFF, 0)
        return self._registers.get(address, 0)

    def _read_dhcsr(self) -> int:
        if self._foreign and not self.halted:
            self._run(SLICE)
        value = S_REGRDY | (C_DEBUGEN if self._debug_enabled else 0)
        if self.halted:
            value |= S_HALT | C_HALT
        else:
            value |= S_RETIRE_ST
        value |= (S_LOCKUP if self.lockup else 0) | (S_RESET_ST if self._was_reset else 0)
        self._was_reset = False
        return value

    def write(self, address: int, value: int) -> None:
        if address == DHCSR:
            self._write_dhcsr(value)
        elif address == DCRSR:
            register = value & 0x7F
            if value & 1 << 16:
                self._write_register(register, self._dcrdr)
            else:
                self._dcrdr = self._read_register(register)
        elif address == DCRDR:
            self._dcrdr = value
        elif address == DEMCR:
            self._demcr = value
        elif address == DFSR:
            self._dfsr &= ~value
        elif address == AIRCR:
            if value >> 16 == 0x05FA and value & 4:
                self._chip.request_reset("soft")
        elif FP_COMP <= address < FP_COMP + 4 * FP_COMPARATORS:
            self._registers[address] = value
            if value & 1:
                self._breakpoints[address] = value & ~1
            else:
                self._breakpoints.pop(address, None)
            self._watch_instructions()
        else:
            self._registers[address] = value

    def _watch_instructions(self) -> None:
        """The hook on every instruction is dear: it is there only while a breakpoint is."""
        self._uc.ctl_flush_tb()
        if self._breakpoints and self._hook is None:
            self._hook = self._uc.hook_add(UC_HOOK_CODE, self._at_instruction)
        elif not self._breakpoints and self._hook is not None:
            self._uc.hook_del(self._hook)
            self._hook = None

    def _write_dhcsr(self, value: int) -> None:
        if value >> 16 != 0xA05F:
            return
        self._debug_enabled = bool(value & C_DEBUGEN)
        if not self._debug_enabled:
            if self.halted:
                self._resume()
        elif value & C_HALT:
            if not self.halted:
                self._halt(HALTED)
            self.lockup = False
        elif value & C_STEP:
            if self.halted:
                self._step()
        elif self.halted:
            pending = self._chip.take_pending_boot()
            self._step_over = self._uc.reg_read(arm.UC_ARM_REG_PC)
            self._resume()
            if pending and not self._foreign:
                pending()

    def _step(self) -> None:
        """One instruction of the debugger's code; the firmware's processes are no instructions."""
        self.halted = False
        if self._foreign:
            self._step_over = self._uc.reg_read(arm.UC_ARM_REG_PC)
            self._run(1)
        self.halted = True
        self._dfsr |= HALTED

    def _read_register(self, number: int) -> int:
        read = self._uc.reg_read
        if number == _SPECIAL:
            control = read(arm.UC_ARM_REG_CONTROL) & 0xFF
            fault = read(arm.UC_ARM_REG_FAULTMASK) & 1
            base = read(arm.UC_ARM_REG_BASEPRI) & 0xFF
            return int(control << 24 | fault << 16 | base << 8 | read(arm.UC_ARM_REG_PRIMASK) & 1)
        register = _REGISTERS.get(number)
        return int(read(register)) & 0xFFFFFFFF if register is not None else 0

    def _write_register(self, number: int, value: int) -> None:
        write = self._uc.reg_write
        if number == _SPECIAL:
            write(arm.UC_ARM_REG_CONTROL, value >> 24)
            write(arm.UC_ARM_REG_FAULTMASK, value >> 16 & 1)
            write(arm.UC_ARM_REG_BASEPRI, value >> 8 & 0xFF)
            write(arm.UC_ARM_REG_PRIMASK, value & 1)
            return
        register = _REGISTERS.get(number)
        if register is None:
            return
        write(register, value & ~1 if number == 15 else value)
        if number == 15:
            self._foreign = True  # from here on it is the debugger's code that runs
            self.lockup = False
            self._chip.abandon_firmware()
