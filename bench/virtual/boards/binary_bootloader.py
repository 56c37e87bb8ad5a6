"""A bootloader that is machine code: executed from reset until it goes on in a slot.

The application's model then starts, as with the model of MCUboot: what it is told it finds in the flash.
"""

from __future__ import annotations

import struct

from bench.errors import PlantError
from bench.virtual.boot.mcuboot.boot_state import SLOT_NAMES, BootState
from bench.virtual.boot.mcuboot.bootloader import descriptor_of, running_image
from bench.virtual.boot.mcuboot.image import header_at
from bench.virtual.boot.mcuboot.options import Options
from bench.virtual.boot.mcuboot.trailer import Flag, Magic, SwapType, swap_state
from bench.virtual.boot.mcuboot.validation import Keys
from bench.virtual.machine import Machine, RunningImage
from bench.virtual.nrf91.chip import Nrf91Chip
from bench.virtual.nrf91.program.program import Jump, Program
from bench.virtual.process import Steps
from bench.virtual.uart import VirtualUart

BAUDS = (9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600, 1_000_000)
TOLERANCE = 0.02
"""Of a baud rate, that a receiver takes."""


class BinaryBootloader:
    """Of one board; `options` say how it upgrades, which the application has to know."""

    def __init__(self, machine: Machine, chip: Nrf91Chip, uart: VirtualUart, options: Options) -> None:
        self.options = options
        self._machine, self._chip, self._uart = machine, chip, uart
        self._retained: dict[int, int] = {}
        self._application_baud = uart.board_baud

    def supply_failed(self) -> None:
        """What only the supply holds is gone."""
        self._retained.clear()

    def load(self) -> Steps:
        """From reset to the jump; the value is the `RunningImage`, or None when nothing boots."""
        machine = self._machine
        if descriptor_of(machine) is not None:
            raise PlantError(
                f"{machine.name}: the flash holds the model's bootloader, which is no machine code",
                help='give images.factory a binary for 0x0, or set virtual.bootloader = "model"',
            )
        machine.activity("boot")
        slots = [machine.regions[name] for name in SLOT_NAMES]
        program = Program(
            machine.name,
            self._chip,
            [(slot.offset, slot.offset + slot.size) for slot in slots],
            self._retained,
            self._send,
            lambda: machine.reset("soft"),
        )
        jump = yield from program.run()
        self._uart.board_baud = self._application_baud
        running = None if jump is None else self._started(jump)
        if running is None:
            machine.activity("idle")
        return running

    def _send(self, data: bytes, baud: float) -> None:
        self._uart.board_baud = next(
            (usual for usual in BAUDS if abs(baud - usual) <= TOLERANCE * usual), round(baud)
        )
        self._uart.transmit(data)

    def _started(self, jump: Jump) -> RunningImage | None:
        """The application whose first instruction this is; None where it is none, and the core is lost."""
        state = BootState(self._machine, self.options, Keys(b""))
        for number, area in enumerate(state.slots):
            if not area.start <= jump.address < area.start + area.size:
                continue
            header = header_at(area)
            if not header.is_image or header.header_size > area.size - 8:
                return None
            _, entry = struct.unpack("<II", area.read(header.header_size, 8))
            if jump.address != entry & ~1:
                return None
            trailer = swap_state(area)
            on_trial = trailer.magic is Magic.GOOD and trailer.image_ok is Flag.UNSET
            return running_image(state, number, header, SwapType.TEST if on_trial else SwapType.NONE)
        return None
