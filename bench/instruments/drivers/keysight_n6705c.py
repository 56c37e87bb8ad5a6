"""Keysight N6705C with N6781A, N6782A or N6785A modules: supply, scope and data log, SCPI on TCP port 5025.

| command                               | use                                                       |
|---------------------------------------|-----------------------------------------------------------|
| `SYST:CHAN:COUN?`, `SYST:CHAN:MOD? (@n)` | how many outputs, and which module each is             |
| `VOLT <v>,(@n)`, `VOLT? (@n)`         | voltage setpoint                                          |
| `CURR:LIM <a>,(@n)`, `CURR:LIM? (@n)` | current limit in voltage priority                         |
| `VOLT:PROT <v>,(@n)`, `...? (@n)`     | over-voltage protection level                             |
| `CURR:PROT:STAT 0|1,(@n)`, `...? (@n)` | over-current protection                                  |
| `OUTP 0|1,(@n)`, `OUTP? (@n)`         | output                                                    |
| `OUTP:PROT:CLE (@n)`                  | unlatch                                                   |
| `MEAS:VOLT? (@n)`, `MEAS:CURR? (@n)`  | measured output                                           |
| `STAT:OPER:COND? (@n)`                | bit 0 CV, 1 CC, 2 off, 3 waiting for trigger, 5 measuring |
| `STAT:QUES:COND? (@n)`                | bit 0 OV, 1 OC, 4 OT, 10 unregulated                      |
| scope and log                         | see `keysight_n678x`                                      |
| `SYST:ERR?`                           | oldest error, `+0,"No error"` when there is none          |

Source: Keysight N6705 Programmer's Reference (subsystems SYSTem, SOURce, OUTPut, MEASure, STATus); ranges:
N6700 modules specifications guide.
"""

from __future__ import annotations

from bench.errors import InstrumentError
from bench.instruments.drivers.keysight_n678x import ElogMeter, Scope
from bench.instruments.drivers.keysight_phrases import keysight_phrases
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import ScpiChannel
from bench.instruments.wires.transport import Transport

_STEP = 1.1e-3


def _module(amps: float) -> ChannelRatings:
    return ChannelRatings(Range(0, 20.4, _STEP), Range(0.001, amps, _STEP), Range(0.1, 24, 0.05))


MODULES = {"N6781A": _module(3.06), "N6782A": _module(3.06), "N6785A": _module(8.16)}
"""The modules this driver is for."""

_CV, _CC, _OFF = 1 << 0, 1 << 1, 1 << 2
_OV, _OC, _OT = 1 << 0, 1 << 1, 1 << 4


class KeysightN6705C(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back.

    `meter` is the continuous data log of an output.
    """

    models = "N6705[ABC]"

    def open(self) -> None:
        super().open()
        channels, meters = {}, {}
        for number in range(1, int(self.number("SYST:CHAN:COUN?")) + 1):
            module = self.transport.query(f"SYST:CHAN:MOD? (@{number})").strip().strip('"')
            if module in MODULES:
                channels[number] = _Channel(self, number, MODULES[module])
                meters[number] = ElogMeter(f"{self.name}:{number}", number, module, self, self.clock)
        self._channels, self._meters = channels, meters
        if not channels:
            self.transport.close()
            raise InstrumentError(
                f"{self.name} at {self.transport.address} has none of the modules {', '.join(MODULES)}",
                help="this driver needs an N678x module; correct the bench file",
            )

    def scope(self, number: int) -> Scope:
        """The digitizer of one output: one stretch of points at up to 195 ksps."""
        self.channel(number)
        return Scope(f"{self.name}:{number} scope", number, self, self.clock)


class _Channel(ScpiChannel):
    phrases = keysight_phrases(current_limit="CURR:LIM", clear=("OUTP:PROT:CLE",))

    @property
    def regulation(self) -> Regulation:
        condition = int(self._number("STAT:OPER:COND? (@{n})"))
        if condition & _OFF:
            return Regulation.OFF
        match bool(condition & _CV), bool(condition & _CC):
            case True, False:
                return Regulation.CV
            case False, True:
                return Regulation.CC
            case _:
                return Regulation.UNREGULATED

    @property
    def tripped(self) -> Trip | None:
        condition = int(self._number("STAT:QUES:COND? (@{n})"))
        for mask, trip in (
            (_OV, Trip.OVER_VOLTAGE),
            (_OC, Trip.OVER_CURRENT),
            (_OT, Trip.OVER_TEMPERATURE),
        ):
            if condition & mask:
                return trip
        return None
