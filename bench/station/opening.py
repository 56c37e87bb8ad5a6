"""What comes before anything of a bench file may be powered: its plant, or locks and a guard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bench.config import Bench, BenchSettings
from bench.config.names import load_name
from bench.instruments.models import is_supply
from bench.instruments.output_guard import GuardedSupply, OutputGuard
from bench.locks import await_guards, locked
from bench.station.plant import Plant
from bench.station.resources import guarded_outputs, resources_of, supply_outputs


def plant_of(bench: Bench, seed: int, defect: str | None = None) -> Plant | None:
    """The plant that a bench file names, made but not started; None where there is hardware."""
    named = bench.settings.bench.plant
    if named is None:
        return None
    plant: Plant = load_name(named, f"{bench.path}: bench.plant")(bench, seed, defect=defect)
    return plant


@contextlib.contextmanager
def reserved(settings: BenchSettings, record: Callable[[str], object]) -> Iterator[None]:
    """Everything that `settings` name is this run's alone; `record` is told what was left behind by others.

    Raises `InUseError` when another run has one of them, or its guard cannot switch an output off.
    """
    with locked(resources_of(settings)) as stale:
        for text in stale:
            record(text)
        await_guards(guarded_outputs(settings, supplies_of(settings)))
        yield


def supplies_of(settings: BenchSettings) -> list[str]:
    return [name for name, instrument in settings.instruments.items() if is_supply(instrument.driver)]


def guard_of(settings: BenchSettings) -> OutputGuard | None:
    """What switches real supplies off when this process is killed; None where there is no supply."""
    names = supplies_of(settings)
    if not names:
        return None
    return OutputGuard(
        [
            GuardedSupply(
                name,
                settings.instruments[name].driver,
                settings.instruments[name].address,
                settings.instruments[name].identity,
                supply_outputs(settings, name),
            )
            for name in names
        ],
        guarded_outputs(settings, names),
    )
