"""A DC power supply in the field's terms. Drivers fill in the wire; limits and read-back are checked here."""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.clock import Clock
from bench.errors import InstrumentError
from bench.instruments.current_meter import CurrentMeter
from bench.instruments.instrument import Instrument, W
from bench.instruments.readback_meter import ReadbackMeter


class Regulation(enum.Enum):
    """What the output holds constant."""

    OFF = "OFF"
    CV = "CV"
    CC = "CC"
    UNREGULATED = "UR"


class Trip(enum.Enum):
    """Which protection has latched the output off."""

    OVER_VOLTAGE = "over-voltage"
    OVER_CURRENT = "over-current"
    OVER_TEMPERATURE = "over-temperature"
    INHIBITED = "inhibit input"
    OSCILLATION = "oscillation"
    MAINS = "mains failure"
    ELSEWHERE = "watchdog or another output's"


class OffReadback(enum.Enum):
    """What a supply's voltage read-back shows while its output is off."""

    TERMINALS = "the voltage at its terminals"
    OWN = "its own voltage, whatever lies at its terminals"
    UNCONFIRMED = "what no source says"


@dataclass(frozen=True, slots=True)
class Range:
    """What may be set, in volts or amperes, and how finely: `resolution` is the read-back tolerance."""

    low: float
    high: float
    resolution: float


@dataclass(frozen=True, slots=True)
class ChannelRatings:
    """One output's ranges. Where the supply has no settable OVP, `ovp` is None; `ocp` likewise says no."""

    voltage: Range
    current_limit: Range
    ovp: Range | None
    ocp: bool = True


class SupplyChannel(ABC):
    """One output. Volts, amperes, booleans.

    Setters raise `InstrumentError` before anything is sent when the value is not a number or out of
    range, and afterwards when the instrument reports an error or reads back something else.
    """

    off_readback: ClassVar[OffReadback] = OffReadback.UNCONFIRMED
    """By the maker's manual or somebody's observation, named where a driver says so."""

    def __init__(self, name: str, number: int, ratings: ChannelRatings) -> None:
        self.name = name
        self.number = number
        self.ratings = ratings
        self._forbidden: InstrumentError | None = None

    def forbid(self, why: InstrumentError) -> None:
        """From now on the output cannot be switched on; trying raises `why`. From any thread."""
        self._forbidden = why

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # ---- settings

    @property
    def voltage(self) -> float:
        """The voltage setpoint in volts."""
        return self._get_voltage()

    @voltage.setter
    def voltage(self, volts: float) -> None:
        self._check("voltage", volts, self.ratings.voltage, "V")
        self._set_voltage(volts)
        self._compare("voltage", volts, self._get_voltage(), self.ratings.voltage, "V")

    @property
    def current_limit(self) -> float:
        """The current limit in amperes: at it, the output goes from CV to CC."""
        return self._get_current_limit()

    @current_limit.setter
    def current_limit(self, amps: float) -> None:
        self._check("current limit", amps, self.ratings.current_limit, "A")
        self._set_current_limit(amps)
        self._compare("current limit", amps, self._get_current_limit(), self.ratings.current_limit, "A")

    @property
    def ovp(self) -> float:
        """The over-voltage protection level in volts: above it the output latches off."""
        self._ovp_range()
        return self._get_ovp()

    @ovp.setter
    def ovp(self, volts: float) -> None:
        range_ = self._ovp_range()
        self._check("OVP", volts, range_, "V")
        self._set_ovp(volts)
        self._compare("OVP", volts, self._get_ovp(), range_, "V")

    def _ovp_range(self) -> Range:
        if self.ratings.ovp is None:
            raise self._lacks("OVP level")
        return self.ratings.ovp

    @property
    def ocp(self) -> bool:
        """Over-current protection: whether reaching the current limit latches the output off."""
        if not self.ratings.ocp:
            raise self._lacks("over-current protection")
        return self._get_ocp()

    @ocp.setter
    def ocp(self, on: bool) -> None:
        if not self.ratings.ocp:
            raise self._lacks("over-current protection")
        self._set_ocp(on)
        self._compare_switch("OCP", on, self._get_ocp())

    @property
    def output(self) -> bool:
        """Whether the output is switched on. A tripped output may still say so: see `tripped`.

        Switching on raises what `forbid` was given.
        """
        return self._get_output()

    @output.setter
    def output(self, on: bool) -> None:
        if on and self._forbidden is not None:
            raise self._forbidden
        self._set_output(on)
        self._compare_switch("output", on, self._get_output())

    # ---- readings

    @abstractmethod
    def measure_voltage(self) -> float:
        """Volts at the output terminals, measured now."""

    @abstractmethod
    def measure_current(self) -> float:
        """Amperes out of the output, measured now."""

    @property
    @abstractmethod
    def regulation(self) -> Regulation: ...

    @property
    @abstractmethod
    def tripped(self) -> Trip | None:
        """The protection that has latched the output off, or None."""

    @property
    def discharges_when_off(self) -> bool | None:
        """Whether the output pulls its rail down when it goes off; None where its maker does not say.

        Where it does not, capacitors at the board, or what feeds back into it, keep the board alive.
        """
        return None

    def clear_protection(self) -> None:
        """Unlatch a trip; the output is left switched off. Raises `InstrumentError` if it stays latched."""
        self.output = False

    # ---- the wire

    @abstractmethod
    def _get_voltage(self) -> float: ...
    @abstractmethod
    def _set_voltage(self, volts: float) -> None: ...
    @abstractmethod
    def _get_current_limit(self) -> float: ...
    @abstractmethod
    def _set_current_limit(self, amps: float) -> None: ...
    @abstractmethod
    def _get_output(self) -> bool: ...
    @abstractmethod
    def _set_output(self, on: bool) -> None: ...

    # where `ratings` say that there is such a protection, a driver has these too

    def _get_ovp(self) -> float:
        raise self._lacks("OVP level")

    def _set_ovp(self, volts: float) -> None:
        raise self._lacks("OVP level")

    def _get_ocp(self) -> bool:
        raise self._lacks("over-current protection")

    def _set_ocp(self, on: bool) -> None:
        raise self._lacks("over-current protection")

    # ---- checks

    def _lacks(self, what: str) -> InstrumentError:
        return InstrumentError(
            f"{self.name}: this output has no {what} that can be set",
            help="nothing was sent; use another supply where a board must be guarded like that",
        )

    def _check(self, what: str, value: float, range_: Range, unit: str) -> None:
        if math.isfinite(value) and range_.low <= value <= range_.high:
            return
        raise InstrumentError(
            f"{self.name}: {what} {value:g} {unit} is outside {range_.low:g} to {range_.high:g} {unit}",
            help="nothing was sent; correct the value, or use an output that can do it",
        )

    def _compare(self, what: str, wanted: float, read: float, range_: Range, unit: str) -> None:
        if abs(read - wanted) > range_.resolution:
            raise self._differs(what, f"{wanted:g} {unit}", f"{read:g} {unit}")

    def _compare_switch(self, what: str, wanted: bool, read: bool) -> None:
        if read != wanted:
            raise self._differs(what, "on" if wanted else "off", "on" if read else "off")

    def _differs(self, what: str, wanted: str, read: str) -> InstrumentError:
        return InstrumentError(
            f"{self.name}: {what} was set to {wanted}, but reads back {read}",
            help="check that no other program or front-panel user changes it, and that the driver fits",
        )


class PowerSupply(Instrument[W]):
    """A supply with numbered outputs. A driver fills `_channels`, and `_meters` where an output has one."""

    def __init__(self, name: str, transport: W, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        self._channels: Mapping[int, SupplyChannel] = {}
        self._meters: Mapping[int, CurrentMeter] = {}

    @property
    def channels(self) -> Sequence[int]:
        """The outputs' numbers."""
        return tuple(self._channels)

    def channel(self, number: int) -> SupplyChannel:
        """One output. Raises `InstrumentError` when there is none of that number."""
        if number not in self.channels:
            raise InstrumentError(
                f"{self.name}: no channel {number}; it has {', '.join(map(str, self.channels))}",
                help="correct `supply` in the bench file",
            )
        return self._channels[number]

    def switch_off(self, numbers: Iterable[int] | None = None) -> None:
        """These outputs off, or every one. Each is tried; then the first fault is raised."""
        faults: list[InstrumentError] = []
        for number in self.channels if numbers is None else numbers:
            try:
                self.channel(number).output = False
            except InstrumentError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def meter(self, number: int) -> CurrentMeter:
        """What measures an output's current over time: without anything better its own read-back."""
        self.channel(number)
        return self._meters[number] if number in self._meters else self.readback(number)

    def readback(self, number: int) -> CurrentMeter:
        """The output's own measurement, asked again and again: the poorest choice, and always there."""
        channel = self.channel(number)
        return ReadbackMeter(channel.name, channel, self.clock, self.transport.spacing)
