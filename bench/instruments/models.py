"""Driver names of the bench file -> drivers. A new instrument is one file and one line here."""

from __future__ import annotations

from typing import Any

from bench.clock import Clock
from bench.errors import ConfigError
from bench.instruments.instrument import Instrument
from bench.instruments.keysight_e36312a import KeysightE36312A
from bench.timeline import Timeline

DRIVERS: dict[str, type[Instrument[Any]]] = {
    "keysight_e36312a": KeysightE36312A,
}


def open_instrument(
    name: str,
    driver: str,
    address: str,
    clock: Clock,
    timeline: Timeline,
    *,
    identity: str | None = None,
    timeout: float = 3.0,
) -> Instrument[Any]:
    """Connect to an instrument and check that it is the one named. Changes no setting.

    `timeout` is in wall seconds. Raises `ConfigError` for an unknown driver, `InstrumentError` when
    nothing answers at `address` or something else than `identity` does.
    """
    if driver not in DRIVERS:
        raise ConfigError(
            f"instruments.{name}.driver = {driver!r}: no such driver",
            help=f"drivers: {', '.join(sorted(DRIVERS))}",
        )
    kind = DRIVERS[driver]
    wire = kind.wire(name, address, timeline, identity=identity, timeout=timeout)
    instrument = kind(name, wire, clock)
    instrument.open()
    return instrument
