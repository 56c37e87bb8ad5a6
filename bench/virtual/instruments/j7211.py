"""A simulated Keysight J7211A on a radio path: lines ended by CR, silence for what it refuses.

Kept of the real one, as QCoDeS's contributed driver and an RF-test project's drive it: `ATT`, `ATT?` with
its sign, relative attenuation. How it counts while that is on is not known; here from where it was switched
on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.virtual.radio.path import RfPath

HIGHEST = 120


class J7211:
    """`paths["1"]`: what it attenuates."""

    def __init__(self, paths: Mapping[str, RfPath]) -> None:
        self.identity = "Agilent Technologies,J7211A,MY53060042,A.01.05"
        self.path = paths["1"] if "1" in paths else RfPath()
        self.reference: int | None = None
        """dB that relative attenuation counts from; None when it is off."""

    def execute(self, line: str) -> bytes | None:
        text = line.strip().upper().removeprefix(":")
        match text:
            case "*IDN?":
                return self.identity.encode()
            case "ATT?":
                return b"%+d" % (round(self.path.attenuation) - (self.reference or 0))
            case "ATT:REL:STAT?":
                return b"%d" % (self.reference is not None)
            case "ATT:REL:STAT ON" | "ATT:REL:STAT 1":
                self.reference = round(self.path.attenuation)
            case "ATT:REL:STAT OFF" | "ATT:REL:STAT 0":
                self.reference = None
        found = re.fullmatch(r"ATT (\d{1,3})", text)
        if found and int(found[1]) + (self.reference or 0) <= HIGHEST:
            self.path.attenuation = float(found[1]) + (self.reference or 0)
        return None

    def overlong(self) -> None:
        pass
