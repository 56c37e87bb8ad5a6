"""Rohde & Schwarz NGM202 (two outputs) and NGU201 (one): 20 V / 6 A and 20 V / 8 A, SCPI on TCP port 5025.

| command                               | use                                                       |
|---------------------------------------|-----------------------------------------------------------|
| `INST OUT<n>`                         | selects the output; sent in one line with each command below |
| `VOLT <v>`, `CURR <a>`, `...?`        | voltage setpoint, current limit                           |
| `VOLT:PROT:LEV <v>`, `VOLT:PROT 1`    | over-voltage protection: level, on                        |
| `VOLT:PROT:TRIP?`, `VOLT:PROT:CLE`    | whether it has tripped, unlatch                           |
| `FUSE 0|1`, `FUSE?`, `FUSE:TRIP?`, `FUSE:TRIP:CLE` | electronic fuse: over-current protection     |
| `OUTP:SEL 0|1`                        | the output takes part when the main switch is on          |
| `OUTP:GEN 0|1`                        | main switch of all outputs                                |
| `MEAS:VOLT?`, `MEAS:CURR?`            | measured output                                           |
| `STAT:QUES:INST:ISUM<n>:COND?`        | bit 0 CC, bit 1 CV                                        |
| `FLOG:SRAT S500k`, `FLOG:TARG SCPI`, `FLOG 0|1`, `FLOG:DATA?` | FastLog, see `rs_fastlog`         |
| `SYST:ERR?`                           | oldest error, `0,"No error"` when there is none           |

Source: R&S NGM200 and NGU Series User Manuals, remote control commands; ranges: their data sheets.

The main switch is common to all outputs, so switching on one would power another that an earlier user had
left selected. Before it goes on, every output that this driver has not switched on is deselected.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.clock import Clock
from bench.instruments.current_meter import CurrentMeter
from bench.instruments.power_supply import (
    ChannelRatings,
    PowerSupply,
    Range,
    Regulation,
    SupplyChannel,
    Trip,
)
from bench.instruments.rs_fastlog import FastLogMeter
from bench.instruments.scpi import ScpiInstrument, plain
from bench.instruments.transport import Transport

_STEP = 1.1e-3

MODELS = {
    "NGM202": (1, 2),
    "NGM201": (1,),
    "NGU201": (1,),
}
"""Model -> its outputs."""

AMPERES = {"NGM202": 6.0, "NGM201": 6.0, "NGU201": 8.0}


class RsNgm202(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "Rohde.*NG(M20[12]|U201)"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._outputs: dict[int, _Channel] = {}
        self._meters: dict[int, FastLogMeter] = {}
        self._on: set[int] = set()

    def open(self) -> None:
        super().open()
        model = next(m for m in MODELS if m in self.idn)
        amps = AMPERES[model]
        ratings = ChannelRatings(Range(0, 20.05, _STEP), Range(0.001, amps + 0.01, _STEP), Range(0, 21, 0.05))
        self._outputs = {n: _Channel(self, n, ratings) for n in MODELS[model]}
        self._meters = {n: FastLogMeter(f"{self.name}:{n}", n, self, self.clock, amps) for n in MODELS[model]}

    @property
    def channels(self) -> Sequence[int]:
        return tuple(self._outputs)

    def _channel(self, number: int) -> SupplyChannel:
        return self._outputs[number]

    def meter(self, number: int) -> CurrentMeter:
        """FastLog of one output: up to 500,000 samples of current and voltage a second."""
        self.channel(number)
        return self._meters[number]

    def switch_output(self, number: int, on: bool) -> None:
        """One output, with the others kept as this driver knows them."""
        if on and not self.switch("OUTP:GEN?"):
            for other in self.channels:
                if other != number:
                    self.set(f"INST OUT{other};:OUTP:SEL {int(other in self._on)}")
        self.set(f"INST OUT{number};:OUTP:SEL {int(on)}")
        self._on = self._on | {number} if on else self._on - {number}
        if on:
            self.set("OUTP:GEN 1")

    def output_is_on(self, number: int) -> bool:
        return self.switch(f"INST OUT{number};:OUTP:SEL?") and self.switch("OUTP:GEN?")


class _Channel(SupplyChannel):
    def __init__(self, supply: RsNgm202, number: int, ratings: ChannelRatings) -> None:
        super().__init__(f"{supply.name}:{number}", number, ratings)
        self._supply = supply

    def _number(self, query: str) -> float:
        return self._supply.number(f"INST OUT{self.number};:{query}")

    def _switch(self, query: str) -> bool:
        return self._supply.switch(f"INST OUT{self.number};:{query}")

    def _set(self, command: str) -> None:
        self._supply.set(f"INST OUT{self.number};:{command}")

    def measure_voltage(self) -> float:
        return self._number("MEAS:VOLT?")

    def measure_current(self) -> float:
        return self._number("MEAS:CURR?")

    @property
    def regulation(self) -> Regulation:
        if not self._get_output():
            return Regulation.OFF
        match int(self._supply.number(f"STAT:QUES:INST:ISUM{self.number}:COND?")) & 3:
            case 0:
                return Regulation.OFF
            case 1:
                return Regulation.CC
            case 2:
                return Regulation.CV
            case _:
                return Regulation.UNREGULATED

    @property
    def tripped(self) -> Trip | None:
        if self._switch("VOLT:PROT:TRIP?"):
            return Trip.OVER_VOLTAGE
        return Trip.OVER_CURRENT if self._switch("FUSE:TRIP?") else None

    def clear_protection(self) -> None:
        self.output = False
        self._set("VOLT:PROT:CLE")
        self._set("FUSE:TRIP:CLE")
        if (trip := self.tripped) is not None:
            raise self._supply.transport.fault("...:CLE", f"{trip.value} protection stays latched")

    def _get_voltage(self) -> float:
        return self._number("VOLT?")

    def _set_voltage(self, volts: float) -> None:
        self._set(f"VOLT {plain(volts)}")

    def _get_current_limit(self) -> float:
        return self._number("CURR?")

    def _set_current_limit(self, amps: float) -> None:
        self._set(f"CURR {plain(amps)}")

    def _get_ovp(self) -> float:
        return self._number("VOLT:PROT:LEV?")

    def _set_ovp(self, volts: float) -> None:
        self._set(f"VOLT:PROT:LEV {plain(volts)}")
        self._set("VOLT:PROT 1")

    def _get_ocp(self) -> bool:
        return self._switch("FUSE?")

    def _set_ocp(self, on: bool) -> None:
        self._set(f"FUSE {int(on)}")

    def _get_output(self) -> bool:
        return self._supply.output_is_on(self.number)

    def _set_output(self, on: bool) -> None:
        self._supply.switch_output(self.number, on)
