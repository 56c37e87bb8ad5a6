"""Mini-Circuits RCDAT (one path) and RC4DAT (four), over HTTP or Telnet.

`http://host` speaks HTTP, one GET a command; `TCPIP::host::23::SOCKET` speaks Telnet, lines ended by CRLF.

| command                | reply                        | use                                          |
|------------------------|------------------------------|----------------------------------------------|
| `:MN?`                 | `MN=RCDAT-6000-110`          | model: paths, MHz, largest attenuation in dB |
| `:SN?`                 | `SN=11810150042`             | serial number                                |
| `:SETATT=12.25`        | 1 done, 0 refused, 2 clipped | RCDAT: set                                   |
| `:ATT?`                | `12.25`                      | RCDAT: read                                  |
| `:CHAN:2:SETATT:12.25` | as above                     | RC4DAT: set path 2                           |
| `:CHAN:2:ATT?`         | `12.25`                      | RC4DAT: read path 2                          |

Source: Mini-Circuits Programming Manual for programmable attenuators: SCPI commands, Ethernet control
over HTTP and over Telnet.

A value beyond the range is clipped and only the reply 2 says so; that is an error here. A Telnet
connection may begin with an empty line, which is thrown away.
"""

from __future__ import annotations

import re
from typing import Any

from bench.clock import Clock
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.transport import Transport
from bench.instruments.wires.wire import Wire

STEP = 0.25
GREETING = 0.1
"""Wall seconds to wait for what a Telnet connection says at first."""

REFUSALS = {"0": "refused it", "2": "clipped it to its range"}


def _wire(name: str, address: str, timeline: Any, **options: Any) -> Wire:
    if address.startswith("http"):
        return HttpWire(name, address, timeline, **options)
    return Transport(name, address, timeline, ending="\r\n", greeting=GREETING, **options)


class MiniCircuitsRcdat(Attenuator[Wire]):
    """The driver."""

    wire = staticmethod(_wire)
    models = r"RC4?DAT-\w+-\d+"
    outputs = ("1", "2", "3", "4")

    def __init__(self, name: str, transport: Wire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.identify = self._identify

    def _identify(self) -> str:
        """Model and serial number, `RCDAT-6000-110,11810150042`."""
        model = self.transport.query(":MN?").strip().removeprefix("MN=")
        serial = self.transport.query(":SN?").strip().removeprefix("SN=")
        return f"{model},{serial}"

    def open(self) -> None:
        super().open()
        match = re.search(r"RC(4?)DAT-\w+-(\d+)", self.idn, re.IGNORECASE)
        assert match is not None  # `models` has been checked
        range_ = AttenuationRange(0, float(match[2]), STEP)
        names = ("1", "2", "3", "4") if match[1] else ("1",)
        self._paths = {n: _Path(self.transport, n, range_, self.clock, several=bool(match[1])) for n in names}


class _Path(AttenuatorPath):
    def __init__(
        self, wire: Wire, name: str, range_: AttenuationRange, clock: Clock, *, several: bool
    ) -> None:
        super().__init__(wire, name, range_, clock)
        self._prefix = f":CHAN:{name}" if several else ""
        self._assign = ":" if several else "="

    def _get(self) -> float:
        return self._wire.query_number(f"{self._prefix}:ATT?")

    def _set(self, db: float) -> None:
        command = f"{self._prefix}:SETATT{self._assign}{db:.2f}"
        reply = self._wire.query(command).strip()
        if reply != "1":
            raise self._wire.fault(command, REFUSALS.get(reply, f"answered {reply!r}"))
