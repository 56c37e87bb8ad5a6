"""What an application under Zephyr and TF-M makes of the core, and a debugger that halts it finds.

It runs in the non-secure state, with the lower 64 KiB of RAM secure (nrf-rs/nrf-hal, nrf9160-hal/memory.x),
with the MPU on, flash read-only and RAM never executed (Zephyr, soc/.../arm_mpu_regions.c: FLASH_0 and
SRAM_0), its thread's and its interrupts' stacks guarded by PSPLIM and MSPLIM (STMicroelectronics/OpenOCD#52:
a stock Zephyr build), and with peripherals of its own, which a secure debugger finds at their non-secure
addresses only. One of them has something to say at any moment.
"""

from __future__ import annotations

from bench.virtual.nrf91 import memory_map as mem
from bench.virtual.nrf91.access_rules import (
    ENABLE,
    EXECUTE_NEVER,
    FLASH_REGION,
    FLASH_REGIONS,
    MPU_CTRL,
    MPU_RBAR,
    MPU_RLAR,
    MPU_RNR,
    PERIPHERALS,
    PERM_OPEN,
    PERM_SECURE,
    PRIVDEFENA,
    RAM_REGION,
    RAM_REGIONS,
    READ_ONLY,
    REGIONS,
    UNPRIVILEGED,
)
from bench.virtual.nrf91.core import MASKS, MSPLIM_NS, PSPLIM_NS, CoreState
from bench.virtual.nrf91.interrupts import ISER, ISPR

SECURE_FLASH, SECURE_RAM = 0x10000, 0x10000
"""Bytes at the beginning of each that stay secure."""
STACK = 0x20030000
STACK_SIZE = 0x800
CONTROL_SPSEL = 2 << 24
RTC1 = 21
"""Number of its interrupt (nrf9160.svd): Zephyr's system clock."""

MPU = (
    (MPU_RNR, 0),
    (MPU_RBAR, 0 | READ_ONLY | UNPRIVILEGED),
    (MPU_RLAR, mem.FLASH_SIZE - 0x20 | ENABLE),
    (MPU_RNR, 1),
    (MPU_RBAR, mem.RAM_BASE | EXECUTE_NEVER),
    (MPU_RLAR, mem.RAM_BASE + mem.RAM_SIZE - 0x20 | ENABLE),
    (MPU_CTRL, ENABLE | PRIVDEFENA),
)
"""Stores that set the MPU up."""

_SPU = mem.SPU_PAGE | mem.SECURE_ALIAS
NON_SECURE_REGIONS = (
    *((_SPU | FLASH_REGIONS + 4 * n, PERM_OPEN & ~PERM_SECURE)
      for n in range(SECURE_FLASH // FLASH_REGION, REGIONS)),
    *((_SPU | RAM_REGIONS + 4 * n, PERM_OPEN & ~PERM_SECURE)
      for n in range(SECURE_RAM // RAM_REGION, REGIONS)),
)  # fmt: skip

POWER, WDT = 5, 24
NON_SECURE_PERIPHERALS = tuple((_SPU | PERIPHERALS + 4 * n, 0) for n in (POWER, WDT))

CLOCK_INTERRUPT = ((ISER, 1 << RTC1), (ISPR, 1 << RTC1))

APPLICATION = CoreState(
    secure=False,
    registers={
        MASKS: CONTROL_SPSEL,
        18: STACK + STACK_SIZE,  # PSP
        MSPLIM_NS: STACK - STACK_SIZE,
        PSPLIM_NS: STACK,
    },
    stores=(*NON_SECURE_REGIONS, *NON_SECURE_PERIPHERALS, *MPU, *CLOCK_INTERRUPT),
)
