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

from collections.abc import Sequence

from bench.clock import Clock
from bench.errors import InstrumentError
from bench.instruments.keysight_channel import KeysightChannel
from bench.instruments.keysight_n678x import ElogMeter, Scope
from bench.instruments.power_supply import (
    ChannelRatings,
    PowerSupply,
    Range,
    Regulation,
    SupplyChannel,
    Trip,
)
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.transport import Transport

_STEP = 1.1e-3


def _module(amps: float) -> ChannelRatings:
    return ChannelRatings(Range(0, 20.4, _STEP), Range(0.001, amps, _STEP), Range(0.1, 24, 0.05))


MODULES = {"N6781A": _module(3.06), "N6782A": _module(3.06), "N6785A": _module(8.16)}
"""The modules this driver is for."""

_CV, _CC, _OFF = 1 << 0, 1 << 1, 1 << 2
_OV, _OC, _OT = 1 << 0, 1 << 1, 1 << 4


class KeysightN6705C(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "N6705[ABC]"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._outputs: dict[int, _Channel] = {}
        self._meters: dict[int, ElogMeter] = {}

    def open(self) -> None:
        super().open()
        for number in range(1, int(self.number("SYST:CHAN:COUN?")) + 1):
            module = self.transport.query(f"SYST:CHAN:MOD? (@{number})").strip().strip('"')
            if module in MODULES:
                self._outputs[number] = _Channel(self, number, MODULES[module])
                name = f"{self.name}:{number}"
                self._meters[number] = ElogMeter(name, number, self, self.clock)
        if not self._outputs:
            self.transport.close()
            raise InstrumentError(
                f"{self.name} at {self.transport.address} has none of the modules {', '.join(MODULES)}",
                help="this driver needs an N678x module; correct the bench file",
            )

    @property
    def channels(self) -> Sequence[int]:
        return tuple(self._outputs)

    def _channel(self, number: int) -> SupplyChannel:
        return self._outputs[number]

    def meter(self, number: int) -> ElogMeter:
        """The continuous data log of one output."""
        self.channel(number)
        return self._meters[number]

    def scope(self, number: int) -> Scope:
        """The digitizer of one output: one stretch of points at up to 195 ksps."""
        self.channel(number)
        return Scope(f"{self.name}:{number} scope", number, self, self.clock)


class _Channel(KeysightChannel):
    current_limit_command = "CURR:LIM"

    @property
    def regulation(self) -> Regulation:
        condition = int(self._number("STAT:OPER:COND?"))
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
        condition = int(self._number("STAT:QUES:COND?"))
        for mask, trip in (
            (_OV, Trip.OVER_VOLTAGE),
            (_OC, Trip.OVER_CURRENT),
            (_OT, Trip.OVER_TEMPERATURE),
        ):
            if condition & mask:
                return trip
        return None

    def clear_protection(self) -> None:
        self._unlatch("OUTP:PROT:CLE")
