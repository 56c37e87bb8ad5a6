"""Keysight N6705A/B/C with N6781A, N6782A or N6785A modules: supply, scope and data log, TCP port 5025.

Its commands and who confirms them: `bench/instruments/commands/keysight_n6705c.toml`; scope and log:
`keysight_n678x`. Ranges: N6700 modules specifications guide; OVP: N6705 Programmer's Reference, p. 468.

These modules are source-measure units and differ from the mainframe's other modules. Their OVP is
`VOLT:PROT:REM`, and `VOLT:PROT` is refused. They hold the current by `CURR:LIM` in voltage priority, where
`CURR` is taken and does nothing, and tell it by LIM+ and LIM- (p. 495) instead of CC. When one goes off it
either pulls its output to zero before its relays open (`OUTP:TMOD LOWZ`), or opens them at the set voltage
(HIGHZ, p. 157), which leaves the board on its capacitors: LOWZ is set.
"""

from __future__ import annotations

from bench.clock import Clock
from bench.errors import InstrumentError
from bench.instruments.drivers.keysight_n678x import ElogMeter, Scope
from bench.instruments.drivers.keysight_phrases import keysight_phrases, listed_mode
from bench.instruments.leftovers import Leftover, each, set_back
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import ScpiChannel
from bench.instruments.wires.transport import Transport

_STEP = 1.1e-3


def _module(amps: float) -> ChannelRatings:
    return ChannelRatings(Range(0, 20.4, _STEP), Range(0.001, amps, _STEP), Range(0, 22, 0.05))


MODULES = {"N6781A": _module(3.06), "N6782A": _module(3.06), "N6785A": _module(8.16)}
"""The modules this driver is for."""
WITH_RESISTANCE = ("N6781A", "N6785A")
"""Those that can have an output resistance (p. 452)."""

TIED = (
    Leftover("outputs that switch together", ("OUTP:COUP:CHAN?",), ("", "0"), ("OUTP:COUP:CHAN",)),
    Leftover(
        "protection that switches every output off", ("OUTP:PROT:COUP?",), ("0",), ("OUTP:PROT:COUP 0",)
    ),
)
MODES = (
    listed_mode("emulation of something else than a two-quadrant supply", "EMUL", "PS2Q"),
    listed_mode("current priority", "FUNC", "VOLT"),
    listed_mode("voltage that follows steps, a list or a waveform", "VOLT:MODE", "FIX", "ABOR:TRAN (@{n})"),
    listed_mode("current that follows steps, a list or a waveform", "CURR:MODE", "FIX", "ABOR:TRAN (@{n})"),
    listed_mode("remote sensing", "VOLT:SENS:SOUR", "INT"),
    listed_mode("slow slope of the voltage", "VOLT:SLEW:MAX", "1", off_first=False),
    listed_mode("delay before it goes on", "OUTP:DEL:RISE", "0", off_first=False),
    listed_mode("delay before it goes off", "OUTP:DEL:FALL", "0", off_first=False),
    listed_mode("relays that open at the set voltage", "OUTP:TMOD", "LOWZ", off_first=False),
)
RESISTANCE = listed_mode("output resistance", "RES:STAT", "0")
"""What an earlier user may have left: of the mainframe, of each output, and of those that have it."""

_CV, _CC, _OFF = 1 << 0, 1 << 1, 1 << 2
_LIMITS, _UNREGULATED = 1 << 7 | 1 << 8, 1 << 10
TRIPS = (
    (1 << 0 | 1 << 6, Trip.OVER_VOLTAGE),
    (1 << 1, Trip.OVER_CURRENT),
    (1 << 4, Trip.OVER_TEMPERATURE),
    (1 << 2, Trip.MAINS),
    (1 << 9, Trip.INHIBITED),
    (1 << 12, Trip.OSCILLATION),
    (1 << 11, Trip.ELSEWHERE),  # set beside the others too, so last
)
"""By bits of `STAT:QUES:COND?` (p. 495)."""


class KeysightN6705C(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back.

    `meter` is the continuous data log of an output.
    """

    models = "N6705[ABC]"
    outputs = ("1", "2", "3", "4")

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._units: dict[int, _Channel] = {}

    def open(self) -> None:
        super().open()
        units, meters = {}, {}
        for number in range(1, int(self.number("SYST:CHAN:COUN?")) + 1):
            module = self.transport.query(f"SYST:CHAN:MOD? (@{number})").strip().strip('"')
            if module in MODULES:
                units[number] = _Channel(self, number, MODULES[module], module)
                meters[number] = ElogMeter(f"{self.name}:{number}", number, module, self, self.clock)
        self._channels, self._meters, self._units = units, meters, units
        if not units:
            self.transport.close()
            raise InstrumentError(
                f"{self.name} at {self.transport.address} has none of the modules {', '.join(MODULES)}",
                help="this driver needs an N678x module; correct the bench file",
            )

    def take_over(self) -> None:
        resistive = [n for n, unit in self._units.items() if unit.module in WITH_RESISTANCE]
        set_back(self, [*TIED, *each(self.channels, MODES), *each(resistive, (RESISTANCE,))])

    def scope(self, number: int) -> Scope:
        """The digitizer of one output: one stretch of points at up to 195 ksps."""
        self.channel(number)
        return Scope(f"{self.name}:{number} scope", number, self, self.clock)


class _Channel(ScpiChannel):
    phrases = keysight_phrases(current_limit="CURR:LIM", ovp="VOLT:PROT:REM", clear=("OUTP:PROT:CLE",))

    def __init__(self, supply: KeysightN6705C, number: int, ratings: ChannelRatings, module: str) -> None:
        super().__init__(supply, number, ratings)
        self.module = module

    @property
    def regulation(self) -> Regulation:
        operation = int(self._number("STAT:OPER:COND? (@{n})"))
        questionable = self._questionable()
        if operation & _OFF or any(questionable & bits for bits, _ in TRIPS):
            return Regulation.OFF
        if questionable & _UNREGULATED:
            return Regulation.UNREGULATED
        if questionable & _LIMITS or operation & (_CV | _CC) == _CC:
            return Regulation.CC
        return Regulation.CV if operation & (_CV | _CC) == _CV else Regulation.UNREGULATED

    @property
    def tripped(self) -> Trip | None:
        condition = self._questionable()
        return next((trip for bits, trip in TRIPS if condition & bits), None)

    @property
    def discharges_when_off(self) -> bool | None:
        """As `OUTP:TMOD?` says."""
        reply = self._supply.transport.query(f"OUTP:TMOD? (@{self.number})")
        return reply.strip().upper() == "LOWZ"

    def _questionable(self) -> int:
        return int(self._number("STAT:QUES:COND? (@{n})"))
