"""What the ROM bootloader and the RAM flasher have in common: opcodes, checksum, and how they end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum


class Op(IntEnum):
    """Opcodes of Espressif's serial protocol (esptool documentation, "Serial Protocol")."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


@dataclass(frozen=True, slots=True)
class Jump:
    """The loader was told to run code at `entry`."""

    entry: int


@dataclass(frozen=True, slots=True)
class Reboot:
    """The loader was told to restart the chip; the strapping pins keep what they latched."""


@dataclass(frozen=True, slots=True)
class RunApplication:
    """The loader was told to leave and boot from flash."""


Exit = Jump | Reboot | RunApplication

HEADER = struct.Struct("<BBHI")
"""Direction (0 request, 1 reply), opcode, length of the body, checksum (request) or value (reply)."""

SYNC_REPEAT = 8


def checksum(data: bytes) -> int:
    """XOR of all bytes, from 0xEF."""
    # XOR of eight bytes at a time, then folded
    whole = len(data) & ~7
    folded = 0
    for word in memoryview(data)[:whole].cast("Q"):
        folded ^= word
    for shift in (32, 16, 8):
        folded ^= folded >> shift
    value = 0xEF ^ (folded & 0xFF)
    for byte in data[whole:]:
        value ^= byte
    return value
