"""Bench file and board files -> validated settings.

A *board file* (`boards/NAME.toml` with a `[board]` table) says what a board type is: flash map,
console, time-outs. A *bench file* (with a `[bench]` table) says what is attached where. Both are
data; nothing is opened or powered here.
"""

from bench.config.attached import (
    AnyBoardSettings,
    BenchSettings,
    BoardSettings,
    InstrumentSettings,
    NetworkSettings,
    ProcessSettings,
    RomSerialAttachment,
    SecuritySettings,
    ServerSettings,
    SwdAttachment,
    VirtualSettings,
)
from bench.config.board_type import BoardType, Region, Timeouts
from bench.config.chip import ChipSettings
from bench.config.images import ImageFiles
from bench.config.load import AnyBoardType, Bench, load_bench
from bench.config.process import ProcessType
from bench.config.profile import Capability, DeviationName, UpdateProfile

__all__ = [
    "AnyBoardSettings",
    "AnyBoardType",
    "Bench",
    "BenchSettings",
    "BoardSettings",
    "BoardType",
    "Capability",
    "ChipSettings",
    "DeviationName",
    "ImageFiles",
    "InstrumentSettings",
    "NetworkSettings",
    "ProcessSettings",
    "ProcessType",
    "Region",
    "RomSerialAttachment",
    "SecuritySettings",
    "ServerSettings",
    "SwdAttachment",
    "Timeouts",
    "UpdateProfile",
    "VirtualSettings",
    "load_bench",
]
