"""A pytest plugin: virtual devices behind a link that takes up to 4 s for a message, as NB-IoT at its edge.

Their order is kept. Round trips of 1 to 10 s are usual there; an operator's network promises none.
"""

from __future__ import annotations

import random

from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.radio.modem import Address

LONGEST = 4.0
sent = CoapEngine.transmit


def transmit(self: CoapEngine, data: bytes, destination: Address) -> None:
    now = self.machine.now()
    drawn = random.Random(f"{now}/{data.hex()}").uniform(0.0, LONGEST)
    arrives = max(now + drawn, getattr(self, "last_arrives", 0.0))
    self.last_arrives = arrives  # type: ignore[attr-defined]
    self.machine.cpu.after(arrives - now, lambda: sent(self, data, destination))


CoapEngine.transmit = transmit  # type: ignore[method-assign]
