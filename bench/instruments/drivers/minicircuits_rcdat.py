"""Mini-Circuits programmable attenuators: RCDAT and RUDAT with one path, RC2DAT, RC4DAT and RC8DAT.

`http://host` speaks HTTP, one GET a command; `TCPIP::host::23::SOCKET` speaks Telnet, lines ended by CRLF;
`ASRL<port>::INSTR` speaks RS-232 (RUDAT), 9600 baud, lines ended by CR. Their USB port is a HID device: not
offered. The commands and who else sends them are in docs/instruments.md.

The model name tells paths and range: `RC4DAT-6G-95` has four paths to 95 dB. It does not tell the steps:
they are 0.25 dB but for the models in `STEPS`, and for what `step` in the bench file says.

A value beyond the range is clipped and only the reply 2 says so; that is an error here. A sequence that an
earlier user left running (hop, sweep) would change the attenuation behind the bench's back: it is switched
off at opening, whatever the answer to that is, since firmware without sequences does not know the command.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from bench.clock import Clock
from bench.config.address import AddressKind
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.wires.http_wire import HttpWire
from bench.instruments.wires.lenient_lines import LenientLines
from bench.instruments.wires.wire import Wire

STEP = 0.25
STEPS: Mapping[str, float] = {"R[CU]DAT-3000-(50|60)": 0.5}
"""Model -> dB. Mini-Circuits, "Programming Instruction of using RS232/USB Digital Step Attenuator", 4."""

REFUSALS = {"0": "refused it", "2": "clipped it to its range"}


class _Web(HttpWire):
    """A password goes in front of the command."""

    def _path_of(self, command: str) -> str:
        path = super()._path_of(command)
        if self._password is None:
            return path
        return f"/PWD={urllib.parse.quote(self._password, safe='')};{path.removeprefix('/')}"

    def _headers(self) -> dict[str, str]:
        return {"Connection": "close"}


def _wire(name: str, address: str, timeline: Any, **options: Any) -> Wire:
    if address.lower().startswith("http"):
        return _Web(name, address, timeline, **options)
    ending = "\r" if address.upper().startswith("ASRL") else "\r\n"
    return LenientLines(name, address, timeline, ending=ending, **options)


class MiniCircuitsRcdat(Attenuator[Wire]):
    """The driver."""

    wire = staticmethod(_wire)
    addresses = frozenset({AddressKind.HTTP, AddressKind.VISA})
    models = r"R[CU]\d?DAT-\w+-\d+"
    outputs = tuple(map(str, range(1, 9)))

    def __init__(self, name: str, transport: Wire, clock: Clock) -> None:
        super().__init__(name, transport, clock)
        transport.identify = self._identify

    def _identify(self) -> str:
        """Model and serial number, `RCDAT-6000-110,11810150042`."""
        model = self.transport.query(":MN?").strip().removeprefix("MN=")
        serial = self.transport.query(":SN?").strip().removeprefix("SN=")
        return f"{model},{serial}"

    def take_over(self) -> None:
        """End a sequence of attenuations that an earlier user has left running."""
        for kind in ("HOP", "SWEEP"):
            self.transport.query(f":{kind}:MODE:OFF")

    def open(self) -> None:
        super().open()
        match = re.search(r"R[CU](\d?)DAT-\w+-(\d+)", self.idn, re.IGNORECASE)
        assert match is not None  # `models` has been checked
        known = (step for model, step in STEPS.items() if re.match(model, self.idn, re.IGNORECASE))
        range_ = AttenuationRange(0, float(match[2]), self.step or next(known, STEP))
        several = bool(match[1])
        names = [str(n + 1) for n in range(int(match[1] or 1))]
        self._paths = {n: _Path(self.transport, n, range_, self.clock, several=several) for n in names}


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
