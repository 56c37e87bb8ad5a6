"""A voltmeter: what lies at its terminals, whatever feeds it."""

from __future__ import annotations

from abc import abstractmethod

from bench.instruments.instrument import Instrument, W


class Voltmeter(Instrument[W]):
    """Across a board's supply rail it shows whether the board is really without power."""

    @abstractmethod
    def measure_voltage(self) -> float:
        """Volts (DC) at its terminals, measured now. Raises `InstrumentError`."""
