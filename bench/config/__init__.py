"""Bench file and board files -> validated settings.

A *board file* (`boards/NAME.toml` with a `[board]` table) says what a board type is: flash map,
console, time-outs. A *bench file* (with a `[bench]` table) says what is attached where. Both are
data; nothing is opened or powered here.
"""

from bench.config.attached import (
    BenchSettings,
    BoardSettings,
    InstrumentSettings,
    RomSerialAttachment,
    ServerSettings,
    SwdAttachment,
)
from bench.config.board_type import BoardType, Region, Timeouts
from bench.config.images import ImageFiles
from bench.config.load import Bench, load_bench
from bench.config.profile import Capability, DeviationName, UpdateProfile

__all__ = [
    "Bench",
    "BenchSettings",
    "BoardSettings",
    "BoardType",
    "Capability",
    "DeviationName",
    "ImageFiles",
    "InstrumentSettings",
    "Region",
    "RomSerialAttachment",
    "ServerSettings",
    "SwdAttachment",
    "Timeouts",
    "UpdateProfile",
    "load_bench",
]
