"""One nRF9160: memories, reset and protection, the bus behind the access ports, and its firmware."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable, Sequence

from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.access_rules import Spu
from bench.virtual.nrf91.core import SLICE, Core
from bench.virtual.nrf91.dap import BusFault, Dap
from bench.virtual.nrf91.nvmc import ERASE_ENABLE, WRITE_ENABLE, Nvmc
from bench.virtual.nrf91.protection import Protection
from bench.virtual.nrf91.silicon import NRF9160, Silicon
from bench.virtual.nrf91.watchdog import Watchdog
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Handle, Scheduler

TIMING = FlashTiming(page_erase=mem.PAGE_ERASE_TIME, word_write=mem.WORD_WRITE_TIME)

RESET_REASON_BITS = {
    "power": 0,
    "pin": 1 << 0,  # RESETPIN
    "watchdog": 1 << 1,  # DOG
    "soft": 1 << 16,  # SREQ: SYSRESETREQ, by the firmware
    "swd": 1 << 16,  # SREQ: SYSRESETREQ, by a debugger
    "ctrl-ap": 1 << 18,  # CTRLAP: CTRL-AP.RESET
}
"""RESETREAS (nRF9160 product specification, POWER; nrf9160.svd; nrfx, nrf9160_bitfields.h and, with the same
bits for the nRF91x1, nrf9120_bitfields.h). Nothing set means power-on; bits add up until ones clear them."""

ENDS_WATCHDOG = {"power", "pin", "watchdog"}
"""Resets that reach the watchdog (see `bench.virtual.nrf91.watchdog`)."""

IDLE_ADDRESS = 0x10400


class Nrf91Chip:
    """A chip without supply; `power(True)` brings it up.

    `boot(reason)`, set by the board, gives the firmware's process each time the core leaves reset
    with a valid vector table at 0; it runs on `cpu`. While `boot` is None the core executes the
    flash's instructions. `program_counter()` is where the firmware is when a debugger halts it.
    `device_id` is the chip's unique number; `locked` ships it with APPROTECT enabled.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        rng: random.Random,
        *,
        device_id: str,
        locked: bool = False,
        silicon: Silicon = NRF9160,
    ) -> None:
        self.silicon = silicon
        self.scheduler = scheduler
        self.cpu = Cpu(scheduler)
        self.flash = Flash(mem.FLASH_SIZE, mem.PAGE, TIMING, rng)
        self.uicr = Flash(mem.INFO_SIZE, mem.PAGE, TIMING, rng, base=mem.UICR_BASE)
        self.ram = ctypes.create_string_buffer(mem.RAM_SIZE)
        self.ficr = ctypes.create_string_buffer(mem.ficr(device_id, silicon), mem.INFO_SIZE)
        self.nvmc_registers = ctypes.create_string_buffer(mem.PAGE)
        self._ram = memoryview(self.ram).cast("B")
        self._ficr = memoryview(self.ficr).cast("B")
        for register in (mem.NVMC_READY, mem.NVMC_READYNEXT):
            struct.pack_into("<I", self.nvmc_registers, register & 0xFFF, 1)
        self.boot: Callable[[str], Steps] | None = None
        self.program_counter: Callable[[], int] = lambda: IDLE_ADDRESS
        self.powered = False
        self.protection = Protection(self._uicr_word, hardened=silicon.hardened)
        self._peripherals: dict[int, int] = {}
        self._masters: list[Handle] = []
        self._reset_reasons = 0
        self._reset_held: set[str] = set()
        if locked:
            struct.pack_into("<I", self.uicr.view, mem.UICR_APPROTECT, mem.PROTECTED)
        self.spu = Spu()
        self.watchdog = Watchdog(scheduler, lambda: self.reset("watchdog"))
        self.core = Core(self)
        self.nvmc = Nvmc(self.flash, self.uicr, scheduler, self.core.memory_changed)
        self.dap = Dap(self)

    # ---- supply and reset

    def power(self, on: bool) -> None:
        """The supply came up, or failed: the core stops mid-instruction, the flash mid-operation."""
        if on == self.powered:
            return
        self.powered = on
        if on:
            self._reset_reasons = 0
            self._reset_held -= {"ctrl-ap"}
            self.reset("power")
        else:
            self._stop_everything()
            self.watchdog.stop()
            self.core.power_off()
            self.dap.power_off()
            self._ram[:] = bytes(len(self._ram))

    def reset(self, reason: str) -> None:
        """Reset the chip, for one of `RESET_REASON_BITS`."""
        if not self.powered:
            return
        self._stop_everything()
        if reason in ENDS_WATCHDOG:
            self.watchdog.stop()
        self.core.hold_in_reset()
        self._reset_reasons |= RESET_REASON_BITS.get(reason, 0)
        self.protection.reset(reason)
        if not self._reset_held:
            boot = self.boot
            self.core.leave_reset(None if boot is None else lambda: self.cpu.spawn(boot(reason)))

    def hold_reset(self, reason: str, held: bool) -> None:
        """nRESET ("pin") or CTRL-AP.RESET ("ctrl-ap") asserted or released."""
        if held:
            self._reset_held.add(reason)
            if self.powered:
                self._stop_everything()
                if reason in ENDS_WATCHDOG:
                    self.watchdog.stop()
                self.core.hold_in_reset()
        elif reason in self._reset_held:
            self._reset_held.discard(reason)
            self.reset(reason)

    @property
    def pin_reset_held(self) -> bool:
        return "pin" in self._reset_held

    def _stop_everything(self) -> None:
        self.cpu.kill()
        self.cpu.resume()
        self.nvmc.reset()
        self.core.emulator.open_flash(False)
        self.spu.reset()
        self._peripherals.clear()
        for master in self._masters:
            master.cancel()
        self._masters.clear()

    def core_halted(self, halted: bool) -> None:
        """A debugger has halted the core, or let it go on."""
        self.watchdog.core_halted(halted)

    def start_master(self, address: int, data: bytes, period: float) -> None:
        """Have something beside the core (EasyDMA, the modem) write to RAM every `period` s until a reset.

        A halted core does not stop it.
        """

        def write() -> None:
            offset = address - mem.RAM_BASE
            self._ram[offset : offset + len(data)] = data
            self.core.memory_changed(address, len(data))
            self._masters[number] = self.scheduler.after(period, write)

        number = len(self._masters)
        self._masters.append(self.scheduler.after(period, write))

    # ---- protection

    def _uicr_word(self, offset: int) -> int:
        return int(struct.unpack_from("<I", self.uicr.view, offset)[0])

    @property
    def protected(self) -> bool:
        """Whether any of the access ports' doors is closed."""
        return self.protection.status != 3

    def protection_status(self) -> int:
        """CTRL-AP.APPROTECTSTATUS, which the firmware may have changed since anybody looked."""
        if self.silicon.hardened:
            self.core.run(SLICE)
        return self.protection.status

    def erase_protected(self) -> bool:
        """Whether UICR.ERASEPROTECT forbids ERASEALL over CTRL-AP."""
        return self._uicr_word(mem.UICR_ERASEPROTECT) != 0xFFFFFFFF

    def erase_all(self) -> None:
        """CTRL-AP.ERASEALL begins; the first reset after its end may open the access ports."""
        self._stop_everything()
        self.core.hold_in_reset()
        self.nvmc.begin_erase_all()

    def finish_erase_all(self) -> None:
        """Let the time of a running ERASEALL pass. Raises `Interrupted` if the supply fails."""
        if not self.nvmc.erasing_all:
            return
        self.nvmc.finish_erase_all()
        self._ram[:] = bytes(len(self._ram))
        self.protection.erased_all()
        self.core.leave_reset(None)

    # ---- the bus

    def array_at(self, address: int) -> tuple[Flash, int] | None:
        """The programmable array at an address, and the offset in it."""
        if 0 <= address < mem.FLASH_SIZE:
            return self.flash, address
        if mem.UICR_BASE <= address < mem.UICR_BASE + mem.INFO_SIZE:
            return self.uicr, address - mem.UICR_BASE
        return None

    def _memory_at(self, address: int) -> tuple[memoryview, int] | None:
        array = self.array_at(address)
        if array is not None:
            return array[0].view, array[1]
        if mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE:
            return self._ram, address - mem.RAM_BASE
        if mem.FICR_BASE <= address < mem.FICR_BASE + mem.INFO_SIZE:
            return self._ficr, address - mem.FICR_BASE
        return None

    def read(self, address: int, size: int) -> int:
        """`size` bytes (1, 2, 4) at an aligned `address`. Raises `BusFault` where nothing is."""
        if size == 4 and mem.PPB <= address < mem.PPB_END:  # what a debugger reads most
            return self.core.read(address)
        self._meanwhile(address)
        memory = self._memory_at(address)
        if memory is not None:
            view, offset = memory
            return int.from_bytes(view[offset : offset + size], "little")
        if mem.PERIPHERALS <= address < mem.PERIPHERALS_END:
            if not self.spu.answers(address):
                raise BusFault(address)
            word = self.read_peripheral(address & ~3)
        elif mem.PPB <= address < mem.PPB_END:
            word = self.core.read(address & ~3)
        else:
            raise BusFault(address)
        return word >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Store `size` bytes at an aligned `address`. Raises `BusFault` where nothing takes them."""
        value &= (1 << 8 * size) - 1
        if size == 4 and mem.PPB <= address < mem.PPB_END:  # what a debugger writes most
            self.core.write(address, value)
            return
        self._meanwhile(address)
        if self.array_at(address) is not None:
            self.store(address, value.to_bytes(size, "little"))
        elif mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE:
            if not self.spu.writable(address):
                raise BusFault(address)
            offset = address - mem.RAM_BASE
            self._ram[offset : offset + size] = value.to_bytes(size, "little")
            self.core.memory_changed(address, size)
        elif mem.FICR_BASE <= address < mem.FICR_BASE + mem.INFO_SIZE:
            pass  # read-only
        elif mem.PERIPHERALS <= address < mem.PERIPHERALS_END:
            if not self.spu.answers(address):
                raise BusFault(address)
            self.write_peripheral(address & ~3, value)
        elif mem.PPB <= address < mem.PPB_END:
            self.core.write(address & ~3, self._merged(address, size, value))
        else:
            raise BusFault(address)

    def _merged(self, address: int, size: int, value: int) -> int:
        """The word a narrow store to a core register leaves; its other bytes stay."""
        if size == 4:
            return value
        shift = 8 * (address & 3)
        kept = self.core.read(address & ~3) & ~((1 << 8 * size) - 1 << shift)
        return kept | value << shift

    def _meanwhile(self, address: int) -> None:
        """Instructions go on while a debugger transfers data; at PPB addresses it watches them."""
        if address < mem.PPB:
            self.core.run()

    def read_words(self, address: int, count: int) -> list[int]:
        """Consecutive words from an aligned address; quick where they lie in one memory."""
        memory = self._memory_at(address)
        if memory is not None:
            view, offset = memory
            if offset + 4 * count <= len(view):
                self._meanwhile(address)
                return view[offset : offset + 4 * count].cast("I").tolist()
        return [self.read(address + 4 * i, 4) for i in range(count)]

    def write_words(self, address: int, words: Sequence[int]) -> None:
        """Consecutive words to an aligned address; quick where they lie in RAM or flash."""
        end = address + 4 * len(words)
        array = self.array_at(address)
        if address >= mem.RAM_BASE and end <= mem.RAM_BASE + mem.RAM_SIZE:
            if not self.spu.writable(address):  # a run stays within one KiB, a region is eight
                raise BusFault(address)
            self._meanwhile(address)
            offset = address - mem.RAM_BASE
            self._ram[offset : offset + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
            self.core.memory_changed(address, 4 * len(words))
        elif array is not None and array[1] + 4 * len(words) <= array[0].size:
            self.store(address, struct.pack(f"<{len(words)}I", *words))
        else:
            for i, word in enumerate(words):
                self.write(address + 4 * i, 4, word)

    def store(self, address: int, data: bytes) -> None:
        """A store to flash or UICR, as the flash controller allows it."""
        array = self.array_at(address)
        if array is None or not self.spu.writable(address):
            raise BusFault(address)
        if not self.nvmc.store(*array, data):
            raise BusFault(address)

    def read_peripheral(self, address: int) -> int:
        register = address & ~mem.SECURE_ALIAS
        if register in (mem.NVMC_READY, mem.NVMC_READYNEXT):
            return 1  # an operation's time has passed before anybody can look
        if register == mem.NVMC_CONFIG:
            return self.nvmc.config
        if register == mem.RESETREAS:
            return self._reset_reasons
        if register & ~0xFFF == mem.WDT_PAGE:
            return self.watchdog.read(register & 0xFFF)
        if register & ~0xFFF == mem.SPU_PAGE and address != register:
            return self.spu.read(register & 0xFFF)
        return self._peripherals.get(register, 0)

    def write_peripheral(self, address: int, value: int) -> None:
        register = address & ~mem.SECURE_ALIAS
        if register == mem.NVMC_CONFIG:
            self._write_nvmc_config(value)
        elif register == mem.NVMC_ERASEALL:
            if value == 1:
                self._erase_all_by_register()
        elif register == mem.RESETREAS:
            self._reset_reasons &= ~value
        elif self.protection.is_register(register):
            self.protection.write(register, value)
        elif register & ~0xFFF == mem.WDT_PAGE:
            self.watchdog.write(register & 0xFFF, value)
        elif register & ~0xFFF == mem.SPU_PAGE:
            if address != register:
                self.spu.write(register & 0xFFF, value)
        elif register not in (mem.NVMC_READY, mem.NVMC_READYNEXT):
            self._peripherals[register] = value

    def _erase_all_by_register(self) -> None:
        """NVMC.ERASEALL: flash and UICR, if erasing is enabled. The core waits."""
        if self.nvmc.config == ERASE_ENABLE:
            self.nvmc.begin_erase_all()
            self.nvmc.finish_erase_all()

    def _write_nvmc_config(self, value: int) -> None:
        """Code on the core stores straight into the arrays between Wen and its end."""
        was = self.nvmc.config
        self.nvmc.config = value & 3
        struct.pack_into("<I", self.nvmc_registers, mem.NVMC_CONFIG & 0xFFF, self.nvmc.config)
        writing = self.nvmc.config == WRITE_ENABLE
        self.core.emulator.open_flash(writing and self.core.executing, self.spu.closed_flash())
        if was == WRITE_ENABLE and not writing:
            self.nvmc.finish_stores()
        elif writing and was != WRITE_ENABLE and self.core.executing:
            self.nvmc.begin_stores()
