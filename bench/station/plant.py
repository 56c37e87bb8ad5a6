"""What a virtual bench is to the rooms above it."""

from __future__ import annotations

from typing import Protocol

from bench.clock import Clock
from bench.config import BenchSettings
from bench.power_cuts.stage import FlashStage


class Plant(Protocol):
    """What stands behind the wires when no hardware does; named in the bench file."""

    clock: Clock

    def start(self) -> BenchSettings:
        """Bring it up; returns the settings with the addresses it chose filled in."""
        ...

    def flash_stage(self, board: str) -> FlashStage:
        """A board's flash, to be watched and put into the state that a power cut leaves."""
        ...

    def close(self) -> None: ...
