"""Addresses and fixed values of the nRF9160.

Source: nRF9160 product specification (memory map, FICR, UICR, NVMC, CTRL-AP) and the Armv8-M
architecture reference manual (debug registers, CoreSight identification).
"""

from __future__ import annotations

import hashlib
import re
import struct

from bench.virtual.nrf91.silicon import Silicon

FLASH_SIZE = 0x100000
PAGE = 0x1000
RAM_BASE, RAM_SIZE = 0x20000000, 0x40000
FICR_BASE, UICR_BASE, INFO_SIZE = 0x00FF0000, 0x00FF8000, 0x1000
PERIPHERALS, PERIPHERALS_END = 0x40000000, 0x60000000
SECURE_ALIAS = 0x10000000  # peripherals appear at 0x4... (non-secure) and 0x5... (secure)
PPB, PPB_END = 0xE0000000, 0xE0100000

NVMC_PAGE = 0x50039000
NVMC_READY, NVMC_READYNEXT = 0x40039400, 0x40039408
NVMC_CONFIG, NVMC_ERASEALL = 0x40039504, 0x4003950C
RESETREAS = 0x40005400
SPU_PAGE, WDT_PAGE = 0x40003000, 0x40018000  # the SPU answers at its secure address alone

UICR_APPROTECT, UICR_SECUREAPPROTECT, UICR_ERASEPROTECT = 0x00, 0x2C, 0x30
PROTECTED = 0x00000000
SECUREAPPROTECT_DISABLE, APPROTECT_DISABLE = 0x40039E00, 0x40039E10
"""Registers of the peripheral APPROTECT (MDK, nrf9120.h), in the page of NVMC."""

CORE_CLOCK = 64_000_000  # hertz

PAGE_ERASE_TIME = 0.0875
"""Seconds: 85-89.7 ms (product specification, NVMC, t_ERASEPAGE)."""
WORD_WRITE_TIME = 43e-6
"""Seconds (product specification, NVMC, t_WRITE)."""
ERASE_ALL_TIME = 0.173
"""Seconds (product specification, NVMC, t_ERASEALL)."""


def device_number(device_id: str) -> int:
    """The 64 bits of FICR.INFO.DEVICEID: `device_id` itself where it is 16 hex digits, else its hash."""
    if re.fullmatch(r"[0-9a-fA-F]{16}", device_id):
        return int(device_id, 16)
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big")


def ficr(device_id: str, silicon: Silicon) -> bytes:
    """The factory information page of one chip; `device_id` names it uniquely."""
    page = bytearray(b"\xff" * INFO_SIZE)
    number = device_number(device_id)
    words = {
        0x130: 0x9,  # device family and
        0x134: silicon.revision,  # its revision, as start-up code asks for them before working round errata
        0x140: silicon.part,  # SIPINFO.PARTNO
        0x144: int.from_bytes(silicon.hardware.encode(), "little"),  # SIPINFO.HWREVISION, ASCII, lowest first
        0x148: int.from_bytes(silicon.variant.encode(), "little"),  # SIPINFO.VARIANT
        0x204: number & 0xFFFFFFFF,  # INFO.DEVICEID[0]
        0x208: number >> 32,
        0x20C: silicon.die,
        0x214: 0x2000,  # INFO.PACKAGE: CC, 236 ball wlCSP
        0x218: RAM_SIZE >> 10,
        0x21C: FLASH_SIZE >> 10,
        0x220: PAGE,
        0x224: FLASH_SIZE // PAGE,
    }
    for offset, value in words.items():
        struct.pack_into("<I", page, offset, value)
    return bytes(page)


# ---- CoreSight ------------------------------------------------------------------------------------

ARM = 0x43B  # JEP106 continuation 4, identity 0x3B


def _identification(part: int, component_class: int, devarch: int = 0, devtype: int = 0) -> dict[int, int]:
    identity, continuation = ARM & 0x7F, ARM >> 8
    return {
        0xFBC: devarch,
        0xFCC: devtype,
        0xFD0: continuation,
        0xFE0: part & 0xFF,
        0xFE4: part >> 8 & 0xF | (identity & 0xF) << 4,
        0xFE8: 0x8 | identity >> 4,
        0xFF0: 0x0D,
        0xFF4: component_class << 4,
        0xFF8: 0x05,
        0xFFC: 0xB1,
    }


ROM_TABLE = 0xE00FF000
SCS, DWT, FPB, ITM = 0xE000E000, 0xE0001000, 0xE0002000, 0xE0000000
CORESIGHT: dict[int, dict[int, int]] = {
    ROM_TABLE: {
        **{4 * i: entry for i, entry in enumerate((0xFFF0F003, 0xFFF02003, 0xFFF03003, 0xFFF01003, 0))},
        **_identification(0x4C9, 1),
    },
    SCS: _identification(0xD21, 9, devarch=0x47702A04),
    DWT: _identification(0xD21, 9, devarch=0x47701A02),
    FPB: _identification(0xD21, 9, devarch=0x47701A03),
    ITM: _identification(0xD21, 9, devarch=0x47701A01, devtype=0x43),
}

CPUID = 0x410FD212  # Cortex-M33 r0p2
SYSTEM_CONSTANTS = {
    0xE000E004: 0x00000002,  # ICTR: up to 96 interrupt lines
    0xE000E01C: 0xC0000000,  # SYST_CALIB
    0xE000ED00: CPUID,
    0xE000ED40: 0x00000030,  # ID_PFR0
    0xE000ED44: 0x00000210,  # ID_PFR1: security extension
    0xE000ED48: 0x00200000,  # ID_DFR0
    0xE000ED50: 0x00101F40,  # ID_MMFR0
    0xE000ED58: 0x01000000,  # ID_MMFR2
    0xE000ED60: 0x01101110,  # ID_ISAR0
    0xE000ED64: 0x02212000,  # ID_ISAR1
    0xE000ED68: 0x20232232,  # ID_ISAR2
    0xE000ED6C: 0x01111131,  # ID_ISAR3
    0xE000ED70: 0x01310132,  # ID_ISAR4
    0xE000ED78: 0x00000000,  # CLIDR: no cache
    0xE000ED7C: 0x8000C000,  # CTR
    0xE000ED90: 0x00001000,  # MPU_TYPE: 16 regions
    0xE000EDD0: 0x00000000,  # SAU_TYPE: none, the SPU takes its place
    0xE000EF40: 0x10110021,  # MVFR0: single-precision FPU
    0xE000EF44: 0x11000011,  # MVFR1
    0xE000EF48: 0x00000040,  # MVFR2
    0xE000EFB8: 0x000000FF,  # DAUTHSTATUS: all debug permitted
}
SYSTEM_RESET_VALUES = {
    0xE000ED14: 0x00000201,  # CCR
    0xE000EF34: 0xC0000004,  # FPCCR
}
