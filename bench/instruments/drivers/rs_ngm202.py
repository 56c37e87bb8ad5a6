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

from bench.clock import Clock
from bench.instruments.drivers.rs_fastlog import FastLogMeter
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument
from bench.instruments.scpi_channel import REGULATIONS, Phrases, ScpiChannel, Setting
from bench.instruments.wires.transport import Transport

_STEP = 1.1e-3

MODELS = {
    "NGM202": (1, 2),
    "NGM201": (1,),
    "NGU201": (1,),
}
"""Model -> its outputs."""

AMPERES = {"NGM202": 6.0, "NGM201": 6.0, "NGU201": 8.0}


class RsNgm202(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back.

    `meter` is the FastLog of an output: up to 500,000 samples of current and voltage a second.
    """

    models = "Rohde.*NG(M20[12]|U201)"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._on: set[int] = set()

    def open(self) -> None:
        super().open()
        model = next(m for m in MODELS if m in self.idn)
        amps = AMPERES[model]
        ratings = ChannelRatings(Range(0, 20.05, _STEP), Range(0.001, amps + 0.01, _STEP), Range(0, 21, 0.05))
        self._channels = {n: _Channel(self, n, ratings) for n in MODELS[model]}
        self._meters = {n: FastLogMeter(f"{self.name}:{n}", n, self, self.clock, amps) for n in MODELS[model]}

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


def _selected(put: str, ask: str) -> Setting:
    return Setting((f"INST OUT{{n}};:{put}",), f"INST OUT{{n}};:{ask}")


class _Channel(ScpiChannel):
    phrases = Phrases(
        voltage=_selected("VOLT {value}", "VOLT?"),
        current_limit=_selected("CURR {value}", "CURR?"),
        output=_selected("OUTP:SEL {value}", "OUTP:SEL?"),
        measured_voltage="INST OUT{n};:MEAS:VOLT?",
        measured_current="INST OUT{n};:MEAS:CURR?",
        ovp=Setting(
            ("INST OUT{n};:VOLT:PROT:LEV {value}", "INST OUT{n};:VOLT:PROT 1"),
            "INST OUT{n};:VOLT:PROT:LEV?",
        ),
        ocp=_selected("FUSE {value}", "FUSE?"),
        clear=("INST OUT{n};:VOLT:PROT:CLE", "INST OUT{n};:FUSE:TRIP:CLE"),
    )
    _supply: RsNgm202

    @property
    def regulation(self) -> Regulation:
        if not self._get_output():
            return Regulation.OFF
        return REGULATIONS[int(self._number("STAT:QUES:INST:ISUM{n}:COND?")) & 3]

    @property
    def tripped(self) -> Trip | None:
        if self._switch("INST OUT{n};:VOLT:PROT:TRIP?"):
            return Trip.OVER_VOLTAGE
        return Trip.OVER_CURRENT if self._switch("INST OUT{n};:FUSE:TRIP?") else None

    def _get_output(self) -> bool:
        return self._supply.output_is_on(self.number)

    def _set_output(self, on: bool) -> None:
        self._supply.switch_output(self.number, on)
