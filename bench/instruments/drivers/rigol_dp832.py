"""Rigol DP832: three outputs, twice 30 V / 3 A and 5 V / 3 A, SCPI on TCP port 5555.

Its commands and who confirms them: `bench/instruments/commands/rigol_dp832.toml`. Ranges: DP800 User's Guide,
specifications.

Its over-current protection compares with a level of its own instead of the current limit. The level is
kept one step below the limit, so that reaching the limit trips, as `SupplyChannel.ocp` promises.
`:OUTP:MODE?` says CV of an output that is off, so that is asked first. Trips are cleared by
`:OUTP:OVP:CLEAR`: `:SOUR:VOLT:PROT:CLE` would switch on again.
"""

from __future__ import annotations

from bench.clock import Clock
from bench.instruments.leftovers import Leftover, each, set_back
from bench.instruments.power_supply import ChannelRatings, PowerSupply, Range, Regulation, Trip
from bench.instruments.scpi import ScpiInstrument, plain
from bench.instruments.scpi_channel import Phrases, ScpiChannel, Setting
from bench.instruments.wires.transport import Transport

_VOLTS = 5.5e-3  # a setpoint between two 10 mV steps is rounded
_AMPS = 5.5e-4
STEP_AMPS = 0.001

RATINGS = {
    1: ChannelRatings(Range(0, 32, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 33, _VOLTS)),
    2: ChannelRatings(Range(0, 32, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 33, _VOLTS)),
    3: ChannelRatings(Range(0, 5.3, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 5.5, _VOLTS)),
}


TRACKING = Leftover(
    "voltage that follows the other output",
    (":OUTP:TRAC? CH{n}",),
    ("OFF", "NONE"),
    (":OUTP:TRAC CH{n},OFF",),
)
TIMER = Leftover("timer that sets its voltage", (":INST:NSEL {n}", ":TIME?"), ("OFF", "0"), (":TIME OFF",))
DELAYER = Leftover(
    "delayer that switches it on and off",
    (":INST:NSEL {n}", ":DELAY?"),
    ("OFF", "0"),
    (":DELAY OFF",),
    certain=False,
)
"""What an earlier user may have left. Only outputs 1 and 2 can track each other."""


class RigolDp832(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `:SYST:ERR?` and read back."""

    models = "RIGOL.*DP832"
    outputs = tuple(map(str, RATINGS))
    error_query = ":SYST:ERR?"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._channels = {n: _Channel(self, n, ratings) for n, ratings in RATINGS.items()}

    def take_over(self) -> None:
        set_back(self, [*each((1, 2), (TRACKING,)), *each(self.channels, (TIMER, DELAYER))])


class _Channel(ScpiChannel):
    phrases = Phrases(
        voltage=Setting((":SOUR{n}:VOLT {value}",), ":SOUR{n}:VOLT?"),
        current_limit=Setting((":SOUR{n}:CURR {value}",), ":SOUR{n}:CURR?"),
        output=Setting((":OUTP CH{n},{value}",), ":OUTP? CH{n}"),
        measured_voltage=":MEAS:VOLT? CH{n}",
        measured_current=":MEAS:CURR? CH{n}",
        ovp=Setting((":OUTP:OVP:VAL CH{n},{value}", ":OUTP:OVP CH{n},ON"), ":OUTP:OVP:VAL? CH{n}"),
        ocp=Setting((":OUTP:OCP CH{n},{value}",), ":OUTP:OCP? CH{n}"),
        clear=(":OUTP:OVP:CLEAR CH{n}", ":OUTP:OCP:CLEAR CH{n}"),
        off="OFF",
        on="ON",
    )

    @property
    def regulation(self) -> Regulation:
        if not self._get_output():
            return Regulation.OFF
        query = f":OUTP:MODE? CH{self.number}"
        reply = self._supply.transport.query(query).strip().upper()
        if reply not in ("CV", "CC", "UR"):
            raise self._supply.transport.fault(query, f"answered {reply!r}, none of CV, CC, UR")
        return Regulation(reply)

    @property
    def tripped(self) -> Trip | None:
        if self._switch(":OUTP:OVP:QUES? CH{n}"):
            return Trip.OVER_VOLTAGE
        return Trip.OVER_CURRENT if self._switch(":OUTP:OCP:QUES? CH{n}") else None

    def _set_current_limit(self, amps: float) -> None:
        super()._set_current_limit(amps)
        self._set_ocp_level(amps)

    def _set_ocp_level(self, limit: float) -> None:
        self._supply.set(f":OUTP:OCP:VAL CH{self.number},{plain(limit - STEP_AMPS)}")

    def _set_ocp(self, on: bool) -> None:
        self._set_ocp_level(self._get_current_limit())
        super()._set_ocp(on)
