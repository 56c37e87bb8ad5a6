"""Adaura AD-USB attenuators with Ethernet: four or eight paths, 0 to 95 dB in 0.25 dB steps, over HTTP.

| request                          | answer                                                              |
|----------------------------------|---------------------------------------------------------------------|
| `/execute.php?INFO`              | lines parted by `<br>`: `Model: AD-USB4AR36G95`, `SN: R3640951074`, ... |
| `/execute.php?STATUS`            | `Channel 1: 35.0<br>Channel 2: 35.0<br>...`                         |
| `/execute.php?SET+1+20.25`       | a sentence; what it did is asked with STATUS                        |

Source: Adaura Technologies R3 Series manual: SET, STATUS and INFO, their HTTP form. The range is the last
number of the model name, the number of paths is what STATUS lists.

The answer to SET is not used: its wording differs between firmware versions, and an impossible value is
answered politely and not set. STATUS tells.
"""

from __future__ import annotations

import functools
import re

from bench.clock import Clock
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.http_wire import HttpWire

STEP = 0.25


class Adaura(Attenuator[HttpWire]):
    """The driver."""

    wire = functools.partial(HttpWire, prefix="/execute.php?")
    models = r"AD-USB\d+A\w*?\d+G\d+"

    def __init__(self, name: str, transport: HttpWire, clock: Clock) -> None:
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
        range_ = AttenuationRange(0, float(match[1]), STEP)
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
        self._wire.query(f"SET+{self.name}+{db:.2f}")
