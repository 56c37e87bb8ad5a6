"""Driver names of the bench file -> drivers. A new instrument is one file and one line here."""

from __future__ import annotations

from typing import Any

from bench.clock import Clock
from bench.errors import ConfigError
from bench.instruments.drivers.adaura import Adaura
from bench.instruments.drivers.keysight_e36312a import KeysightE36312A
from bench.instruments.drivers.keysight_j7211 import KeysightJ7211
from bench.instruments.drivers.keysight_n6705c import KeysightN6705C
from bench.instruments.drivers.korad_ka3005p import KoradKa3005p
from bench.instruments.drivers.minicircuits_rcdat import MiniCircuitsRcdat
from bench.instruments.drivers.nordic_ppk2 import NordicPpk2
from bench.instruments.drivers.rigol_dp832 import RigolDp832
from bench.instruments.drivers.rs_ngm202 import RsNgm202
from bench.instruments.drivers.scpi_attenuator import ScpiAttenuator
from bench.instruments.drivers.siglent_spd3303x import SiglentSpd3303x
from bench.instruments.instrument import Instrument
from bench.instruments.power_supply import PowerSupply
from bench.timeline import Timeline

DRIVERS: dict[str, type[Instrument[Any]]] = {
    "adaura": Adaura,
    "keysight_e36312a": KeysightE36312A,
    "keysight_j7211": KeysightJ7211,
    "keysight_n6705c": KeysightN6705C,
    "korad_ka3005p": KoradKa3005p,
    "minicircuits_rcdat": MiniCircuitsRcdat,
    "nordic_ppk2": NordicPpk2,
    "rigol_dp832": RigolDp832,
    "rs_ngm202": RsNgm202,
    "scpi_attenuator": ScpiAttenuator,
    "siglent_spd3303x": SiglentSpd3303x,
}


def is_supply(driver: str) -> bool:
    """Whether the driver of that name is a power supply's; False for a name that is none."""
    return issubclass(DRIVERS.get(driver, Instrument), PowerSupply)


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
    """Connect to an instrument, check that it is the one named, and take it over from an earlier user.

    Changes no setting but modes in which it would not do what it is told (`Instrument.take_over`).
    `timeout` is in wall seconds. Raises as `connect_instrument` does, and `InstrumentError` for such a mode
    that cannot be set back.
    """
    instrument = connect_instrument(
        name, driver, address, clock, timeline, identity=identity, timeout=timeout
    )
    try:
        instrument.take_over()
    except BaseException:
        instrument.close()
        raise
    return instrument


def connect_instrument(
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
