"""What a board file may say of the flash: nothing lies over something else, nothing foreign is erased."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Protocol

PAGE = 0x1000
"""Bytes that are erased together: a page of the nRF91 (product specification, NVMC), a sector of the ESP32's
SPI flash (data sheet of the W25Q)."""

BOOT: Mapping[str, Mapping[int, str]] = {
    "nrf9160": {0x0: "the bootloader"},
    "esp32": {0x1000: "the second-stage bootloader", 0x8000: "the partition table"},
}
"""By driver, addresses without which nothing boots. nRF91: the vector table a Cortex-M33 starts with. ESP32:
ESP-IDF programming guide, "Bootloader" and "Partition tables" (a table elsewhere makes room for a larger
bootloader, which lies there instead)."""

BESIDE: Mapping[str, Mapping[str, range]] = {"nrf9160": {"UICR": range(0xFF8000, 0xFF9000)}, "esp32": {}}
"""By driver, other memories that can be read, and never erased page by page (nRF9160 product specification,
"Memory map": UICR, with its OTP words)."""


class Place(Protocol):
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...


class Use(Protocol):
    """What [firmware] says of the regions, by their names."""

    @property
    def slots(self) -> tuple[str, ...]: ...
    @property
    def swap(self) -> bool: ...
    @property
    def wiped(self) -> tuple[str, ...]: ...
    @property
    def unchanged(self) -> tuple[str, ...]: ...
    @property
    def kept(self) -> tuple[str, ...]: ...
    @property
    def counter(self) -> str | None: ...


def check(driver: str, flash_size: int, regions: Mapping[str, Place], use: Use) -> None:
    """Raise `ValueError` naming the regions concerned and what is wrong with them."""
    for name in (*use.slots, *use.wiped, *use.unchanged, *use.kept, *([use.counter] if use.counter else ())):
        if name not in regions:
            raise ValueError(f"firmware names region {name!r}, but regions has {sorted(regions)}")
    if flash_size % PAGE:
        raise ValueError(f"flash_size {flash_size:#x} is no multiple of a page, {PAGE:#x}")
    for name, region in regions.items():
        _placed(driver, flash_size, name, region)
    ordered = sorted(regions, key=lambda name: (regions[name].offset, regions[name].size))
    for first, second in _overlapping(ordered, regions):
        raise ValueError(
            f"region {_shown(second, regions[second])} overlaps {_shown(first, regions[first])}: "
            "what is written to one destroys the other"
        )
    for one, other in itertools.combinations(("slots", "unchanged", "kept"), 2):
        _apart(use, one, other)
    _apart(use, "wiped", "unchanged")
    _apart(use, "wiped", "kept")
    if len(set(use.slots)) < len(use.slots):
        raise ValueError(f"firmware.slots names a slot twice: {', '.join(use.slots)}")
    if use.swap and len(use.slots) != 2:
        raise ValueError(f"firmware.slots has {len(use.slots)} slots; a bootloader that swaps has two")
    _bootable(driver, regions, use)
    for name in (*use.slots, *use.wiped):
        if regions[name].offset >= flash_size:
            raise ValueError(
                f"firmware erases region {_shown(name, regions[name])}, which lies beside the flash and "
                "cannot be erased page by page"
            )


def _placed(driver: str, flash_size: int, name: str, region: Place) -> None:
    end = region.offset + region.size
    beside = BESIDE[driver]
    if any(region.offset in memory and end <= memory.stop for memory in beside.values()):
        return
    if end > flash_size:
        others = "".join(f", nor in {n} ({m.start:#x} to {m.stop:#x})" for n, m in beside.items())
        raise ValueError(f"region {_shown(name, region)} lies beyond flash_size {flash_size:#x}{others}")
    for what, address in (("begin", region.offset), ("end", end)):
        if address % PAGE:
            raise ValueError(
                f"region {_shown(name, region)} does not {what} at a page ({PAGE:#x} bytes): its neighbour "
                "in that page would be erased with it"
            )


def _overlapping(ordered: list[str], regions: Mapping[str, Place]) -> Iterator[tuple[str, str]]:
    reaching = ordered[0] if ordered else ""
    for name in ordered[1:]:
        if regions[name].offset < regions[reaching].offset + regions[reaching].size:
            yield reaching, name
        if regions[name].offset + regions[name].size > regions[reaching].offset + regions[reaching].size:
            reaching = name


def _apart(use: Use, one: str, other: str) -> None:
    for name in getattr(use, one):
        if name in getattr(use, other):
            raise ValueError(
                f"region {name!r} is in firmware.{one} and in firmware.{other}: it cannot be both"
            )


def _bootable(driver: str, regions: Mapping[str, Place], use: Use) -> None:
    for address, what in BOOT[driver].items():
        holder = next(
            (n for n, r in regions.items() if r.offset <= address < r.offset + r.size),
            None,
        )
        if holder is None:
            raise ValueError(
                f"no region holds {what} at {address:#x}: list it, so that nothing is put over it"
            )
        for listed in ("slots", "wiped"):
            if holder in getattr(use, listed):
                raise ValueError(
                    f"firmware.{listed} names region {_shown(holder, regions[holder])}, which holds {what} "
                    f"at {address:#x}"
                )


def _shown(name: str, region: Place) -> str:
    return f"{name!r} ({region.offset:#x} to {region.offset + region.size:#x})"
