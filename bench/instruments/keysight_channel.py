"""What the channels of Keysight's supplies have in common: SCPI with a channel list, `VOLT 3.7,(@1)`."""

from __future__ import annotations

from abc import abstractmethod

from bench.instruments.power_supply import ChannelRatings, Regulation, SupplyChannel, Trip
from bench.instruments.scpi import ScpiInstrument, plain


class KeysightChannel(SupplyChannel):
    """`current_limit_command` is what the model calls its current limit."""

    current_limit_command = "CURR"

    def __init__(self, supply: ScpiInstrument, number: int, ratings: ChannelRatings) -> None:
        super().__init__(f"{supply.name}:{number}", number, ratings)
        self._supply = supply

    def _number(self, query: str) -> float:
        return self._supply.number(f"{query} (@{self.number})")

    def _switch(self, query: str) -> bool:
        return self._supply.switch(f"{query} (@{self.number})")

    def _set(self, command: str) -> None:
        self._supply.set(f"{command},(@{self.number})")

    def measure_voltage(self) -> float:
        return self._number("MEAS:VOLT?")

    def measure_current(self) -> float:
        return self._number("MEAS:CURR?")

    @property
    @abstractmethod
    def regulation(self) -> Regulation: ...

    @property
    @abstractmethod
    def tripped(self) -> Trip | None: ...

    def _unlatch(self, *commands: str) -> None:
        """Clear by these commands. Clearing restores the output's earlier state, so it goes off first."""
        self.output = False
        for command in commands:
            self._supply.set(f"{command} (@{self.number})")
        if (trip := self.tripped) is not None:
            raise self._supply.transport.fault(commands[0], f"{trip.value} protection stays latched")

    def _get_voltage(self) -> float:
        return self._number("VOLT?")

    def _set_voltage(self, volts: float) -> None:
        self._set(f"VOLT {plain(volts)}")

    def _get_current_limit(self) -> float:
        return self._number(f"{self.current_limit_command}?")

    def _set_current_limit(self, amps: float) -> None:
        self._set(f"{self.current_limit_command} {plain(amps)}")

    def _get_ovp(self) -> float:
        return self._number("VOLT:PROT?")

    def _set_ovp(self, volts: float) -> None:
        self._set(f"VOLT:PROT {plain(volts)}")

    def _get_ocp(self) -> bool:
        return self._switch("CURR:PROT:STAT?")

    def _set_ocp(self, on: bool) -> None:
        self._set(f"CURR:PROT:STAT {int(on)}")

    def _get_output(self) -> bool:
        return self._switch("OUTP?")

    def _set_output(self, on: bool) -> None:
        self._set(f"OUTP {int(on)}")
