"""Siglent SPD3303X and SPD3303X-E: two outputs of 32 V / 3.2 A, SCPI on TCP port 5025.

| command                               | use                                                       |
|---------------------------------------|-----------------------------------------------------------|
| `CH<n>:VOLT <v>`, `CH<n>:VOLT?`       | voltage setpoint, 1 mV steps (SPD3303X-E: 10 mV)          |
| `CH<n>:CURR <a>`, `CH<n>:CURR?`       | current limit, 1 mA steps (SPD3303X-E: 10 mA)             |
| `OUTP CH<n>,ON|OFF`                   | output; it cannot be asked for                            |
| `SYST:STAT?`                          | hexadecimal: bits 0, 1: CC of CH1, CH2; bits 4, 5: on    |
| `MEAS:VOLT? CH<n>`, `MEAS:CURR? CH<n>` | measured output                                          |
| `SYST:ERR?`                           | oldest error, `0  No Error` when there is none            |

Source: Siglent SPD3303X/3303X-E Quick Start, section Remote Control: command list and status bits.

It has neither OVP nor OCP over the wire, and its third output (2.5, 3.3 or 5 V by a switch on the front)
cannot be set: neither is offered here. It loses commands that come within 10 ms of each other.
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
from bench.instruments.wire import Spacing

GAP = 0.010
"""Seconds between commands, with which none is lost."""

_STEP = 5.5e-3  # an SPD3303X-E rounds to 10 mV and 10 mA
RATINGS = ChannelRatings(Range(0, 32, _STEP), Range(0.01, 3.2, _STEP), ovp=None, ocp=False)


class SiglentSpd3303x(ScpiInstrument, PowerSupply[Transport]):
    """The driver. Every setting is followed by `SYST:ERR?` and read back."""

    models = "SPD3303X"

    def __init__(self, name: str, transport: Transport, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.spacing = Spacing(clock, GAP)
        self._channels = {n: _Channel(self, n, RATINGS) for n in (1, 2)}

    @property
    def channels(self) -> Sequence[int]:
        return tuple(self._channels)

    def _channel(self, number: int) -> SupplyChannel:
        return self._channels[number]

    def status(self) -> int:
        """The bits of `SYST:STAT?`."""
        reply = self.transport.query("SYST:STAT?")
        try:
            return int(reply, 16)
        except ValueError:
            raise self.transport.fault("SYST:STAT?", f"answered {reply!r}, no hexadecimal number") from None


class _Channel(SupplyChannel):
    def __init__(self, supply: SiglentSpd3303x, number: int, ratings: ChannelRatings) -> None:
        super().__init__(f"{supply.name}:{number}", number, ratings)
        self._supply = supply

    def measure_voltage(self) -> float:
        return self._supply.number(f"MEAS:VOLT? CH{self.number}")

    def measure_current(self) -> float:
        return self._supply.number(f"MEAS:CURR? CH{self.number}")

    @property
    def regulation(self) -> Regulation:
        status = self._supply.status()
        if not status >> 3 + self.number & 1:
            return Regulation.OFF
        return Regulation.CC if status >> self.number - 1 & 1 else Regulation.CV

    @property
    def tripped(self) -> Trip | None:
        return None  # nothing of it can trip

    def clear_protection(self) -> None:
        self.output = False

    def _get_voltage(self) -> float:
        return self._supply.number(f"CH{self.number}:VOLT?")

    def _set_voltage(self, volts: float) -> None:
        self._supply.set(f"CH{self.number}:VOLT {plain(volts)}")

    def _get_current_limit(self) -> float:
        return self._supply.number(f"CH{self.number}:CURR?")

    def _set_current_limit(self, amps: float) -> None:
        self._supply.set(f"CH{self.number}:CURR {plain(amps)}")

    def _get_ovp(self) -> float:
        raise self._lacks("OVP level")

    def _set_ovp(self, volts: float) -> None:
        raise self._lacks("OVP level")

    def _get_ocp(self) -> bool:
        raise self._lacks("over-current protection")

    def _set_ocp(self, on: bool) -> None:
        raise self._lacks("over-current protection")

    def _get_output(self) -> bool:
        return bool(self._supply.status() >> 3 + self.number & 1)

    def _set_output(self, on: bool) -> None:
        self._supply.set(f"OUTP CH{self.number},{'ON' if on else 'OFF'}")
