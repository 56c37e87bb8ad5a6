"""Keysight E36312A and E36313A: three outputs, 6 V / 5 A (10 A) and twice 25 V / 1 A (2 A), TCP port 5025.

Its commands and who confirms them: `bench/instruments/commands/keysight_e36312a.toml`. Ranges: E36300 Series
data sheet (programming range 103 % of the rating, OVP up to 110 %).

Of the family it is not for the E36311A, whose third output is negative, nor the EDU36311A, which has other
ranges under the same commands. Clearing a protection brings the output back to what it was before.
"""

from __future__ import annotations

from bench.instruments.drivers.keysight_phrases import keysight_phrases, listed_mode
from bench.instruments.leftovers import Leftover, each, set_back
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import REGULATIONS, ScpiChannel
from bench.instruments.wires.transport import Transport

_ONE_MILLI = 1.1e-3  # read-back rounds to the programming resolution, below 1 mV and 1 mA


def _output(volts: float, amps: float, ovp: float) -> ChannelRatings:
    return ChannelRatings(Range(0, volts, _ONE_MILLI), Range(0.001, amps, _ONE_MILLI), Range(1, ovp, 0.05))


MODELS = {
    "E36312A": {1: _output(6.18, 5.15, 6.6), 2: _output(25.75, 1.03, 27.5), 3: _output(25.75, 1.03, 27.5)},
    "E36313A": {1: _output(6.18, 10.3, 6.6), 2: _output(25.75, 2.06, 27.5), 3: _output(25.75, 2.06, 27.5)},
}
"""Model -> its outputs."""

TIED = (
    Leftover(
        "outputs 2 and 3 in series, parallel or tracking", ("OUTP:PAIR?",), ("OFF",), ("OUTP:PAIR OFF",)
    ),
    Leftover("outputs that switch together", ("OUTP:COUP:CHAN?",), ("NONE", ""), ("OUTP:COUP:CHAN NONE",)),
)
MODES = (
    listed_mode("voltage that follows steps or a list", "VOLT:MODE", "FIX", "ABOR (@{n})"),
    listed_mode("current limit that follows steps or a list", "CURR:MODE", "FIX", "ABOR (@{n})"),
    listed_mode("remote sensing", "VOLT:SENS:SOUR", "INT"),
    listed_mode("delay before it goes on", "OUTP:DEL:RISE", "0", off_first=False, certain=False),
    listed_mode("delay before it goes off", "OUTP:DEL:FALL", "0", off_first=False, certain=False),
    Leftover(
        "OVP that is switched off",
        ("VOLT:PROT:STAT? (@{n})",),
        ("1",),
        ("VOLT:PROT:STAT 1,(@{n})",),
        certain=False,
        off_first=False,
    ),
)
"""What an earlier user may have left: of the whole supply, and of each output. The delays are known of the
next series, so an E36312A may not have them."""


class KeysightE36312A(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = ",E3631[23]A,"
    outputs = ("1", "2", "3")

    def open(self) -> None:
        super().open()
        ratings = next(outputs for model, outputs in MODELS.items() if model in self.idn.upper())
        self._channels = {n: _Channel(self, n, rating) for n, rating in ratings.items()}

    def take_over(self) -> None:
        set_back(self, [*TIED, *each(self.channels, MODES)])


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
