"""One nRF9160: memories, reset and protection, the bus behind the access ports, and its firmware."""

from __future__ import annotations

import ctypes
import random
import struct
from collections.abc import Callable

from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.core import Core
from bench.virtual.nrf91.dap import BusFault, Dap
from bench.virtual.nrf91.nvmc import WRITE_ENABLE, Nvmc
from bench.virtual.process import Cpu, Steps
from bench.virtual.scheduler import Scheduler

TIMING = FlashTiming(page_erase=mem.PAGE_ERASE_TIME, word_write=mem.WORD_WRITE_TIME)


class Nrf91Chip:
    """`boot(reason)` gives the firmware's process each time the core leaves reset; the board sets it.

    `device_id` is the chip's unique number; `locked` ships it with APPROTECT enabled.
    """

    def __init__(
        self, scheduler: Scheduler, rng: random.Random, *, device_id: str, locked: bool = False
    ) -> None:
        self.scheduler = scheduler
        self.cpu = Cpu(scheduler)
        self.flash = Flash(mem.FLASH_SIZE, mem.PAGE, TIMING, rng)
        self.uicr = Flash(mem.INFO_SIZE, mem.PAGE, TIMING, rng, base=mem.UICR_BASE)
        self.ram = ctypes.create_string_buffer(mem.RAM_SIZE)
        self.ficr = ctypes.create_string_buffer(mem.ficr(device_id), mem.INFO_SIZE)
        self._ram = memoryview(self.ram).cast("B")
        self._ficr = memoryview(self.ficr).cast("B")
        self.nvmc = Nvmc(self.flash, self.uicr)
        self.boot: Callable[[str], Steps] | None = None
        self.program_counter: Callable[[], int] = lambda: 0x10400
        self.powered = False
        self.protected = False
        self._unlocked_by_erase = False
        self._peripherals: dict[int, int] = {}
        self._pending_boot: Callable[[], None] | None = None
        if locked:
            struct.pack_into("<I", self.uicr.view, mem.UICR_APPROTECT, mem.CLOSED)
        self.core = Core(self)
        self.dap = Dap(self)

    # ---- power and reset

    def power(self, on: bool) -> None:
        """The supply came up, or failed: the core stops mid-instruction, the flash mid-operation."""
        if on == self.powered:
            return
        self.powered = on
        if on:
            self._unlocked_by_erase = False
            self.reset("power")
        else:
            self.cpu.kill()
            self.cpu.resume()
            self.flash.interrupt(self.scheduler.now)
            self._pending_boot = None
            self.core.power_off()
            self.dap.power_off()
            self._ram[:] = bytes(len(self._ram))  # static RAM keeps nothing worth knowing

    def reset(self, reason: str) -> None:
        """Reset the chip: "power", "pin", "soft", "watchdog" or "swd"."""
        if not self.powered:
            return
        self.cpu.kill()
        self.cpu.resume()
        self.flash.interrupt(self.scheduler.now)
        self.nvmc.reset()
        self.core.flash_writable(False)
        self._peripherals.clear()
        self._pending_boot = None
        if reason in ("power", "pin"):
            self._latch_protection()
        if self.core.reset():
            self._start_firmware(reason)
        elif self.core.halted:
            self._pending_boot = lambda: self._start_firmware(reason)

    def request_reset(self, reason: str) -> None:
        """A reset asked for over the debug port."""
        self.reset(reason)

    def _start_firmware(self, reason: str) -> None:
        if self.boot is not None and not self.core.lockup:
            self.cpu.spawn(self.boot(reason))

    def take_pending_boot(self) -> Callable[[], None] | None:
        """What a halt out of reset has held back."""
        pending, self._pending_boot = self._pending_boot, None
        return pending

    def abandon_firmware(self) -> None:
        """The debugger moved the program counter away: the firmware's state is lost until a reset."""
        self._pending_boot = None
        self.cpu.kill()
        self.cpu.resume()

    # ---- protection

    def _latch_protection(self) -> None:
        if self._unlocked_by_erase:
            self.protected = False
            return
        words = (
            struct.unpack_from("<I", self.uicr.view, offset)[0]
            for offset in (mem.UICR_APPROTECT, mem.UICR_SECUREAPPROTECT)
        )
        self.protected = any(word == mem.CLOSED for word in words)

    def erase_all(self) -> None:
        """CTRL-AP.ERASEALL: everything is gone, protection too, until the next power cycle says otherwise."""
        self.cpu.kill()
        self.cpu.resume()
        self.nvmc.erase_all()
        self._ram[:] = bytes(len(self._ram))
        self.core.memory_changed()
        self.protected = False
        self._unlocked_by_erase = True
        self.pass_time()

    # ---- time

    def pass_time(self) -> None:
        """Let the flash's busy time pass; the plant goes on meanwhile, and may cut the supply."""
        owed = self.nvmc.settle()
        if owed:
            self.scheduler.elapse(owed)

    # ---- the bus

    def array_at(self, address: int) -> tuple[Flash, int] | None:
        """The programmable array at an address, and the offset in it."""
        if 0 <= address < mem.FLASH_SIZE:
            return self.flash, address
        if mem.UICR_BASE <= address < mem.UICR_BASE + mem.INFO_SIZE:
            return self.uicr, address - mem.UICR_BASE
        return None

    def _plain_at(self, address: int) -> tuple[memoryview, int] | None:
        if mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE:
            return self._ram, address - mem.RAM_BASE
        if mem.FICR_BASE <= address < mem.FICR_BASE + mem.INFO_SIZE:
            return self._ficr, address - mem.FICR_BASE
        return None

    def read(self, address: int, size: int) -> int:
        """`size` bytes (1, 2, 4) at `address`. Raises `BusFault` where nothing is."""
        array = self.array_at(address)
        if array is not None:
            return int.from_bytes(array[0].view[array[1] : array[1] + size], "little")
        plain = self._plain_at(address)
        if plain is not None:
            return int.from_bytes(plain[0][plain[1] : plain[1] + size], "little")
        if mem.PERIPHERALS <= address < mem.PERIPHERALS_END:
            word = self.read_peripheral(address & ~3)
        elif mem.PPB <= address < mem.PPB_END:
            word = self.core.read(address & ~3)
        else:
            raise BusFault(address)
        return word >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        """Store `size` bytes. Raises `BusFault` where nothing is, or where flash is not enabled."""
        data = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
        array = self.array_at(address)
        if array is not None:
            if not self.nvmc.store(*array, data):
                raise BusFault(address)
            self.core.memory_changed()
        elif mem.RAM_BASE <= address < mem.RAM_BASE + mem.RAM_SIZE:
            offset = address - mem.RAM_BASE
            self._ram[offset : offset + size] = data
            self.core.memory_changed()
        elif mem.FICR_BASE <= address < mem.FICR_BASE + mem.INFO_SIZE:
            pass  # read-only; the bus does not fault
        elif mem.PERIPHERALS <= address < mem.PERIPHERALS_END:
            self.write_peripheral(address & ~3, value & 0xFFFFFFFF)
        elif mem.PPB <= address < mem.PPB_END:
            self.core.write(address & ~3, value & 0xFFFFFFFF)
        else:
            raise BusFault(address)

    def read_words(self, address: int, count: int) -> list[int]:
        """Consecutive words; quick where they lie in one memory."""
        array = self.array_at(address) or self._plain_at(address)
        if array is not None and address % 4 == 0:
            view = array[0].view if isinstance(array[0], Flash) else array[0]
            if array[1] + 4 * count <= len(view):
                return view[array[1] : array[1] + 4 * count].cast("I").tolist()
        return [self.read(address + 4 * i, 4) for i in range(count)]

    def write_words(self, address: int, words: list[int]) -> None:
        end = address + 4 * len(words)
        if address >= mem.RAM_BASE and end <= mem.RAM_BASE + mem.RAM_SIZE:
            offset = address - mem.RAM_BASE
            self._ram[offset : offset + 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
            self.core.memory_changed()
        else:
            for i, word in enumerate(words):
                self.write(address + 4 * i, 4, word)

    def read_peripheral(self, address: int) -> int:
        register = address & ~mem.SECURE_ALIAS
        if register in (mem.NVMC_READY, mem.NVMC_READYNEXT):
            return 1  # busy time has passed by the time anybody can look
        if register == mem.NVMC_CONFIG:
            return self.nvmc.config
        return self._peripherals.get(register, 0)

    def write_peripheral(self, address: int, value: int) -> None:
        register = address & ~mem.SECURE_ALIAS
        if register == mem.NVMC_CONFIG:
            self.nvmc.set_config(value)
            self.core.flash_writable(self.nvmc.config == WRITE_ENABLE)
        elif register == mem.NVMC_ERASEALL:
            if value == 1 and self.nvmc.config == 2:
                self.nvmc.erase_all()
                self.core.memory_changed()
        else:
            self._peripherals[register] = value
