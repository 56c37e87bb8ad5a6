"""What every instrument has, whatever it does."""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.transport import Transport


class Instrument:
    """One instrument on one wire. A driver derives from its kind (`PowerSupply`, ...)."""

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        self.name = name
        self.transport = transport
        self.clock = clock

    @property
    def idn(self) -> str:
        """What the instrument answered to `*IDN?`: maker, model, serial number, firmware."""
        return self.transport.idn

    def close(self) -> None:
        """Close the wire; settings stay as they are. Idempotent."""
        self.transport.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.transport.address}>"
