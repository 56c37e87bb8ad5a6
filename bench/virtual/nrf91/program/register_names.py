"""What a register is called, by the vendor's file that pyOCD brings along (nrf9160.svd)."""

from __future__ import annotations

from functools import cache
from typing import Any

CORE = "private peripheral bus"


@cache
def _peripherals() -> list[tuple[int, str, list[tuple[int, str]]]]:
    """Base, name, and registers by offset; parsing takes seconds, so only who has an error to tell asks."""
    from pyocd.debug.svd.loader import SVDFile

    file: Any = SVDFile.from_builtin("nrf9160.svd")
    file.load()
    return [
        (found.base_address, found.name, [(r.address_offset, r.name) for r in found.registers or ()])
        for found in file.device.peripherals
    ]


def name_of(address: int) -> str:
    """Peripheral and register, such as "TIMER0_S.TASKS_START"; the page alone where no register is known.

    >>> name_of(0x5000F000)
    'TIMER0_S.TASKS_START'
    """
    if address >= 0xE0000000:
        return CORE
    named = ""
    for base, name, registers in _peripherals():
        if base & ~0xFFF != address & ~0xFFF:
            continue
        named = named or name
        for offset, register in registers:
            if base + offset == address:
                return f"{name}.{register}"
    return named or "no peripheral"
