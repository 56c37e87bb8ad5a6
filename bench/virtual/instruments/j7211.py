"""A simulated Keysight J7211A on a radio path: lines ended by CR, whole dB, silence for what it refuses."""

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

    def execute(self, line: str) -> bytes | None:
        match line.strip().upper():
            case "*IDN?":
                return self.identity.encode()
            case "ATT?":
                return b"%d" % round(self.path.attenuation)
        found = re.fullmatch(r"ATT (\d{1,3})", line.strip().upper())
        if found and int(found[1]) <= HIGHEST:
            self.path.attenuation = float(found[1])
        return None

    def overlong(self) -> None:
        pass
