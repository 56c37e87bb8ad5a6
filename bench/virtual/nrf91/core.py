"""The Cortex-M33 as a debugger sees it: halt, resume, step, registers, breakpoints, reset catch.

A board's firmware is not machine code: it runs as processes on `Cpu`, which this core freezes and
releases. Whatever a debugger starts elsewhere (a flash algorithm in RAM, say) really runs, on the
emulator. Which of the two goes on at a resume is told by PC: where the firmware was stopped, the
firmware goes on; anywhere else, instructions do. Without firmware everything is instructions.

Those instructions run in the state that the firmware has left (`enter`): its MPU, security state, stack
limits, masks and pending interrupts. Whatever of it would raise an exception locks the core up, because
the handlers are the firmware's.

Source: Armv8-M architecture reference manual (DHCSR, DCRSR, DEMCR, DFSR, AIRCR, DSCSR, FPB, DWT).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.virtual.flash import Flash
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.access_rules import Access, Mpu, Spu
from bench.virtual.nrf91.instructions import PC, Bus, Instructions, Memory
from bench.virtual.nrf91.interrupts import Interrupts
from bench.virtual.nrf91.nvmc import ERASE_ENABLE, Interrupted, Nvmc
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler

DHCSR, DCRSR, DCRDR, DEMCR = 0xE000EDF0, 0xE000EDF4, 0xE000EDF8, 0xE000EDFC
DFSR, AIRCR, DSCSR = 0xE000ED30, 0xE000ED0C, 0xE000EE08
FP_CTRL, FP_COMP, FP_COMPARATORS = 0xE0002000, 0xE0002008, 8
DWT_CTRL, DWT_CYCCNT = 0xE0001000, 0xE0001004

C_DEBUGEN, C_HALT, C_STEP, C_MASKINTS, C_SNAPSTALL = 1, 2, 4, 8, 1 << 5
S_REGRDY, S_HALT, S_LOCKUP, S_SDE = 1 << 16, 1 << 17, 1 << 19, 1 << 20
S_RETIRE_ST, S_RESET_ST = 1 << 24, 1 << 25
DHCSR_KEY, AIRCR_KEY = 0xA05F, 0x05FA
SYSRESETREQ = 4
HALTED, BKPT, VCATCH = 1, 2, 8  # DFSR
VC_CORERESET, TRCENA = 1, 1 << 24  # DEMCR

CDS, CDSKEY = 1 << 16, 1 << 17  # DSCSR: the current state is secure; 0 lets it be written

CONTROL_NPRIV = 1 << 24  # in the word of CONTROL, FAULTMASK, BASEPRI and PRIMASK
MASKS = 20
MSPLIM_S, PSPLIM_S, MSPLIM_NS, PSPLIM_NS = 28, 29, 30, 31

LOCKUP_ADDRESS = 0xEFFFFFFE

SLICE = 64_000
"""Instructions a running core gets while a debugger asks for its state: one millisecond's worth."""
GLANCE = 256
"""Instructions it gets during any other transfer of the debugger's."""
PAUSES = 256
"""Stops for the flash controller within one slice."""


@dataclass(frozen=True)
class CoreState:
    """What a firmware makes of the core: its security state, core registers by DCRSR number, and words it
    stores to the private peripheral bus and to peripherals, in order."""

    secure: bool = True
    registers: Mapping[int, int] = field(default_factory=dict)
    stores: tuple[tuple[int, int], ...] = ()


class Surroundings(Protocol):
    """What the core needs of the chip around it."""

    scheduler: Scheduler
    cpu: Cpu
    flash: Flash
    uicr: Flash
    nvmc: Nvmc
    spu: Spu
    ram: Any
    ficr: Any
    nvmc_registers: Any
    powered: bool
    boot: Callable[[str], Steps] | None
    program_counter: Callable[[], int]

    @property
    def protected(self) -> bool: ...
    def read_peripheral(self, address: int) -> int: ...
    def write_peripheral(self, address: int, value: int) -> None: ...
    def store(self, address: int, data: bytes) -> None: ...
    def reset(self, reason: str) -> None: ...
    def core_halted(self, halted: bool) -> None: ...


class Core:
    """One core and its private peripherals. `read` and `write` are the debugger's way in."""

    def __init__(self, chip: Surroundings) -> None:
        self._chip = chip
        self.halted = False
        self.lockup = False
        self._emulating = False  # instructions run, not the firmware's processes
        self._firmware_pc: int | None = None  # resuming here lets the firmware go on
        self._held_boot: Callable[[], None] | None = None
        self._emulator: Instructions | None = None
        self._in_reset = False
        self._was_reset = True
        self._retired = False
        self._control = self._dfsr = self._demcr = self._dcrdr = 0
        self._registers: dict[int, int] = {}
        self._comparators = [0] * FP_COMPARATORS
        self._fpb_enabled = False
        self._cycles_from = 0.0
        self._after_stop: Callable[[], None] | None = None
        self._resets = 0
        self._mpu, self._interrupts = Mpu(), Interrupts()
        self._secure = True

    @property
    def executing(self) -> bool:
        """Whether instructions run now, not the firmware's processes and not nothing."""
        return self._emulating and not self.halted

    @property
    def emulator(self) -> Instructions:
        """Made when first needed: most boards of a bench are only ever flashed."""
        if self._emulator is None:
            chip = self._chip
            self._emulator = Instructions(
                [
                    Memory(0, chip.flash.array, "flash"),
                    Memory(mem.UICR_BASE, chip.uicr.array, "flash"),
                    Memory(mem.FICR_BASE, chip.ficr, "rom"),
                    Memory(mem.RAM_BASE, chip.ram, "ram"),
                    # READY is polled for every word: plain memory keeps that at full speed
                    Memory(mem.NVMC_PAGE, chip.nvmc_registers, "registers"),
                ],
                [
                    (mem.PERIPHERALS, mem.NVMC_PAGE),
                    (mem.NVMC_PAGE + mem.PAGE, mem.PERIPHERALS_END),
                    (mem.PPB, mem.PPB_END),
                ],
                Bus(self._bus_read, self._bus_write, self._bus_store),
            )
        return self._emulator

    def memory_changed(self, start: int, length: int) -> None:
        """Memory was changed by something else than this core's instructions."""
        if self._emulator is not None:
            self._emulator.memory_changed(start, length)

    # ---- reset and supply

    def hold_in_reset(self) -> None:
        self._in_reset = self._was_reset = True
        self._chip.core_halted(False)
        self._resets += 1
        self._emulating = self.halted = self.lockup = False
        self._firmware_pc = self._held_boot = None

    def leave_reset(self, boot: Callable[[], None] | None) -> None:
        """Start at the vector table. `boot` starts the firmware; None leaves it to the instructions."""
        stack, entry = struct.unpack_from("<II", self._chip.flash.view, 0)
        self.emulator.reset_registers(stack, entry)
        self.emulator.all_changed()
        self._registers = dict(mem.SYSTEM_RESET_VALUES)
        self._mpu.reset()
        self._interrupts.reset()
        self._secure = True
        self._in_reset, self._was_reset, self._retired = False, True, False
        self._emulating = self.halted = False
        self._control &= ~(C_HALT | C_STEP)
        self._held_boot = None
        self._cycles_from = self._chip.scheduler.now
        entered = entry & ~1
        self.lockup = not (
            entry & 1
            and (entered < mem.FLASH_SIZE or self._in_ram(entered))
            and mem.RAM_BASE <= stack <= mem.RAM_BASE + mem.RAM_SIZE
        )
        self._firmware_pc = entered if boot is not None and not self.lockup else None
        debug = bool(self._control & C_DEBUGEN) and not self._chip.protected
        if debug and self._demcr & VC_CORERESET:
            self._held_boot = boot if not self.lockup else None
            self._enter_halt(VCATCH)
        elif self.lockup:
            self.emulator.write_register(PC, LOCKUP_ADDRESS)
        elif debug and entered in self._breakpoints():
            self._held_boot = boot
            self._enter_halt(BKPT)
        elif boot is not None:
            self._retired = True
            boot()
        else:
            self._emulating = True

    def power_off(self) -> None:
        self.hold_in_reset()
        self._control = self._dfsr = self._demcr = self._dcrdr = 0
        self._comparators = [0] * FP_COMPARATORS
        self._fpb_enabled = False
        self._apply_breakpoints()

    def enter(self, state: CoreState) -> None:
        """The running firmware has set the core up like this."""
        for address, word in state.stores:
            if address >= mem.PPB:
                self.write(address, word)
            else:
                self._chip.write_peripheral(address, word)
        for number, word in state.registers.items():
            self.emulator.write_register(number, word)
        self._secure = state.secure

    @staticmethod
    def _in_ram(address: int) -> bool:
        return mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE

    # ---- halt, resume, step

    def _enter_halt(self, reason: int) -> None:
        self.halted = True
        self._control |= C_HALT
        self._dfsr |= reason
        self._chip.core_halted(True)

    def _halt(self, reason: int) -> None:
        if self.halted or self._in_reset:
            return
        if not self._emulating and not self.lockup:
            self._chip.cpu.halt()
            self._firmware_pc = self._chip.program_counter() & ~1
            self.emulator.write_register(PC, self._firmware_pc)
        self._enter_halt(reason)

    def _resume(self) -> None:
        pc = self.emulator.read_register(PC)
        self.halted = False
        self._chip.core_halted(False)
        self._control &= ~C_HALT
        self._retired = True
        if self.lockup and pc in (LOCKUP_ADDRESS, self._reset_vector()):
            self.emulator.write_register(PC, LOCKUP_ADDRESS)
        elif self._firmware_pc is not None and pc == self._firmware_pc:
            self._emulating = False
            boot, self._held_boot = self._held_boot, None
            self._chip.cpu.resume()
            if boot is not None:
                boot()
        else:
            self.lockup = False
            self._emulating = True

    def _reset_vector(self) -> int:
        return int(struct.unpack_from("<I", self._chip.flash.view, 4)[0]) & ~1

    def _step(self) -> None:
        pc = self.emulator.read_register(PC)
        in_firmware = pc == self._firmware_pc
        self._retired = True
        self.emulator.set_breakpoints(self._breakpoints())
        self._follow_state()
        stopped = self._run_slice(1, over_breakpoint=True)
        if stopped == "reset":
            return
        if in_firmware:
            if stopped == "fault":  # a place in the image that holds no instruction
                self.emulator.write_register(PC, pc + 2)
            self._firmware_pc = self.emulator.read_register(PC)
        elif stopped == "fault":
            self.lockup = True
        self._enter_halt(BKPT if stopped in ("bkpt", "breakpoint") else HALTED)

    # ---- the emulator's run

    def run(self, count: int = GLANCE) -> None:
        """Give running instructions their time. Raises `Interrupted` when the chip goes down meanwhile."""
        if not self._emulating or self.halted or self.lockup or self._in_reset:
            return
        self.emulator.set_breakpoints(self._breakpoints() if self._control & C_DEBUGEN else set())
        self._follow_state()
        masked = self._control & C_MASKINTS and self._control & C_DEBUGEN
        if not masked and self._interrupts.due(self.emulator.read_register(MASKS)):
            stopped = "fault"
        else:
            stopped = self._run_slice(count)
        if stopped == "reset":  # its own doing; it has started anew
            return
        self._retired = True
        if stopped == "count":
            self._chip.scheduler.elapse(count / mem.CORE_CLOCK)
        elif stopped in ("bkpt", "breakpoint") and self._control & C_DEBUGEN:
            if self._goes_on(self._chip.nvmc.settle_stores):
                self._enter_halt(BKPT)
        elif stopped in ("fault", "bkpt"):
            self.lockup = True
            self.emulator.write_register(PC, LOCKUP_ADDRESS)

    def _follow_state(self) -> None:
        """The emulator is to run in the state that the core is in."""
        read = self.emulator.read_register
        bank = (MSPLIM_S, PSPLIM_S) if self._secure else (MSPLIM_NS, PSPLIM_NS)
        self.emulator.limit_stacks(*map(read, bank))
        restricted = self._mpu.on or not self._secure or not self._chip.spu.as_reset
        self.emulator.guard(self._permits if restricted else None)

    def _permits(self, access: Access, address: int) -> bool:
        privileged = not self.emulator.read_register(MASKS) & CONTROL_NPRIV
        return self._mpu.allows(access, address, privileged=privileged) and self._chip.spu.allows(
            access, address, secure=self._secure
        )

    def _run_slice(self, count: int, *, over_breakpoint: bool = False) -> str:
        """Until something stops it, or the debugger may look again: after a flash operation's time."""
        begin = self._chip.scheduler.now
        for _ in range(PAUSES):
            stopped = self.emulator.run(count, over_breakpoint=over_breakpoint)
            if stopped != "asked":
                return stopped
            task, self._after_stop = self._after_stop, None
            if task is not None and not self._goes_on(task):
                return "reset"
            if self._chip.scheduler.now > begin:
                break
        return "asked"

    def _goes_on(self, task: Callable[[], None]) -> bool:
        """Do `task`; whether the core was not reset by it. Raises `Interrupted` when the supply fails."""
        resets = self._resets
        try:
            task()
        except Interrupted:
            if not self._chip.powered:
                raise
        return resets == self._resets

    def _stop_for(self, task: Callable[[], None]) -> None:
        """End the instruction and do `task`, which may take time or change the memory map."""
        self._after_stop = task
        self.emulator.ask_stop()

    def _bus_read(self, address: int) -> int:
        if address >= mem.PPB:
            return self.read(address)
        return self._chip.read_peripheral(address)

    def _bus_write(self, address: int, value: int) -> None:
        chip = self._chip
        register = address & ~mem.SECURE_ALIAS
        if register == mem.NVMC_CONFIG:
            if value & 3 != chip.nvmc.config:
                self._stop_for(lambda: self._follow_config(value))
        elif register == mem.NVMC_ERASEALL:
            self._stop_for(lambda: chip.write_peripheral(address, value))
        elif address == AIRCR:
            if value >> 16 == AIRCR_KEY and value & SYSRESETREQ:
                self._stop_for(lambda: chip.reset("soft"))
        elif address >= mem.PPB:
            if address not in (DHCSR, DCRSR):  # the core cannot debug itself
                self.write(address, value)
        else:
            chip.write_peripheral(address, value)

    def _follow_config(self, value: int) -> None:
        self._chip.write_peripheral(mem.NVMC_CONFIG, value)

    def _bus_store(self, address: int, size: int, value: int) -> bool:
        """A store to the arrays while they are closed to the core: an erase, or a fault."""
        if self._chip.nvmc.config != ERASE_ENABLE or size != 4 or address % 4:
            return False
        if not self._chip.spu.writable(address):
            return False
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        self._stop_for(lambda: self._chip.store(address, data))
        return True

    # ---- breakpoints

    def _breakpoints(self) -> set[int]:
        if not self._fpb_enabled:
            return set()
        return {value & ~1 for value in self._comparators if value & 1}

    def _apply_breakpoints(self) -> None:
        if self._emulator is not None:
            self._emulator.set_breakpoints(self._breakpoints())

    # ---- registers on the private peripheral bus

    def read(self, address: int) -> int:
        """A word of the private peripheral bus."""
        if address == DHCSR:
            return self._read_dhcsr()
        if address == DCRDR:
            return self._dcrdr
        if address == DEMCR:
            return self._demcr
        if address == DFSR:
            return self._dfsr
        if address == AIRCR:
            return 0xFA050000 | self._registers.get(AIRCR, 0) & 0xFFFF
        if address == FP_CTRL:  # revision 2
            return 1 << 28 | FP_COMPARATORS << 4 | self._fpb_enabled
        if FP_COMP <= address < FP_COMP + 4 * FP_COMPARATORS:
            return self._comparators[(address - FP_COMP) // 4]
        if address == DWT_CTRL:  # four comparators
            return 4 << 28 | self._registers.get(address, 0) & 0x0FFFFFFF
        if address == DWT_CYCCNT:
            return self._cycle_count()
        if address == DSCSR:
            return CDS if self._secure else 0
        if self._mpu.has(address):
            return self._mpu.read(address)
        if self._interrupts.has(address):
            return self._interrupts.read(address)
        if address in mem.SYSTEM_CONSTANTS:
            return mem.SYSTEM_CONSTANTS[address]
        component = mem.CORESIGHT.get(address & ~0xFFF)
        if component is not None and (address & 0xFFF in component or address & ~0xFFF == mem.ROM_TABLE):
            return component.get(address & 0xFFF, 0)
        return self._registers.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """Store a word on the private peripheral bus."""
        if address == DHCSR:
            self._write_dhcsr(value)
        elif address == DCRSR:
            self._transfer_register(value)
        elif address == DCRDR:
            self._dcrdr = value
        elif address == DEMCR:
            self._demcr = value
        elif address == DFSR:
            self._dfsr &= ~value
        elif address == AIRCR:
            if value >> 16 == AIRCR_KEY:
                self._registers[AIRCR] = value & 0xFF00 & ~0x8000
                if value & SYSRESETREQ:
                    self._chip.reset("swd")
        elif address == FP_CTRL:
            if value & 2:  # KEY
                self._fpb_enabled = bool(value & 1)
                self._apply_breakpoints()
        elif FP_COMP <= address < FP_COMP + 4 * FP_COMPARATORS:
            self._comparators[(address - FP_COMP) // 4] = value
            self._apply_breakpoints()
        elif address == DWT_CYCCNT:
            self._cycles_from = self._chip.scheduler.now - value / mem.CORE_CLOCK
        elif address == DSCSR:
            if not value & CDSKEY:
                self._secure = bool(value & CDS)
        elif self._mpu.has(address):
            self._mpu.write(address, value)
        elif self._interrupts.has(address):
            self._interrupts.write(address, value)
        elif address not in mem.SYSTEM_CONSTANTS:
            self._registers[address] = value

    def _cycle_count(self) -> int:
        if not (self._demcr & TRCENA and self._registers.get(DWT_CTRL, 0) & 1):
            return 0
        return int((self._chip.scheduler.now - self._cycles_from) * mem.CORE_CLOCK) & 0xFFFFFFFF

    def _read_dhcsr(self) -> int:
        if self._emulating:
            self.run(SLICE)
        elif not self.halted and not self.lockup and not self._in_reset and self._control & C_DEBUGEN:
            armed = self._breakpoints()
            if armed and self._chip.boot is not None and self._chip.program_counter() & ~1 in armed:
                self._halt(BKPT)
        value = S_SDE | self._control & (C_DEBUGEN | C_HALT | C_STEP | C_MASKINTS | C_SNAPSTALL)
        value |= S_HALT | S_REGRDY if self.halted else 0
        value |= S_LOCKUP if self.lockup and not self.halted else 0
        value |= S_RESET_ST if self._was_reset else 0
        value |= S_RETIRE_ST if self._retired else 0
        self._was_reset = self._in_reset
        self._retired = not (self.halted or self.lockup or self._in_reset)
        return value

    def _write_dhcsr(self, value: int) -> None:
        if value >> 16 != DHCSR_KEY:
            return
        asked = value & (C_DEBUGEN | C_HALT | C_STEP | C_MASKINTS | C_SNAPSTALL)
        if not asked & C_DEBUGEN:
            self._control = 0
            if self.halted:
                self._resume()
            return
        self._control = asked & ~C_HALT | self._control & C_HALT
        if asked & C_HALT:
            self._halt(HALTED)
        elif self.halted:
            if asked & C_STEP:
                self._step()
            else:
                self._resume()

    def _transfer_register(self, value: int) -> None:
        if not self.halted:
            return
        number = value & 0x7F
        if value & 1 << 16:
            self.emulator.write_register(number, self._dcrdr)
            if number == PC:
                self.lockup = False
        else:
            self._dcrdr = self.emulator.read_register(number)
