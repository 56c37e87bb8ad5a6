"""One output of a supply that speaks SCPI: what each model says for each setting is a table.

A phrase of the table is filled in with `{n}`, the output's number, and `{value}`: volts or amperes with at
most six decimals, or the model's words for on and off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.instruments.power_supply import ChannelRatings, Regulation, SupplyChannel
from bench.instruments.scpi import ScpiInstrument, plain

REGULATIONS = (Regulation.OFF, Regulation.CC, Regulation.CV, Regulation.UNREGULATED)
"""By bits 0 (CC) and 1 (CV) of a questionable instrument condition register, as several makers have it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How one thing is set, by one command or several in turn, and how it is asked for ("": it cannot be)."""

    put: tuple[str, ...]
    ask: str = ""


@dataclass(frozen=True, slots=True)
class Phrases:
    """One model's grammar. Without `ovp` or `ocp` the model has none; `ratings` say so too."""

    voltage: Setting
    current_limit: Setting
    output: Setting
    measured_voltage: str
    measured_current: str
    ovp: Setting | None = None
    ocp: Setting | None = None
    clear: tuple[str, ...] = ()
    off: str = "0"
    on: str = "1"


class ScpiChannel(SupplyChannel):
    """`phrases` is the model's table; what a table cannot say, a driver overrides."""

    phrases: ClassVar[Phrases]

    def __init__(self, supply: ScpiInstrument, number: int, ratings: ChannelRatings) -> None:
        super().__init__(f"{supply.name}:{number}", number, ratings)
        self._supply = supply

    def _number(self, query: str) -> float:
        return self._supply.number(query.format(n=self.number))

    def _switch(self, query: str) -> bool:
        return self._supply.switch(query.format(n=self.number))

    def _put(self, setting: Setting, value: str) -> None:
        for command in setting.put:
            self._supply.set(command.format(n=self.number, value=value))

    def _word(self, on: bool) -> str:
        return self.phrases.on if on else self.phrases.off

    def measure_voltage(self) -> float:
        return self._number(self.phrases.measured_voltage)

    def measure_current(self) -> float:
        return self._number(self.phrases.measured_current)

    def clear_protection(self) -> None:
        """Some models bring back the output that has tripped, so it goes off first."""
        super().clear_protection()
        for command in self.phrases.clear:
            self._supply.set(command.format(n=self.number))
        if (trip := self.tripped) is not None:
            raise self._supply.transport.fault(
                self.phrases.clear[0].format(n=self.number), f"{trip.value} protection stays latched"
            )

    def _get_voltage(self) -> float:
        return self._number(self.phrases.voltage.ask)

    def _set_voltage(self, volts: float) -> None:
        self._put(self.phrases.voltage, plain(volts))

    def _get_current_limit(self) -> float:
        return self._number(self.phrases.current_limit.ask)

    def _set_current_limit(self, amps: float) -> None:
        self._put(self.phrases.current_limit, plain(amps))

    def _get_ovp(self) -> float:
        return self._number(self._there(self.phrases.ovp).ask)

    def _set_ovp(self, volts: float) -> None:
        self._put(self._there(self.phrases.ovp), plain(volts))

    def _get_ocp(self) -> bool:
        return self._switch(self._there(self.phrases.ocp).ask)

    def _set_ocp(self, on: bool) -> None:
        self._put(self._there(self.phrases.ocp), self._word(on))

    def _get_output(self) -> bool:
        return self._switch(self.phrases.output.ask)

    def _set_output(self, on: bool) -> None:
        self._put(self.phrases.output, self._word(on))

    def _there(self, setting: Setting | None) -> Setting:
        if setting is None:
            raise self._lacks("protection of this kind")
        return setting
