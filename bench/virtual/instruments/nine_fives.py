"""A simulated SCPI attenuator on a radio path: 0 to 95.25 dB, steps of 0.25 dB, off-step values refused."""

from __future__ import annotations

from collections.abc import Mapping

from bench.virtual.instruments.scpi import Call, Handler, ScpiError, ScpiInstrument
from bench.virtual.radio.path import RfPath

HIGHEST = 95.25
STEP = 0.25


class NineFives(ScpiInstrument):
    """`paths["1"]`: what it attenuates."""

    identity = "Nine Fives,Programmable Attenuator,NF000042,1.2.0"

    def __init__(self, paths: Mapping[str, RfPath]) -> None:
        self.path = paths["1"] if "1" in paths else RfPath()
        super().__init__()
        self.reset()

    def commands(self) -> Mapping[str, Handler]:
        return {"INPut:ATTenuation": self._attenuation}

    def error_text(self, code: int, message: str) -> str:
        return f'{code},"{message}"'

    def reset(self) -> None:
        self.path.attenuation = HIGHEST

    def _attenuation(self, call: Call) -> str | None:
        if call.query and not call.parameters:
            return f"{self.path.attenuation:.2f}"
        wanted = call.number(low=0, high=HIGHEST)
        if call.query:
            return f"{wanted:.2f}"
        if wanted % STEP:
            raise ScpiError(-224)
        self.path.attenuation = wanted
        return None
