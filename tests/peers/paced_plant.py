"""A virtual bench whose time does not jump while a foreign process thinks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.config import Bench, BenchSettings, load_bench
from bench.virtual.plant import VirtualBench

BOARDS = Path(__file__).parents[2] / "boards"
PACE = 20.0
"""Simulated seconds that pass in a wall second: a foreign process needs wall time to answer."""


class PacedBench(VirtualBench):
    def __init__(self, bench: Bench, seed: int = 0, *, defect: str | None = None) -> None:
        super().__init__(bench, seed, pace=PACE, defect=defect)


class OldBench(PacedBench):
    """Its boards register as LwM2M 1.0 devices."""

    def start(self) -> BenchSettings:
        settings = super().start()
        for board in self.boards.values():
            stack = replace(board.identity.stack, lwm2m="1.0", object5="1.0")
            board.identity = replace(board.identity, stack=stack)
        return settings


def load(board: str, plant: type[PacedBench] = PacedBench) -> Bench:
    """The virtual bench of `boards/` with one board, paced."""
    bench = load_bench(BOARDS / "virtual.toml", (board,))
    own = bench.settings.bench.model_copy(update={"plant": f"{__name__}:{plant.__name__}"})
    return bench.model_copy(update={"settings": bench.settings.model_copy(update={"bench": own})})
