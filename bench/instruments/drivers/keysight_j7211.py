"""Keysight J7211A, B and C attenuation control units: one path, 0 to 120 dB (C: 100 dB) in 1 dB steps.

| command      | reply                          | use                                                     |
|--------------|--------------------------------|---------------------------------------------------------|
| `*IDN?`      | `Agilent Technologies,J7211A,` and serial number | model                                 |
| `ATT 045`    | none                           | set, three digits                                       |
| `ATT?`       | `45`                           | read                                                    |

Commands and replies end with CR. Source: Keysight J7211A/B/C Operating and Service Manual, remote
operation; the C model's range: QCoDeS's contributed driver, run against the instrument.

It reports no errors, so only the read-back tells that a setting was taken.
"""

from __future__ import annotations

import functools

from bench.clock import Clock
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.wires.transport import Transport

HIGHEST = {"J7211A": 120.0, "J7211B": 120.0, "J7211C": 100.0}


class KeysightJ7211(Attenuator[Transport]):
    """The driver."""

    wire = functools.partial(Transport, ending="\r")
    models = "J7211[ABC]"
    outputs = ("1",)

    def open(self) -> None:
        super().open()
        high = next(db for model, db in HIGHEST.items() if model in self.idn.upper())
        self._paths = {"1": _Path(self.transport, high, self.clock)}


class _Path(AttenuatorPath):
    _wire: Transport

    def __init__(self, wire: Transport, high: float, clock: Clock) -> None:
        super().__init__(wire, "1", AttenuationRange(0, high, 1), clock)

    def _get(self) -> float:
        return self._wire.query_number("ATT?")

    def _set(self, db: float) -> None:
        self._wire.write(f"ATT {round(db):03d}")
