"""What every instrument has, whatever it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar

from bench.clock import Clock
from bench.config.address import AddressKind
from bench.instruments.wires.transport import Transport
from bench.instruments.wires.wire import Wire

W = TypeVar("W", bound=Wire)


class Instrument(Generic[W]):
    """One instrument on one wire. A driver derives from its kind (`PowerSupply`, ...)."""

    wire: ClassVar[Callable[..., Any]] = Transport
    """Makes its wire from name, address and timeline, and by keyword identity and time-out."""
    addresses: ClassVar[frozenset[AddressKind]] = frozenset({AddressKind.VISA})
    """The kinds of address its wire can be reached at."""
    models: ClassVar[str] = ""
    """Pattern that the identification of the models this driver is for contains (case does not matter)."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Every output or path that one of these models has, as a bench file names them (none: not known)."""

    def __init__(self, name: str, transport: W, clock: Clock) -> None:
        self.name = name
        self.transport = transport
        transport.models = self.models
        self.clock = clock

    @property
    def idn(self) -> str:
        """What the instrument answered to `*IDN?`: maker, model, serial number, firmware."""
        return self.transport.idn

    def open(self) -> None:
        """Connect. Raises `InstrumentError` when another instrument answers, or one not for this driver."""
        self.transport.open()

    def take_over(self) -> None:
        """Make it do what it is told, whatever an earlier user has left; see the driver. Once it is open."""

    def close(self) -> None:
        """Close the wire; settings stay as they are. Idempotent."""
        self.transport.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.transport.address}>"
