"""How a maker ties the voltage setpoint of an output to the level of its over-voltage protection.

None of the simulated models is known to do so; tests give them another maker's manner.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.virtual.instruments.output_stage import OutputStage


@dataclass(frozen=True, slots=True)
class OvpOrder:
    """A setpoint is at most `voltage` times the level, a level at least `level` times the setpoint.

    None: free. With `clears_below` a trip stays latched as long as the setpoint is above the level.
    """

    voltage: float | None = None
    level: float | None = None
    clears_below: bool = False

    def takes_voltage(self, output: OutputStage, volts: float) -> bool:
        return self.voltage is None or output.ovp is None or volts <= self.voltage * output.ovp

    def takes_level(self, output: OutputStage, volts: float) -> bool:
        return self.level is None or volts >= self.level * output.volts

    def clears(self, output: OutputStage) -> bool:
        """Whether an over-voltage trip may be cleared now."""
        return not self.clears_below or output.ovp is None or output.volts <= output.ovp


FREE = OvpOrder()
GENESYS = OvpOrder(voltage=0.95, level=1.05)
"""TDK-Lambda Genesys, SCPI manual 7.5.1: the setpoint is restricted to 95 % of the level, and the level
cannot be made lower than 105 % of the setpoint."""
PWX = OvpOrder(level=1.05)
"""Kikusui PWX, interface manual, `VOLT:PROT`: 105 % of the voltage setting or less is an error -222."""
E3632A = OvpOrder(clears_below=True)
"""Keysight E3632A, user's guide, `VOLT:PROT:CLE`: first lower the voltage below the trip point."""
