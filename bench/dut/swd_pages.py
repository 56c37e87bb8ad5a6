"""Many flash pages erased or written in one call of pyOCD's flash algorithm.

pyOCD calls the algorithm for one page at a time: some 40 SWD transactions a page, several of them
waited for, come on top of the page's own time. Here a loop beside the algorithm in RAM calls the
same EraseSector or ProgramPage for one page after another.

Like pyOCD's algorithms it needs the core as a reset leaves it, halted by `reset_and_halt`: under the MPU,
the stack limits, the security state or the interrupts of a firmware that was merely halted neither runs
(pyocd/pyOCD#2023, STMicroelectronics/OpenOCD#52).
"""

from __future__ import annotations

import struct
from typing import Any

from pyocd.core import exceptions
from pyocd.flash.flash import Flash

from bench.dut.swd_watchdog import Watchdog

BLOCK = 0x10000
"""Bytes in one call, so that pyOCD's time limit for one page (10 s) finds a flash that hangs."""
PAGE_ERASE_TIME, PAGE_WRITE_TIME = 0.09, 0.045
"""Seconds, at most (nRF9160 product specification, NVMC: t_ERASEPAGE; 1024 times t_WRITE)."""
THUMB = 1

# Armv6-M instructions. The debugger has set r4: first page, r5: end, r6: bytes of a page, r7: the
# algorithm's function, r8: the data; the function keeps them (AAPCS). Afterwards r0 is the first result
# that is not 0, and r4 the page of that result.
_LOOP = bytes.fromhex(
    "00b5"  #        push  {lr}
    "2000"  # next:  movs  r0, r4
    "3100"  #        movs  r1, r6
    "4246"  #        mov   r2, r8
    "b847"  #        blx   r7
    "0028"  #        cmp   r0, #0
    "03d1"  #        bne   end
    "a419"  #        adds  r4, r4, r6
    "b044"  #        add   r8, r6
    "ac42"  #        cmp   r4, r5
    "f5d3"  #        blo   next
    "00bd"  # end:   pop   {pc}
)


def erase_pages(target: Any, start: int, end: int) -> None:
    """Erase from page boundary `start` to page boundary `end`, all in one flash region of `target`.

    The core is left halted. Raises pyOCD's `FlashEraseFailure` with the page that failed.
    """
    flash: Flash = target.memory_map.get_region_for_address(start).flash
    watchdog = Watchdog(target)
    _load(target, flash, Flash.Operation.ERASE, watchdog)
    while start < end:
        size = flash.get_sector_info(start).size
        most = size * (watchdog.most(PAGE_ERASE_TIME) or BLOCK // size)
        block = start
        watchdog.feed()
        while block < end and block - start < min(BLOCK, most) and flash.get_sector_info(block).size == size:
            block += size
        failed = _call(target, flash, "pc_erase_sector", start, block, size)
        if failed is not None:
            raise exceptions.FlashEraseFailure("page not erased", address=failed[0], result_code=failed[1])
        start = block
    flash.cleanup()


def write_pages(target: Any, address: int, data: bytes) -> None:
    """Write `data` at `address`, all in one flash region; what surrounds it in its pages must be erased.

    The core is left halted. Raises pyOCD's `FlashProgramFailure` with the page that failed.
    """
    flash: Flash = target.memory_map.get_region_for_address(address).flash
    watchdog = Watchdog(target)
    _load(target, flash, Flash.Operation.PROGRAM, watchdog)
    size = flash.get_page_info(address).size
    before = address % size
    data = b"\xff" * before + data  # as pyOCD does: such bytes write nothing
    data += b"\xff" * (-len(data) % size)
    buffer, room = _free_ram(target, flash, size)
    block = min(room, size * (watchdog.most(PAGE_WRITE_TIME) or room // size))
    for done in range(0, len(data), block):
        part, start = data[done : done + block], address - before + done
        watchdog.feed()
        target.write_memory_block32(buffer, struct.unpack(f"<{len(part) // 4}I", part))
        failed = _call(target, flash, "pc_program_page", start, start + len(part), size, buffer)
        if failed is not None:
            raise exceptions.FlashProgramFailure("page not written", address=failed[0], result_code=failed[1])
    flash.cleanup()


def _free_ram(target: Any, flash: Flash, size: int) -> tuple[int, int]:
    """Where whole pages fit into RAM, at most a block of them, and how many bytes.

    At its end: the algorithm is at the beginning, and into the lowest 128 KiB a modem that is on may write
    though the core stands (nRF Connect SDK, Modem library, shared memory configuration). After a reset of
    the chip none does.
    """
    used = max(flash.begin_stack, flash.end_flash_algo, max(flash.page_buffers) + size)
    ram = target.memory_map.get_region_for_address(flash.page_buffers[0])
    room = min(BLOCK, ram.end + 1 - used) // size * size
    return ram.end + 1 - room, room


def _load(target: Any, flash: Flash, operation: Flash.Operation, watchdog: Watchdog) -> None:
    """The algorithm, and the loop in its first page buffer, which nobody else uses meanwhile."""
    watchdog.feed()
    flash.init(operation)
    target.write_memory_block8(flash.page_buffers[0], list(_LOOP))


def _call(
    target: Any, flash: Flash, function: str, start: int, end: int, size: int, data: int = 0
) -> tuple[int, int] | None:
    """Call it for each page; the page that failed and its result, or None."""
    registers = {
        "pc": flash.page_buffers[0] | THUMB,
        "lr": flash.flash_algo["load_address"] | THUMB,  # the algorithm's breakpoint
        "r4": start,
        "r5": end,
        "r6": size,
        "r7": flash.flash_algo[function] | THUMB,
        "r8": data,
    }
    target.write_core_registers_raw(list(registers), list(registers.values()))
    target.resume()
    limit = "erase_sector" if function == "pc_erase_sector" else "program"
    result = flash.wait_for_completion(target.session.options.get(f"flash.timeout.{limit}"))
    if result == flash.TIMEOUT_ERROR:
        raise exceptions.FlashFailure(f"no end within the time limit from {start:#x} to {end:#x}")
    if target.read_core_register("pc") != flash.flash_algo["load_address"]:  # r0 = 0 would read as success
        raise exceptions.FlashFailure(f"the core was reset between {start:#x} and {end:#x}")
    return None if result == 0 else (target.read_core_register("r4"), result)
