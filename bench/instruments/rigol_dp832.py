"""Rigol DP832: three outputs, twice 30 V / 3 A and 5 V / 3 A, SCPI on TCP port 5555.

| command                               | use                                                       |
|---------------------------------------|-----------------------------------------------------------|
| `:SOUR<n>:VOLT <v>`, `:SOUR<n>:VOLT?` | voltage setpoint, 10 mV steps (DP832A: 1 mV)              |
| `:SOUR<n>:CURR <a>`, `:SOUR<n>:CURR?` | current limit, 1 mA steps                                 |
| `:OUTP:OVP:VAL CH<n>,<v>`, `...? CH<n>` | over-voltage protection level                           |
| `:OUTP:OVP CH<n>,ON`                  | it is switched on whenever its level is set               |
| `:OUTP:OCP:VAL CH<n>,<a>`             | over-current level: a level of its own, see below         |
| `:OUTP:OCP CH<n>,ON|OFF`, `...? CH<n>` | over-current protection: ON or OFF                       |
| `:OUTP CH<n>,ON|OFF`, `:OUTP? CH<n>`  | output: ON or OFF                                         |
| `:MEAS:VOLT? CH<n>`, `:MEAS:CURR? CH<n>` | measured output                                        |
| `:OUTP:MODE? CH<n>`                   | CV, CC or UR                                              |
| `:OUTP:OVP:QUES? CH<n>`, `:OUTP:OCP:QUES? CH<n>` | YES when that protection has tripped           |
| `:OUTP:OVP:CLEAR CH<n>`, `:OUTP:OCP:CLEAR CH<n>` | unlatch                                        |
| `:SYST:ERR?`                          | oldest error, `0,"No error"` when there is none           |

Source: Rigol DP800 Programming Guide: subsystems :MEASure, :OUTPut, :SOURce, :SYSTem; ranges: DP800
User's Guide, specifications.

Its over-current protection compares with a level of its own instead of the current limit. The level is
kept one step below the limit, so that reaching the limit trips, as `SupplyChannel.ocp` promises.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.clock import Clock
from bench.instruments.power_supply import (
    ChannelRatings,
    PowerSupply,
    Range,
    Regulation,
    SupplyChannel,
    Trip,
)
from bench.instruments.scpi import ScpiInstrument, plain
from bench.instruments.transport import Transport

_VOLTS = 5.5e-3  # a setpoint between two 10 mV steps is rounded
_AMPS = 5.5e-4
STEP_AMPS = 0.001

RATINGS = {
    1: ChannelRatings(Range(0, 32, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 33, _VOLTS)),
    2: ChannelRatings(Range(0, 32, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 33, _VOLTS)),
    3: ChannelRatings(Range(0, 5.3, _VOLTS), Range(0.002, 3.2, _AMPS), Range(0.01, 5.5, _VOLTS)),
}


class RigolDp832(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `:SYST:ERR?` and read back."""

    models = "RIGOL.*DP832"
    error_query = ":SYST:ERR?"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._channels = {n: _Channel(self, n, ratings) for n, ratings in RATINGS.items()}

    @property
    def channels(self) -> Sequence[int]:
        return tuple(self._channels)

    def _channel(self, number: int) -> SupplyChannel:
        return self._channels[number]


class _Channel(SupplyChannel):
    def __init__(self, supply: RigolDp832, number: int, ratings: ChannelRatings) -> None:
        super().__init__(f"{supply.name}:{number}", number, ratings)
        self._supply = supply
        self._ch = f"CH{number}"

    def measure_voltage(self) -> float:
        return self._supply.number(f":MEAS:VOLT? {self._ch}")

    def measure_current(self) -> float:
        return self._supply.number(f":MEAS:CURR? {self._ch}")

    @property
    def regulation(self) -> Regulation:
        if not self._get_output():
            return Regulation.OFF
        query = f":OUTP:MODE? {self._ch}"
        reply = self._supply.transport.query(query).strip().upper()
        if reply not in ("CV", "CC", "UR"):
            raise self._supply.transport.fault(query, f"answered {reply!r}, none of CV, CC, UR")
        return Regulation(reply)

    @property
    def tripped(self) -> Trip | None:
        if self._supply.switch(f":OUTP:OVP:QUES? {self._ch}"):
            return Trip.OVER_VOLTAGE
        return Trip.OVER_CURRENT if self._supply.switch(f":OUTP:OCP:QUES? {self._ch}") else None

    def clear_protection(self) -> None:
        self.output = False
        self._supply.set(f":OUTP:OVP:CLEAR {self._ch}")
        self._supply.set(f":OUTP:OCP:CLEAR {self._ch}")
        if (trip := self.tripped) is not None:
            raise self._supply.transport.fault(":OUTP:...:CLEAR", f"{trip.value} protection stays latched")

    def _get_voltage(self) -> float:
        return self._supply.number(f":SOUR{self.number}:VOLT?")

    def _set_voltage(self, volts: float) -> None:
        self._supply.set(f":SOUR{self.number}:VOLT {plain(volts)}")

    def _get_current_limit(self) -> float:
        return self._supply.number(f":SOUR{self.number}:CURR?")

    def _set_current_limit(self, amps: float) -> None:
        self._supply.set(f":SOUR{self.number}:CURR {plain(amps)}")
        self._set_ocp_level(amps)

    def _set_ocp_level(self, limit: float) -> None:
        self._supply.set(f":OUTP:OCP:VAL {self._ch},{plain(limit - STEP_AMPS)}")

    def _get_ovp(self) -> float:
        return self._supply.number(f":OUTP:OVP:VAL? {self._ch}")

    def _set_ovp(self, volts: float) -> None:
        self._supply.set(f":OUTP:OVP:VAL {self._ch},{plain(volts)}")
        self._supply.set(f":OUTP:OVP {self._ch},ON")

    def _get_ocp(self) -> bool:
        return self._supply.switch(f":OUTP:OCP? {self._ch}")

    def _set_ocp(self, on: bool) -> None:
        self._set_ocp_level(self._get_current_limit())
        self._supply.set(f":OUTP:OCP {self._ch},{_on(on)}")

    def _get_output(self) -> bool:
        return self._supply.switch(f":OUTP? {self._ch}")

    def _set_output(self, on: bool) -> None:
        self._supply.set(f":OUTP {self._ch},{_on(on)}")


def _on(value: bool) -> str:
    return "ON" if value else "OFF"
