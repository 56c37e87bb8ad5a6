"""Driver names of the bench file -> simulated instruments. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.errors import ConfigError
from bench.virtual.instruments.e36312a import E36312A
from bench.virtual.instruments.scpi import ScpiInstrument
from bench.virtual.instruments.scpi_server import ScpiServer
from bench.virtual.rail import Rail
from bench.virtual.scheduler import Scheduler

MODELS: dict[str, Callable[[Scheduler, Mapping[int, Rail]], ScpiInstrument]] = {
    "keysight_e36312a": E36312A,
}


def start_instrument(driver: str, scheduler: Scheduler, rails: Mapping[int, Rail]) -> ScpiServer:
    """The simulated counterpart of a driver, listening on a free loopback port."""
    if driver not in MODELS:
        raise ConfigError(
            f"driver {driver!r} has no simulated counterpart",
            help=f"simulated: {', '.join(sorted(MODELS))}",
        )
    return ScpiServer(MODELS[driver](scheduler, rails), scheduler)
