"""Driver names of the bench file -> drivers. A new instrument is one file and one line here."""

from __future__ import annotations

from typing import Any, Unpack

from bench.clock import Clock
from bench.config.address import AddressKind, address_kinds
from bench.errors import ConfigError
from bench.instruments.attenuator import Attenuator
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
from bench.instruments.drivers.scpi_voltmeter import ScpiVoltmeter
from bench.instruments.drivers.siglent_spd3303x import SiglentSpd3303x
from bench.instruments.instrument import Instrument
from bench.instruments.power_supply import PowerSupply
from bench.instruments.wires.wire import CORRECT_ADDRESS, Checks
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
    "scpi_voltmeter": ScpiVoltmeter,
    "siglent_spd3303x": SiglentSpd3303x,
}


def is_supply(driver: str) -> bool:
    """Whether the driver of that name is a power supply's; False for a name that is none."""
    return issubclass(DRIVERS.get(driver, Instrument), PowerSupply)


def address_mistake(driver: str, address: str) -> str | None:
    """Why `driver` cannot be reached at `address`; None when it can, or when there is no such driver."""
    try:
        kinds = address_kinds(address)
    except ValueError as mistake:
        return str(mistake)
    wanted = wanted_instead(driver, kinds)
    return None if wanted is None else f"{driver} wants {wanted}"


def wanted_instead(driver: str, kinds: frozenset[AddressKind]) -> str | None:
    """The addresses that `driver` can be reached at, where it cannot at any of these kinds; else None."""
    if driver not in DRIVERS or kinds & DRIVERS[driver].addresses:
        return None
    return ", or ".join(sorted(DRIVERS[driver].addresses))


class Options(Checks, total=False):
    """`step`: dB between two settings of an attenuator whose model name does not tell it."""

    step: float | None


def open_instrument(
    name: str, driver: str, address: str, clock: Clock, timeline: Timeline, **options: Unpack[Options]
) -> Instrument[Any]:
    """Connect to an instrument, check that it is the one named, and take it over from an earlier user.

    Changes no setting but modes in which it would not do what it is told (`Instrument.take_over`).
    Raises as `connect_instrument` does, and `InstrumentError` for such a mode that cannot be set back.
    """
    instrument = connect_instrument(name, driver, address, clock, timeline, **options)
    try:
        instrument.take_over()
    except BaseException:
        instrument.close()
        raise
    return instrument


def connect_instrument(
    name: str, driver: str, address: str, clock: Clock, timeline: Timeline, **options: Unpack[Options]
) -> Instrument[Any]:
    """Connect to an instrument and check that it is the one named. Changes no setting.

    Raises `ConfigError` for an unknown driver, an address it cannot have and an option it does not take,
    `InstrumentError` when nothing answers at `address` or something else than `identity` does.
    """
    if driver not in DRIVERS:
        raise ConfigError(
            f"instruments.{name}.driver = {driver!r}: no such driver",
            help=f"drivers: {', '.join(sorted(DRIVERS))}",
        )
    if (mistake := address_mistake(driver, address)) is not None:
        raise ConfigError(f"instruments.{name}.address = {address!r}: {mistake}", help=CORRECT_ADDRESS)
    step = options.pop("step", None)
    kind = DRIVERS[driver]
    if options.get("password") is not None and AddressKind.HTTP not in address_kinds(address):
        raise ConfigError(
            f"instruments.{name}.password: {address} takes none",
            help="only a web interface (http://host) is given a password; remove the key",
        )
    instrument = kind(name, kind.wire(name, address, timeline, **options), clock)
    if step is not None:
        if not isinstance(instrument, Attenuator):
            raise ConfigError(
                f"instruments.{name}.step = {step:g}: {driver} is no attenuator", help="remove the key"
            )
        instrument.step = step
    instrument.open()
    return instrument
