"""Adaura AD-USB attenuators: 0 to 95 dB in 0.25 dB steps, over HTTP or USB serial.

`http://host` speaks HTTP, one GET a command; a port name (`COM5`, `/dev/ttyACM0`) the USB serial port,
115200 baud, commands without a line end, a reply until the line is silent. Firmware 3.20 wants user and
password for HTTP (the keys `user` and `password`), firmware 1.21 does not. The commands and who else sends
them are in docs/instruments.md. The range is the last number of the model name, the paths are what STATUS
lists.

The answer to SET is not used: its wording differs between firmware versions, and an impossible value is
answered politely and not set. STATUS tells. Its Telnet port wants a login and reaches nothing more than HTTP
does: it is not offered. A RAMP of another user over HTTP holds every GET until it has ended.
"""

from __future__ import annotations

import re
from typing import Any

from bench.clock import Clock
from bench.config.address import AddressKind
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.serial_wire import SerialWire
from bench.instruments.wires.wire import Wire

STEP = 0.25
BAUD = 115200


def _wire(name: str, address: str, timeline: Any, **options: Any) -> Wire:
    if address.lower().startswith("http"):
        return HttpWire(name, address, timeline, prefix="/execute.php?", **options)
    return SerialWire(name, address, timeline, baud=BAUD, **options)


class Adaura(Attenuator[Wire]):
    """The driver."""

    wire = staticmethod(_wire)
    addresses = frozenset({AddressKind.HTTP, AddressKind.SERIAL})
    models = r"AD-USB\d+A\w*?\d+G\d+"
    outputs = tuple(map(str, range(1, 9)))

    def __init__(self, name: str, transport: Wire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.identify = self._identify

    def _identify(self) -> str:
        """Model and serial number, `AD-USB4AR36G95,R3640951074`."""
        info = dict(re.findall(r"(Model|SN): *([\w-]+)", self.transport.query("INFO")))
        return f"{info.get('Model', '')},{info.get('SN', '')}"

    def open(self) -> None:
        super().open()
        match = re.search(r"G(\d+),", self.idn)
        assert match is not None  # `models` has been checked
        range_ = AttenuationRange(0, float(match[1]), self.step or STEP)
        self._paths = {n: _Path(self, n, range_) for n in self.status()}

    def status(self) -> dict[str, float]:
        """Path -> dB, of all paths."""
        reply = self.transport.query("STATUS")
        found = re.findall(r"Channel (\d+): *([^\s<]+)", reply)
        if not found:
            raise self.transport.fault("STATUS", f"answered {reply!r}, which names no channel")
        return {name: self.transport.number("STATUS", value) for name, value in found}


class _Path(AttenuatorPath):
    def __init__(self, instrument: Adaura, name: str, range_: AttenuationRange) -> None:
        super().__init__(instrument.transport, name, range_, instrument.clock)
        self._instrument = instrument

    def _get(self) -> float:
        status = self._instrument.status()
        if self.name not in status:
            raise self._wire.fault("STATUS", f"no longer lists channel {self.name}")
        return status[self.name]

    def _set(self, db: float) -> None:
        self._wire.query(f"SET {self.name} {db:.2f}")
