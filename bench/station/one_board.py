"""One board of a bench file with what its supply current goes through, and nothing else of the bench."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

from bench.clock import WallClock
from bench.config import Bench, BoardSettings, BoardType
from bench.dut.hardware import HardwareDut
from bench.errors import ConfigError
from bench.firmware.image import FirmwareImage
from bench.firmware.image_set import ImageSet
from bench.instruments.instrument import Instrument
from bench.instruments.models import open_instrument
from bench.station.fitting import Fitter
from bench.station.opening import guard_of, plant_of, reserved
from bench.timeline import Timeline


@contextlib.contextmanager
def one_board(bench: Bench, name: str, *, seed: int = 0) -> Iterator[HardwareDut]:
    """The board, switched off; off again, and its supply closed, however the block is left.

    A meter in its lead is opened too, for some pass nothing on until they are. Its images are not read: it
    has none here. No other instrument, server or board is opened.
    Raises `ConfigError` for a program, and whatever is missing of the board.
    """
    board_type = bench.type_of(name)
    if not isinstance(board_type, BoardType):
        raise ConfigError(
            f"{bench.path}: boards.{name} is a program on this PC, no board with a supply",
            help="name a board of the bench file",
        )
    closing = contextlib.ExitStack()
    try:
        plant = plant_of(bench, seed)
        if plant is not None:
            closing.callback(plant.close)
            clock, settings = plant.clock, plant.start()
        else:
            clock, settings = WallClock(), bench.settings
            closing.callback(clock.close)
        board = settings.boards[name]
        assert isinstance(board, BoardSettings)
        needed = {held.partition(":")[0] for held in (board.supply, board.meter) if held is not None}
        instruments = {n: i for n, i in settings.instruments.items() if n in needed}
        timeline = Timeline(clock)
        if plant is None:
            alone = settings.model_copy(update={"instruments": instruments, "boards": {name: board}})
            closing.enter_context(reserved(alone, partial(timeline.record, "bench", "lock")))
            guard = guard_of(alone)
            if guard is not None:
                closing.enter_context(guard)
                guard.await_ready()
        opened: dict[str, Instrument[Any]] = {}
        for key, instrument in instruments.items():
            opened[key] = open_instrument(
                key, instrument.driver, instrument.address, clock, timeline, identity=instrument.identity
            )
            closing.callback(opened[key].close)
        fitter = Fitter(bench, opened, clock, timeline)
        bare = board.model_copy(update={"attenuator": None})
        dut = fitter.fit(name, bare, _no_images(board_type))
        assert isinstance(dut, HardwareDut)
        closing.callback(dut.close)
        dut.flasher.check()
        yield dut
    finally:  # without the block's exception: the guard acts only where an output stays on
        closing.close()


def _no_images(board_type: BoardType) -> ImageSet:
    nothing = FirmwareImage(b"", board_type.firmware.container, "")
    return ImageSet(nothing, nothing)
