"""A bench multimeter as a voltmeter: one question, which many makers have.

The commands, and what stands behind each, are in docs/instruments.md. That the Keysight 34460A to 34470A take
the 34401A's question is recalled, and was not looked up. It must not be used by anybody else meanwhile: each
question sets its function.
"""

from __future__ import annotations

from bench.instruments.scpi import ScpiInstrument
from bench.instruments.voltmeter import Voltmeter
from bench.instruments.wires.transport import Transport


class ScpiVoltmeter(ScpiInstrument, Voltmeter[Transport]):
    """The driver."""

    models = r"34401A|3446[015]A|34470A|MODEL 2110"

    def measure_voltage(self) -> float:
        return self.number("MEAS:VOLT:DC?")
