"""A simulated Adaura AD-USB4A attenuator on four radio paths, at its web interface.

Kept of the real one (R3 Series manual): INFO, STATUS and SET behind `execute.php`, `<br>` between lines,
and that SET answers with a sentence whether it did it or not.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.radio.path import RfPath

HIGHEST = 95.0
STEP = 0.25
MODEL = "AD-USB4AR36G95"


class AdauraUnit:
    """`paths`: path name -> what it attenuates; powers up at 95 dB."""

    def __init__(self, paths: Mapping[str, RfPath]) -> None:
        self.paths = {n: paths[n] if n in paths else RfPath() for n in ("1", "2", "3", "4")}
        for path in self.paths.values():
            path.attenuation = HIGHEST

    def get(self, path: str) -> str | None:
        page, _, query = path.partition("?")
        if page != "/execute.php":
            return None
        words = query.upper().split("+")
        match words:
            case ["INFO"]:
                head = "Adaura Technologies R3 Series 4-Channel RF Attenuator (95dB, 6GHz)"
                return f"{head}<br><br>---- Device Information ----<br>Model: {MODEL}<br>SN: R3640951074<br>"
            case ["STATUS"]:
                return "<br>".join(f"Channel {n}: {p.attenuation:g}" for n, p in self.paths.items())
            case ["SET", name, text]:
                return self._set(name, text)
        return "Invalid command"

    def _set(self, name: str, text: str) -> str:
        try:
            wanted = round(float(text) / STEP) * STEP
        except ValueError:
            return "Invalid attenuation"
        if name not in self.paths or not 0 <= wanted <= HIGHEST:
            return "Invalid attenuation"
        self.paths[name].attenuation = wanted
        return f"Channel {name} successfully set to {wanted:.2f}"
