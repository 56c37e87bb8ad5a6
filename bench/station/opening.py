"""What comes before anything of a bench file may be powered: its plant, if it has one, or a guard."""

from __future__ import annotations

from bench.config import Bench, BenchSettings
from bench.config.names import load_name
from bench.instruments.models import is_supply
from bench.instruments.output_guard import GuardedSupply, OutputGuard
from bench.station.plant import Plant


def plant_of(bench: Bench, seed: int, defect: str | None = None) -> Plant | None:
    """The plant that a bench file names, made but not started; None where there is hardware."""
    named = bench.settings.bench.plant
    if named is None:
        return None
    plant: Plant = load_name(named, f"{bench.path}: bench.plant")(bench, seed, defect=defect)
    return plant


def guard_of(settings: BenchSettings) -> OutputGuard | None:
    """What switches real supplies off when this process is killed. A plant dies with it."""
    supplies = [
        GuardedSupply(name, instrument.driver, instrument.address, instrument.identity)
        for name, instrument in settings.instruments.items()
        if is_supply(instrument.driver)
    ]
    if not supplies or settings.bench.plant is not None:
        return None
    return OutputGuard(supplies)
