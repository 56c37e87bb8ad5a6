"""A simulated Adaura AD-USB4A attenuator on four radio paths, at its web interface or its USB serial port.

Kept of the real one (R3 Series manual; the published Python library for firmware 1.21; answers recorded from
firmware 3.20): INFO, STATUS and SET behind `execute.php`, over USB the same commands without a line end,
numbers with one decimal or as many as they need, and that SET answers with a sentence whether it did it or
not. Later firmware wants user and password for HTTP: see `HttpServer`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.virtual.radio.path import RfPath
from bench.virtual.uart import VirtualUart

HIGHEST = 95.0
STEP = 0.25
MODEL = "AD-USB4AR36G95"


class AdauraUnit:
    """`paths`: path name -> what it attenuates; powers up at 95 dB. `line_end` of its answers over HTTP."""

    def __init__(self, paths: Mapping[str, RfPath], *, model: str = MODEL, line_end: str = "\r\n") -> None:
        self.model = model
        self.line_end = line_end
        found = re.match(r"AD-USB(\d+)", model)
        assert found is not None
        names = [str(n + 1) for n in range(int(found[1]))]
        self.paths = {n: paths[n] if n in paths else RfPath() for n in names}
        for path in self.paths.values():
            path.attenuation = HIGHEST

    def get(self, path: str) -> str | None:
        page, _, query = path.partition("?")
        if page != "/execute.php":
            return None
        return self.answer(query.replace("+", " "), self.line_end)

    def answer(self, command: str, line_end: str = "\r\n") -> str:
        """The lines of an answer, with `line_end` after each."""
        return "".join(line + line_end for line in self._lines(command.upper().split()))

    def _lines(self, words: list[str]) -> list[str]:
        match words:
            case ["INFO"]:
                head = f"Adaura Technologies R3 Series {len(self.paths)}-Channel RF Attenuator (95dB, 6GHz)"
                told = [f"Model: {self.model}", "SN: R3640951074", "FW Ver: 1.21", "FW Date: Jan 21 2019"]
                default = "Default Attenuations: " + " ".join(f"{HIGHEST}" for _ in self.paths)
                return [head, "", "---- Device Information ----", *told, default]
            case ["STATUS"]:
                return [f"Channel {n}: {p.attenuation}" for n, p in self.paths.items()]
            case ["SET", name, text]:
                return [self._set(name, text)]
        return ["Invalid command"]

    def _set(self, name: str, text: str) -> str:
        try:
            wanted = round(float(text) / STEP) * STEP
        except ValueError:
            return "Invalid attenuation"
        if name not in self.paths or not 0 <= wanted <= HIGHEST:
            return "Invalid attenuation"
        self.paths[name].attenuation = wanted
        return f"Channel {name} successfully set to {wanted}"


class AdauraUsb:
    """The same unit at its USB serial port."""

    def __init__(self, unit: AdauraUnit) -> None:
        self.unit = unit
        self._uart: VirtualUart

    def connect(self, uart: VirtualUart) -> None:
        self._uart = uart
        uart.on_receive = self._receive

    def switch_off(self) -> None:
        """The paths stay as they are."""

    def _receive(self, data: bytes) -> None:
        self._uart.transmit(self.unit.answer(data.decode("latin-1"), "\r\n").encode())
