"""A pytest plugin: virtual devices behind a link on which every other notification takes 6 s.

Round trips of 1 to 10 s are usual in NB-IoT at the edge of its coverage.
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.radio.modem import Address

LONGEST = 6.0
sent = CoapEngine.transmit


def transmit(self: CoapEngine, data: bytes, destination: Address) -> None:
    number = coap.decode(data).uint(coap.OBSERVE)
    if number is None or number % 2:
        sent(self, data, destination)
    else:
        self.machine.cpu.after(LONGEST, lambda: sent(self, data, destination))


CoapEngine.transmit = transmit  # type: ignore[method-assign]
