"""A device under test with what a bench file attaches to it: supply, console, flasher, meter, attenuator."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar

from bench.clock import Clock
from bench.config import (
    AnyBoardSettings,
    Bench,
    BoardSettings,
    BoardType,
    ProcessSettings,
    ProcessType,
    RomSerialAttachment,
    SwdAttachment,
)
from bench.dut.console import Console
from bench.dut.dut import Dut
from bench.dut.esp32 import Esp32
from bench.dut.flasher import Flasher
from bench.dut.hardware import HardwareDut
from bench.dut.nrf9160 import Nrf9160
from bench.dut.process import ProcessDut
from bench.dut.serial_port import Lines
from bench.errors import ConfigError
from bench.firmware.esp32_layout import boot_end
from bench.firmware.image_set import ImageSet
from bench.instruments.attenuator import Attenuator
from bench.instruments.current_meter import CurrentMeter, InlineMeter
from bench.instruments.instrument import Instrument
from bench.instruments.power_supply import PowerSupply
from bench.instruments.voltmeter import Voltmeter
from bench.timeline import Timeline

DUT_DRIVERS: dict[str, type[HardwareDut]] = {"nrf9160": Nrf9160, "esp32": Esp32}


Kind = TypeVar("Kind")


class Fitter:
    """`instruments` are those that are open, by their names in the bench file."""

    def __init__(
        self, bench: Bench, instruments: Mapping[str, Instrument[Any]], clock: Clock, timeline: Timeline
    ) -> None:
        self.bench, self.clock, self.timeline = bench, clock, timeline
        self._instruments = instruments

    def fit(self, name: str, board: AnyBoardSettings, images: ImageSet) -> Dut:
        """Nothing of the board is opened yet. Raises `ConfigError` for an instrument of another kind."""
        match board, self.bench.type_of(name):
            case ProcessSettings(), ProcessType() as process:
                return ProcessDut(name, board, process, images, clock=self.clock, timeline=self.timeline)
            case BoardSettings(), BoardType() as board_type:
                return self._board(name, board, board_type, images)
        raise AssertionError("the settings were checked when they were read")

    def _board(self, name: str, board: BoardSettings, board_type: BoardType, images: ImageSet) -> HardwareDut:
        supply = self._named(name, "supply", board.supply, PowerSupply, "power supply")
        console = Console(
            name,
            board.console,
            self.clock,
            self.timeline,
            baud=board_type.console.baud,
            lines=Lines(*board_type.console_lines),
        )
        dut = DUT_DRIVERS[board_type.driver](
            name,
            board,
            board_type,
            images,
            supply=supply.channel(int(_output(board.supply))),
            voltmeter=self._voltmeter(name, board.voltmeter),
            console=console,
            flasher=self._flasher(name, board, board_type, console),
            clock=self.clock,
            timeline=self.timeline,
        )
        if board.attenuator is not None:
            attenuator = self._named(name, "attenuator", board.attenuator, Attenuator, "attenuator")
            dut.attenuator = attenuator.path(_output(board.attenuator))
        if board.meter is not None:
            dut.meter = self._meter(name, board, board.meter, board_type.supply.voltage)
        return dut

    def _meter(self, name: str, board: BoardSettings, named: str, volts: float) -> CurrentMeter:
        """In the board's lead, where it passes `volts` through, or the supply that feeds the board."""
        inline = self._instruments.get(named.partition(":")[0])
        if isinstance(inline, InlineMeter):
            meter = inline.meter(int(_output(named)))
            inline.pass_through(volts)
            return meter
        supply = self._named(name, "meter", named, PowerSupply, "meter or power supply")
        if named != board.supply:
            raise ConfigError(
                f"{self.bench.path}: boards.{name}.meter = {named!r}: a supply measures only "
                f"what it feeds, and this board is fed by {board.supply!r}",
                help="name the same output, or a meter in the board's lead",
            )
        return supply.meter(int(_output(named)))

    def _voltmeter(self, name: str, named: str | None) -> Voltmeter[Any] | None:
        """Across the board's rail, where the bench file gives one."""
        if named is None:
            return None
        return self._named(name, "voltmeter", named, Voltmeter, "voltmeter")  # type: ignore[type-abstract]

    def _named(self, board: str, key: str, value: str, kind: type[Kind], called: str) -> Kind:
        """The instrument of "instrument:output"."""
        name = value.partition(":")[0]
        found = self._instruments.get(name)
        if not isinstance(found, kind):
            raise ConfigError(
                f"{self.bench.path}: boards.{board}.{key} = {value!r}: {name!r} is no {called}",
                help=f"name an instrument whose driver is a {called}",
            )
        return found

    def _flasher(self, name: str, board: BoardSettings, board_type: BoardType, console: Console) -> Flasher:
        """pyOCD and esptool are imported where a board needs them: they take longer than all the rest."""
        pause = partial(self.clock.sleep, reason=f"{name}: a pause of its flasher")
        match board.flasher:
            case SwdAttachment(uid=uid, target=target, frequency=frequency):
                from bench.dut.swd import SwdFlasher

                return SwdFlasher(name, uid, self.timeline, target=target, frequency=frequency, pause=pause)
            case RomSerialAttachment(mac=mac, baud=baud):
                from bench.dut.rom_serial import RomSerialFlasher

                return RomSerialFlasher(
                    name,
                    board.console,
                    self.timeline,
                    lender=console,
                    baud=baud,
                    mac=mac,
                    boot_end=boot_end(board_type),
                    pause=pause,
                )


def _output(named: str) -> str:
    """What follows the instrument's name."""
    return named.partition(":")[2]
