"""Keysight E36312A: three outputs, 6 V / 5 A and twice 25 V / 1 A, SCPI on TCP port 5025.

| command                              | use                                                        |
|--------------------------------------|------------------------------------------------------------|
| `VOLT <v>,(@n)`, `VOLT? (@n)`        | voltage setpoint                                           |
| `CURR <a>,(@n)`, `CURR? (@n)`        | current limit                                              |
| `VOLT:PROT <v>,(@n)`, `VOLT:PROT? (@n)` | over-voltage protection level                           |
| `CURR:PROT:STAT 0|1,(@n)`, `...? (@n)`  | over-current protection                                 |
| `OUTP 0|1,(@n)`, `OUTP? (@n)`        | output                                                     |
| `MEAS:VOLT? (@n)`, `MEAS:CURR? (@n)` | measured output                                            |
| `VOLT:PROT:TRIP? (@n)`, `CURR:PROT:TRIP? (@n)` | whether a protection has latched                 |
| `VOLT:PROT:CLE (@n)`, `CURR:PROT:CLE (@n)`     | unlatch; brings the output back to what it was   |
| `STAT:QUES:INST:ISUM<n>:COND?`       | bit 0 CC, bit 1 CV, bit 4 over-temperature; 0 off, 3 not regulated |
| `SYST:ERR?`                          | oldest error, `+0,"No error"` when there is none           |

Source: Keysight E36300 Series Programming Guide: subsystems VOLTage, CURRent, OUTPut,
MEASure, STATus, SYSTem. Ranges: E36300 Series data sheet (programming range 103 % of the rating,
OVP up to 110 %).
"""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.drivers.keysight_phrases import keysight_phrases
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import REGULATIONS, ScpiChannel
from bench.instruments.wires.transport import Transport

_ONE_MILLI = 1.1e-3  # read-back rounds to the programming resolution, below 1 mV and 1 mA

RATINGS = {
    1: ChannelRatings(Range(0, 6.18, _ONE_MILLI), Range(0.001, 5.15, _ONE_MILLI), Range(1, 6.6, 0.05)),
    2: ChannelRatings(Range(0, 25.75, _ONE_MILLI), Range(0.001, 1.03, _ONE_MILLI), Range(1, 27.5, 0.05)),
    3: ChannelRatings(Range(0, 25.75, _ONE_MILLI), Range(0.001, 1.03, _ONE_MILLI), Range(1, 27.5, 0.05)),
}


class KeysightE36312A(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "E36312A"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._channels = {n: _Channel(self, n, ratings) for n, ratings in RATINGS.items()}


class _Channel(ScpiChannel):
    phrases = keysight_phrases(clear=("VOLT:PROT:CLE", "CURR:PROT:CLE"))

    @property
    def regulation(self) -> Regulation:
        return REGULATIONS[self._condition() & 3]

    @property
    def tripped(self) -> Trip | None:
        if self._switch("VOLT:PROT:TRIP? (@{n})"):
            return Trip.OVER_VOLTAGE
        if self._switch("CURR:PROT:TRIP? (@{n})"):
            return Trip.OVER_CURRENT
        return Trip.OVER_TEMPERATURE if self._condition() & 1 << 4 else None

    def _condition(self) -> int:
        return int(self._number("STAT:QUES:INST:ISUM{n}:COND?"))
