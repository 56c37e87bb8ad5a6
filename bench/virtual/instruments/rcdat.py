"""A simulated Mini-Circuits RCDAT or RC4DAT on radio paths, for HTTP and for Telnet.

Kept of the real one (Mini-Circuits Programming Manual): `MN=`, `SN=`, replies 1, 0 and 2, values beyond
the range clipped to it, values between steps rounded, commands it does not know answered with -99, an
empty line at the start of a Telnet connection.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.virtual.radio.path import RfPath

STEP = 0.25
GREETING = b"\r\n"


class Rcdat:
    """`paths`: path name -> what it attenuates; powers up at its largest attenuation."""

    def __init__(self, paths: Mapping[str, RfPath], *, model: str = "RCDAT-6000-110") -> None:
        self.model = model
        self.serial = "11810150042"
        names = ("1", "2", "3", "4") if model.startswith("RC4") else ("1",)
        self.high = float(model.rpartition("-")[2])
        self.limit: float | None = None
        """dB above which the attenuator clips without the model name saying so."""
        self.paths = {name: paths[name] if name in paths else RfPath() for name in names}
        for path in self.paths.values():
            path.attenuation = self.high

    def get(self, path: str) -> str | None:
        return self._answer(path.removeprefix("/"))

    def execute(self, line: str) -> bytes | None:
        return self._answer(line).encode()

    def overlong(self) -> None:
        pass

    def _answer(self, command: str) -> str:
        text = command.strip().lstrip(":").upper()
        match text:
            case "MN?":
                return f"MN={self.model}"
            case "SN?":
                return f"SN={self.serial}"
            case "ATT?":
                return " ".join(f"{p.attenuation:.2f}" for p in self.paths.values())
        if found := re.fullmatch(r"CHAN:(\d):ATT\?", text):
            path = self.paths.get(found[1])
            return "0" if path is None else f"{path.attenuation:.2f}"
        if found := re.fullmatch(r"(?:CHAN:(\d):)?SETATT[=:](.+)", text):
            return self._set(found[1] or "1", found[2])
        return f"-99 Unrecognized Command. MN:{self.model}"

    def _set(self, name: str, text: str) -> str:
        try:
            wanted = float(text)
        except ValueError:
            return "0"
        if name not in self.paths or not wanted >= 0:
            return "0"
        high = self.high if self.limit is None else self.limit
        self.paths[name].attenuation = min(round(wanted / STEP) * STEP, high)
        return "2" if wanted > high else "1"
