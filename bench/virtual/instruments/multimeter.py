"""A simulated 34461A across one rail, as a voltmeter.

What it keeps of the real one (HP 34401A user's guide, chapter 4): function and range in one question, the
answer in the form of +3.70000000E+00, no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.instruments.scpi_supply import scientific
from bench.virtual.power.rail import Rail
from bench.virtual.scheduler import Scheduler

RANGES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Volts; one that is given selects the next larger."""


class Multimeter(ScpiInstrument):
    """`rails[1]`: what it lies across."""

    identity = "Keysight Technologies,34461A,MY60012345,A.03.03-03.15-03.03-00.52-04-02"

    def __init__(self, scheduler: Scheduler, rails: Mapping[int, Rail]) -> None:
        self.rail = rails[1] if 1 in rails else Rail(scheduler)
        super().__init__()

    def commands(self) -> Mapping[str, Handler]:
        return {"MEASure[:VOLTage][:DC]": self._measure}

    def reset(self) -> None:
        """Nothing is kept from one measurement to the next."""

    def _measure(self, call: Call) -> str:
        if not call.query:
            raise ScpiError(-113)
        if call.parameters:
            call.number(low=0, high=RANGES[-1], default=RANGES[-1])
        return scientific(self.rail.board_voltage)
