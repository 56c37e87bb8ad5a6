"""Korad KA3005P and its likes under other names: one output on a serial port, 9600 baud 8N1, no line ends.

Its commands and who confirms them: `bench/instruments/commands/korad_ka3005p.toml`. Models and their ranges:
sigrok (korad-kaxxxxp, api.c) and tenma-serial (tenmaDcLib). The likes of them whose commands end with a line
feed (TENMA 72-13320, 72-13330 and 72-13360, Korad KWR) are not among them, nor Korad's KD series, nor those
with two outputs.

`*IDN?` is answered by maker, model and firmware, with or without spaces, and sometimes by a stray byte or a
serial number behind. It reports no errors at all: a command it does not know is silence. So every setting is
read back. Its OVP has no level of its own, so none is offered. When its OCP trips it only switches the output
off; that is told by the output being off though it was switched on.

`STATUS?` is one raw byte. Bit 0 (CV, else CC) and bit 6 (output on) are alike everywhere. OCP is bit 5 on a
Korad (sigrok), which others call the lock of the keys, bit 7 on a TENMA 72-2540 (koradctl), bit 4 and
inverted on some with firmware 5 (pyka3005p). So the bit is found out when OCP is first set: it is the one
that follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.clock import Clock
from bench.config.address import AddressKind
from bench.errors import InstrumentError
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
"""Seconds between commands, with which none is lost: sigrok's, where koradctl takes 50 ms."""


def _rated(volts: float, amps: float) -> ChannelRatings:
    return ChannelRatings(Range(0, volts, 5.5e-3), Range(0, amps, 5.5e-4), ovp=None)


MODELS = {
    r"KORAD ?KA3005P": _rated(31, 5.1),
    r"VELLEMAN(LAB)?PS3005D": _rated(31, 5.1),
    r"RND 320-K[AD]3005P": _rated(31, 5.1),
    r"S-LS-31 ": _rated(31, 5.1),
    r"TENMA ?72-2540": _rated(31, 5.1),
    r"TENMA ?72-2710": _rated(30, 5),
    r"TENMA ?72-2535": _rated(30, 3),
    r"TENMA ?72-2705": _rated(31, 3.1),
    r"TENMA ?72-2545": _rated(60, 2),
    r"TENMA ?72-2550": _rated(60, 3),
    r"KORAD ?KA6003P": _rated(60, 3),
}
"""Pattern that `*IDN?` begins with -> ranges, the smaller where the sources differ."""

_CV, _ON = 1 << 0, 1 << 6
_OCP_ANYWHERE = 1 << 4 | 1 << 5 | 1 << 7


@dataclass(frozen=True, slots=True)
class OcpBits:
    """How the status tells of OCP: these bits have this value when it is on. No bits: not at all."""

    bits: int
    on: int


class KoradKa3005p(PowerSupply[SerialWire]):
    """The driver."""

    wire = SerialWire
    addresses = frozenset({AddressKind.SERIAL})
    models = f"^({'|'.join(MODELS)})"
    outputs = ("1",)

    def __init__(self, name: str, transport: SerialWire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.spacing = Spacing(clock, GAP)
        transport.identify = self._identify

    def open(self) -> None:
        super().open()
        rating = next(r for pattern, r in MODELS.items() if re.match(pattern, self.idn, re.IGNORECASE))
        self._channels = {1: _Channel(self.name, self.transport, rating)}

    def _identify(self) -> str:
        """Without what some units send behind it: NUL, 01 or BC (sigrok, koradctl)."""
        return re.sub(r"[^ -~]", "", self.transport.query("*IDN?"))


class _Channel(SupplyChannel):
    def __init__(self, name: str, wire: SerialWire, ratings: ChannelRatings) -> None:
        super().__init__(f"{name}:1", 1, ratings)
        self._wire = wire
        self._switched_on = False
        self._ocp_bits: OcpBits | None = None
        self._ocp: bool | None = None
        """As it was set last; None before that."""

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
        fell = self._switched_on and self._ocp and not self._status() & _ON
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
        if self._ocp_bits is None or not self._ocp_bits.bits:
            if self._ocp is None:
                raise InstrumentError(
                    f"{self.name}: whether OCP is on cannot be told before it has been set once",
                    help="set `ocp` first: its bit of the status differs between makers",
                )
            return self._ocp
        return self._status() & self._ocp_bits.bits == self._ocp_bits.on

    def _set_ocp(self, on: bool) -> None:
        if self._ocp_bits is None and (on or not self._status() & _ON):  # else it might trip
            self._ocp_bits = self._find_ocp(on)
        else:
            self._put_ocp(on)
        if on and self._ocp_bits is not None and not self._ocp_bits.bits:
            raise InstrumentError(
                f"{self.name}: OCP was switched on, but no bit of STATUS? tells so",
                help="whether this unit guards the board is unknown: set ocp = false in [supply] of the "
                "board file, or use another supply",
            )

    def _find_ocp(self, on: bool) -> OcpBits:
        self._put_ocp(not on)
        without = self._status()
        self._put_ocp(on)
        bits = (without ^ (now := self._status())) & _OCP_ANYWHERE
        return OcpBits(bits, (now if on else without) & bits)

    def _put_ocp(self, on: bool) -> None:
        self._wire.write(f"OCP{int(on)}")
        self._ocp = on

    def _get_output(self) -> bool:
        return bool(self._status() & _ON)

    def _set_output(self, on: bool) -> None:
        self._switched_on = False
        self._wire.write(f"OUT{int(on)}")
        self._switched_on = on
