"""Many flash pages erased in one call of pyOCD's flash algorithm.

pyOCD calls the algorithm's EraseSector for one page at a time: some 40 SWD transactions a page,
several of them waited for, come on top of the page's own erase time. Here a loop beside the algorithm
in RAM calls the same EraseSector for one page after another.
"""

from __future__ import annotations

from typing import Any

from pyocd.core import exceptions
from pyocd.flash.flash import Flash

BLOCK = 0x10000
"""Bytes in one call, so that pyOCD's time limit for one sector (10 s) finds a flash that hangs."""

THUMB = 1

# (r0: first page, r1: end, r2: bytes of a page, r3: EraseSector) -> r0: its first result that is not 0,
# r1: the page of that result. Armv6-M instructions; EraseSector keeps r4 to r7 (AAPCS).
_LOOP = bytes.fromhex(
    "f0b5"  #        push  {r4-r7, lr}
    "0400"  #        movs  r4, r0
    "0d00"  #        movs  r5, r1
    "1600"  #        movs  r6, r2
    "1f00"  #        movs  r7, r3
    "2000"  # next:  movs  r0, r4
    "b847"  #        blx   r7
    "0028"  #        cmp   r0, #0
    "02d1"  #        bne   end
    "a419"  #        adds  r4, r4, r6
    "ac42"  #        cmp   r4, r5
    "f8d3"  #        blo   next
    "2100"  # end:   movs  r1, r4
    "f0bd"  #        pop   {r4-r7, pc}
)


def erase_pages(target: Any, start: int, end: int) -> None:
    """Erase from page boundary `start` to page boundary `end`, all in one flash region of `target`.

    The core is left halted. Raises pyOCD's `FlashEraseFailure` with the page that failed.
    """
    flash: Flash = target.memory_map.get_region_for_address(start).flash
    flash.init(Flash.Operation.ERASE)
    loop = flash.page_buffers[0]  # free: nothing is programmed meanwhile
    target.write_memory_block8(loop, list(_LOOP))
    while start < end:
        size = flash.get_sector_info(start).size
        block = start
        while block < end and block - start < BLOCK and flash.get_sector_info(block).size == size:
            block += size
        _call(target, flash, loop, start, block, size)
        start = block
    flash.cleanup()


def _call(target: Any, flash: Flash, loop: int, start: int, end: int, size: int) -> None:
    registers = {
        "pc": loop | THUMB,
        "r0": start,
        "r1": end,
        "r2": size,
        "r3": flash.flash_algo["pc_erase_sector"],
        "lr": flash.flash_algo["load_address"] | THUMB,  # the algorithm's breakpoint
    }
    target.write_core_registers_raw(list(registers), list(registers.values()))
    target.resume()
    result = flash.wait_for_completion(target.session.options.get("flash.timeout.erase_sector"))
    if result == flash.TIMEOUT_ERROR:
        raise exceptions.FlashEraseFailure(f"no end within the time limit from {start:#x} to {end:#x}")
    if result != 0:
        page = target.read_core_register("r1")
        raise exceptions.FlashEraseFailure("page not erased", address=page, result_code=result)
