"""Driver names of the bench file -> simulated instruments. A new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bench.errors import ConfigError
from bench.virtual.instruments.adaura import AdauraUnit
from bench.virtual.instruments.dp832 import Dp832
from bench.virtual.instruments.e36312a import E36312A
from bench.virtual.instruments.hislip_server import HislipServer
from bench.virtual.instruments.http_server import HttpServer
from bench.virtual.instruments.j7211 import J7211
from bench.virtual.instruments.ka3005p import Ka3005p
from bench.virtual.instruments.line_server import LineServer
from bench.virtual.instruments.multimeter import Multimeter
from bench.virtual.instruments.n6705c import N6705C
from bench.virtual.instruments.ngm202 import Ngm202
from bench.virtual.instruments.nine_fives import NineFives
from bench.virtual.instruments.ppk2 import Ppk2
from bench.virtual.instruments.rcdat import Rcdat
from bench.virtual.instruments.serial_server import SerialServer
from bench.virtual.instruments.spd3303x import Spd3303x
from bench.virtual.power.rail import Rail
from bench.virtual.radio.path import RfPath
from bench.virtual.scheduler import Scheduler


@dataclass(frozen=True, slots=True)
class Wiring:
    """What hangs on an instrument: rails by channel number, radio paths by name."""

    scheduler: Scheduler
    rails: Mapping[int, Rail] = field(default_factory=dict)
    paths: Mapping[str, RfPath] = field(default_factory=dict)


class Counterpart(Protocol):
    """A simulated instrument at its wire."""

    @property
    def address(self) -> str:
        """What the bench file gives as its address."""
        ...

    @property
    def instrument(self) -> Any:
        """The instrument behind the wire, for tests that misuse it."""
        ...

    def close(self) -> None:
        """Idempotent; raises what ended it early, if anything did."""
        ...


MODELS: dict[str, Callable[[Wiring], Counterpart]] = {
    "adaura": lambda w: HttpServer(AdauraUnit(w.paths), w.scheduler),
    "keysight_e36312a": lambda w: LineServer(E36312A(w.scheduler, w.rails), w.scheduler),
    "keysight_j7211": lambda w: LineServer(J7211(w.paths), w.scheduler, ending=b"\r"),
    "keysight_n6705c": lambda w: LineServer(N6705C(w.scheduler, w.rails), w.scheduler),
    "korad_ka3005p": lambda w: SerialServer(Ka3005p(w.scheduler, w.rails), w.scheduler, baud=9600),
    "minicircuits_rcdat": lambda w: HttpServer(Rcdat(w.scheduler, w.paths), w.scheduler),
    "nordic_ppk2": lambda w: SerialServer(Ppk2(w.scheduler, w.rails), w.scheduler),
    "rigol_dp832": lambda w: LineServer(Dp832(w.scheduler, w.rails), w.scheduler),
    "rs_ngm202": lambda w: LineServer(Ngm202(w.scheduler, w.rails), w.scheduler),
    "scpi_attenuator": lambda w: HislipServer(NineFives(w.paths), w.scheduler),
    "scpi_voltmeter": lambda w: LineServer(Multimeter(w.scheduler, w.rails), w.scheduler),
    "siglent_spd3303x": lambda w: LineServer(Spd3303x(w.scheduler, w.rails), w.scheduler),
}


def start_instrument(driver: str, wiring: Wiring) -> Counterpart:
    """The simulated counterpart of a driver, at a free loopback port or a virtual serial port."""
    if driver not in MODELS:
        raise ConfigError(
            f"driver {driver!r} has no simulated counterpart",
            help=f"simulated: {', '.join(sorted(MODELS))}",
        )
    return MODELS[driver](wiring)
