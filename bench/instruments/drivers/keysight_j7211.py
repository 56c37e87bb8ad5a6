"""Keysight J7211A, B and C attenuation control units: one path, 0 to 120 dB (C: 100 dB) in 1 dB steps.

Commands and replies end with CR; a line feed after it is ignored. The commands and who else sends them are
in docs/instruments.md; the ranges are those of QCoDeS's contributed driver, which was run against a J7211B.
Another project sets up to 121 dB; the last dB is not offered.

It reports no errors, so only the read-back tells that a setting was taken. Relative attenuation, which an
earlier user may have left on, would shift every value: it is switched off at opening.
"""

from __future__ import annotations

import functools

from bench.clock import Clock
from bench.instruments.attenuator import AttenuationRange, Attenuator, AttenuatorPath
from bench.instruments.wires.lenient_lines import LenientLines

HIGHEST = {"J7211A": 120.0, "J7211B": 120.0, "J7211C": 100.0}
RELATIVE = "ATT:REL:STAT"


class KeysightJ7211(Attenuator[LenientLines]):
    """The driver."""

    wire = functools.partial(LenientLines, ending="\r")
    models = "J7211[ABC]"
    outputs = ("1",)

    def open(self) -> None:
        super().open()
        high = next(db for model, db in HIGHEST.items() if model in self.idn.upper())
        self._paths = {"1": _Path(self.transport, AttenuationRange(0, high, self.step or 1), self.clock)}

    def take_over(self) -> None:
        """Switch off relative attenuation that an earlier user has left on."""
        if not self._relative():
            return
        self.transport.write(f"{RELATIVE} 0")
        self.transport.record("mode", "relative attenuation was left on: it is switched off")
        if self._relative():
            raise self.transport.fault(
                f"{RELATIVE} 0", "relative attenuation stays on", help="switch it off at its front panel"
            )

    def _relative(self) -> bool:
        reply = self.transport.query(f"{RELATIVE}?").strip().upper()
        return reply not in ("0", "+0", "OFF")


class _Path(AttenuatorPath):
    _wire: LenientLines

    def __init__(self, wire: LenientLines, range_: AttenuationRange, clock: Clock) -> None:
        super().__init__(wire, "1", range_, clock)

    def _get(self) -> float:
        return self._wire.query_number("ATT?")

    def _set(self, db: float) -> None:
        self._wire.write(f"ATT {round(db):03d}")
