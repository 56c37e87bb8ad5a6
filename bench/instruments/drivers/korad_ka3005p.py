"""Korad KA3005P: one output of 30 V / 5 A on a serial port, 9600 baud 8N1, no line ends either way.

| command         | reply                     | use                                                       |
|-----------------|---------------------------|-----------------------------------------------------------|
| `*IDN?`         | `KORADKA3005PV2.0` or so  | until the line is silent                                  |
| `VSET1:03.70`   | none                      | voltage setpoint                                          |
| `VSET1?`        | 5 characters, `03.70`     |                                                           |
| `ISET1:0.500`   | none                      | current limit                                             |
| `ISET1?`        | 5 characters, `0.500`     | some firmware sends a sixth byte: thrown away             |
| `VOUT1?`, `IOUT1?` | 5 characters           | measured output                                           |
| `OUT1`, `OUT0`  | none                      | output on, off                                            |
| `OCP1`, `OCP0`  | none                      | over-current protection on, off                           |
| `STATUS?`       | 1 raw byte                | bit 0: CV (else CC), bit 5: OCP is on, bit 6: output is on |

Source: Korad KA series user manual, remote control; status bits as sigrok's driver korad-kaxxxxp reads
them from real devices (the manual differs).

It reports no errors at all: a command it does not know is silence. So every setting is read back. It
needs 80 ms between commands. Its OVP has no level of its own, so none is offered. When its OCP trips it
only switches the output off; that is told by the output being off though it was switched on.
"""

from __future__ import annotations

import re

from bench.clock import Clock
from bench.instruments.power_supply import (
    ChannelRatings,
    PowerSupply,
    Range,
    Regulation,
    SupplyChannel,
    Trip,
)
from bench.instruments.wires.serial_wire import SerialWire
from bench.instruments.wires.wire import Spacing

GAP = 0.080
"""Seconds between commands, with which none is lost."""

RATINGS = ChannelRatings(Range(0, 31, 5.5e-3), Range(0, 5.1, 5.5e-4), ovp=None)

_CV, _OCP, _ON = 1 << 0, 1 << 5, 1 << 6


class KoradKa3005p(PowerSupply[SerialWire]):
    """The driver."""

    wire = SerialWire
    models = "KA3005P"

    def __init__(self, name: str, transport: SerialWire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.spacing = Spacing(clock, GAP)
        self._channels = {1: _Channel(name, transport)}


class _Channel(SupplyChannel):
    def __init__(self, name: str, wire: SerialWire) -> None:
        super().__init__(f"{name}:1", 1, RATINGS)
        self._wire = wire
        self._switched_on = False

    def _number(self, query: str) -> float:
        reply = self._wire.query_bytes(query, 5).decode("latin-1")
        if re.fullmatch(r"\d+\.\d+", reply) is None:
            raise self._wire.fault(query, f"answered {reply!r}, which is not a number")
        return self._wire.number(query, reply)

    def _status(self) -> int:
        return self._wire.query_bytes("STATUS?", 1)[0]

    def measure_voltage(self) -> float:
        return self._number("VOUT1?")

    def measure_current(self) -> float:
        return self._number("IOUT1?")

    @property
    def regulation(self) -> Regulation:
        status = self._status()
        if not status & _ON:
            return Regulation.OFF
        return Regulation.CV if status & _CV else Regulation.CC

    @property
    def tripped(self) -> Trip | None:
        status = self._status()
        fell = self._switched_on and status & _OCP and not status & _ON
        return Trip.OVER_CURRENT if fell else None

    def _get_voltage(self) -> float:
        return self._number("VSET1?")

    def _set_voltage(self, volts: float) -> None:
        self._wire.write(f"VSET1:{volts:05.2f}")

    def _get_current_limit(self) -> float:
        return self._number("ISET1?")

    def _set_current_limit(self, amps: float) -> None:
        self._wire.write(f"ISET1:{amps:05.3f}")

    def _get_ocp(self) -> bool:
        return bool(self._status() & _OCP)

    def _set_ocp(self, on: bool) -> None:
        self._wire.write(f"OCP{int(on)}")

    def _get_output(self) -> bool:
        return bool(self._status() & _ON)

    def _set_output(self, on: bool) -> None:
        self._switched_on = False
        self._wire.write(f"OUT{int(on)}")
        self._switched_on = on
