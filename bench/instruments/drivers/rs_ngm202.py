"""Rohde & Schwarz NGM202 (two outputs) and NGU201 (one): 20 V / 6 A and 20 V / 8 A, SCPI on TCP port 5025.

Its commands and who confirms them: `bench/instruments/commands/rs_ngm202.toml`; FastLog: `rs_fastlog`.
Ranges: the data sheets.

The main switch is common to all outputs, so switching on one would power another that an earlier user had
left selected. Before it goes on, every output that this driver has not switched on is deselected.
"""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.drivers.rs_fastlog import FastLogMeter
from bench.instruments.leftovers import Leftover, each, set_back
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


def _left(what: str, header: str, plain: tuple[str, ...], put: str, *, certain: bool = False) -> Leftover:
    at = "INST OUT{n};:"
    return Leftover(what, (f"{at}{header}?",), plain, (f"{at}{header} {put}",), certain=certain)


TRACKING = Leftover(
    "outputs that track each other",
    ("TRAC:ENAB:GEN?",),
    ("0",),
    ("TRAC:ENAB:GEN 0",),
    certain=False,
)
MODES = (
    _left("arbitrary waveform", "ARB:STAT", ("0",), "0", certain=True),
    _left("slow slope at the switch", "VOLT:RAMP:STAT", ("0",), "0", certain=True),
    _left("delay before it goes on", "OUTP:DEL:STAT", ("0",), "0"),
    _left("sinking current only", "OUTP:MODE", ("AUTO", "SOUR", "SOURCE"), "AUTO"),
    _left("output resistance", "OUTP:IMP:STAT", ("0",), "0"),
    _left("remote sensing", "VOLT:SENS:SOUR", ("AUTO", "INT"), "AUTO"),
    _left("switching by a trigger", "OUTP:TRIG:STAT", ("0",), "0"),
    _left("battery simulation", "BATT:SIM:ENAB", ("0",), "0"),
)
"""What an earlier user may have left, on both outputs and on each. R&S's driver, which confirms them, is for
several series and does not say which of them has what: only waveform and ramp are sure."""


class RsNgm202(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back.

    `meter` is the FastLog of an output: up to 500,000 samples of current and voltage a second.
    """

    models = "Rohde.*NG(M20[12]|U201)"
    outputs = ("1", "2")

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

    def take_over(self) -> None:
        tied = [TRACKING] if len(self.channels) > 1 else []
        set_back(self, [*tied, *each(self.channels, MODES)])

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
        return REGULATIONS[self._condition() & 3]

    @property
    def tripped(self) -> Trip | None:
        if self._switch("INST OUT{n};:VOLT:PROT:TRIP?"):
            return Trip.OVER_VOLTAGE
        if self._switch("INST OUT{n};:FUSE:TRIP?"):
            return Trip.OVER_CURRENT
        return Trip.OVER_TEMPERATURE if self._condition() & 1 << 4 else None

    def _condition(self) -> int:
        return int(self._number("STAT:QUES:INST:ISUM{n}:COND?"))

    def _get_output(self) -> bool:
        return self._supply.output_is_on(self.number)

    def _set_output(self, on: bool) -> None:
        self._supply.switch_output(self.number, on)
