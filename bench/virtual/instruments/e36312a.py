"""A simulated Keysight E36312A on up to three rails.

What it keeps of the real one (E36300 Series Programming Guide and data sheet): ranges, the
selected channel as default where no channel list is given, the error queue, over-voltage trip as
soon as the setting is above the level, over-current trip after the current limit was reached for
the protection delay, the trip's latch, and that clearing it brings the output back to what it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.scpi import Handler
from bench.virtual.instruments.scpi_supply import (
    ScpiSupply,
    bit,
    every,
    put_amps,
    put_ocp,
    put_ocp_delay,
    put_on,
    put_ovp,
    put_volts,
    spans,
)

VOLTS = {1: 6.18, 2: 25.75, 3: 25.75}
AMPS = {1: 5.15, 2: 1.03, 3: 1.03}
OVP = {1: 6.6, 2: 27.5, 3: 27.5}
MIN_AMPS = 0.001
MIN_OVP = 1.0
OCP_DELAY = 0.05
"""Seconds in constant current before OCP trips, after *RST."""

VOLT_STEP = {1: 1e-4, 2: 4e-4, 3: 4e-4}
AMP_STEP = {1: 1e-5, 2: 1e-5, 3: 1e-5}
"""Read-back resolution in volts and amperes."""


class E36312A(ScpiSupply):
    """`rails`: channel number -> what hangs on that output; the others drive nothing."""

    identity = "KEYSIGHT TECHNOLOGIES,E36312A,MY59001234,1.0.4-1.0.3-1.00"
    channel_numbers = (1, 2, 3)

    def commands(self) -> Mapping[str, Handler]:
        source = "[SOURce:]"
        level = "[:LEVel][:IMMediate][:AMPLitude]"
        delays = spans(0, every(0.255, self.channel_numbers))
        return {
            f"{source}VOLTage{level}": self.value(lambda o: o.volts, put_volts, spans(0, VOLTS), default=0),
            f"{source}CURRent{level}": self.value(lambda o: o.amps, put_amps, spans(MIN_AMPS, AMPS)),
            f"{source}VOLTage:PROTection[:LEVel]": self.value(
                lambda o: o.ovp or 0.0, put_ovp, spans(MIN_OVP, OVP)
            ),
            f"{source}VOLTage:PROTection:TRIPped": self.asked(lambda o: bit(o.ov_tripped)),
            f"{source}VOLTage:PROTection:CLEar": self.clears(ov=True),
            f"{source}CURRent:PROTection:STATe": self.flag(lambda o: o.ocp, put_ocp),
            f"{source}CURRent:PROTection:DELay[:TIME]": self.value(
                lambda o: o.ocp_delay, put_ocp_delay, delays, default=OCP_DELAY
            ),
            f"{source}CURRent:PROTection:TRIPped": self.asked(lambda o: bit(o.oc_tripped)),
            f"{source}CURRent:PROTection:CLEar": self.clears(oc=True),
            "OUTPut[:STATe]": self.flag(lambda o: o.on, put_on),
            "OUTPut:PROTection:CLEar": self.clears(ov=True, oc=True),
            "MEASure[:SCALar]:VOLTage[:DC]": self.measured(0, VOLT_STEP),
            "MEASure[:SCALar]:CURRent[:DC]": self.measured(1, AMP_STEP),
            "STATus:QUEStionable:INSTrument:ISUMmary<n>:CONDition": self.condition,
            "INSTrument:NSELect": self.select,
        }

    def reset(self) -> None:
        self.selected = 1
        for number, output in self.outputs.items():
            output.volts, output.amps, output.ovp = 0.0, AMPS[number], OVP[number]
            output.on = output.ocp = output.ov_tripped = output.oc_tripped = False
            output.ocp_delay = OCP_DELAY
            output.apply()
