"""What one boot of MCUboot knows: its areas, the headers it has read, which swap it is to do."""

from __future__ import annotations

from bench.virtual.boot.mcuboot.area import SCRATCH_LAYOUT, SECTOR, Area, slot_layout
from bench.virtual.boot.mcuboot.counter import SecurityCounter
from bench.virtual.boot.mcuboot.image import NO_HEADER, Header
from bench.virtual.boot.mcuboot.options import Options, Upgrade
from bench.virtual.boot.mcuboot.trailer import SWAP_NAMES, SwapType, swap_state, wanted_swap
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

PRIMARY, SECONDARY = 0, 1
SLOT_NAMES = ("slot0", "slot1")


class Panic(Exception):
    """An assertion of MCUboot's failed: the board stands still."""


class BootState:
    """`headers` are those of the two images, wherever they stand at the moment; `secondary_start` is
    where the update begins in its slot; `tlv_sizes` are those of the unprotected areas (offset only).
    """

    def __init__(self, machine: Machine, options: Options, keys: Keys) -> None:
        self.machine, self.options, self.keys = machine, options, keys
        layout = slot_layout(options)
        self.slots = (Area(machine, SLOT_NAMES[0], layout), Area(machine, SLOT_NAMES[1], layout))
        self.scratch = (
            Area(machine, "scratch", SCRATCH_LAYOUT) if options.upgrade is Upgrade.SCRATCH else None
        )
        self.counter = SecurityCounter(machine)
        self.headers: list[Header] = [NO_HEADER, NO_HEADER]
        self.swap_type: int = 0
        self.secondary_start = 0
        self.tlv_sizes = [0, 0]

    @property
    def primary(self) -> Area:
        return self.slots[PRIMARY]

    @property
    def secondary(self) -> Area:
        return self.slots[SECONDARY]

    def log(self, level: str, text: str) -> None:
        self.machine.print(f"{level}: {text}")

    def wanted_swap(self) -> SwapType:
        """By the trailers as they are now; MCUboot tells it whenever it looks."""
        kind = wanted_swap(swap_state(self.primary), swap_state(self.secondary), self.options)
        self.log("I", f"Image index: 0, Swap type: {SWAP_NAMES.get(kind, 'none')}")
        return kind

    # ---- erasing

    def erase_range(self, area: Area, offset: int, length: int, *, backwards: bool = False) -> Steps:
        """2.1.0 leaves the sectors to the flash driver, main takes them one by one."""
        if not self.options.is_main:
            yield from area.erase(offset, length)
            return
        sectors = range(offset // SECTOR, -(-(offset + length) // SECTOR))
        for sector in reversed(sectors) if backwards else sectors:
            yield from area.erase(sector * SECTOR, SECTOR)

    def erase_trailer(self, area: Area) -> Steps:
        """Every sector that holds some of it, from the last one down."""
        for sector in reversed(range(area.trailer_sector, area.sectors)):
            yield from area.erase(sector * SECTOR, SECTOR)

    def erase_slot(self, area: Area) -> Steps:
        yield from self.erase_range(area, 0, area.size)
