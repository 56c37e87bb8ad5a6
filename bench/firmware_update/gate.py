"""When the signal is good enough to push: the server's own condition on the device's object 4."""

from __future__ import annotations

from dataclasses import dataclass

from bench.lwm2m.client import Client

SIGNAL_STRENGTH, LINK_QUALITY = "/4/0/2", "/4/0/3"
LOUDEST = -30
"""dBm. More is no received power: one stack reports -129 dBm as 127."""


@dataclass(frozen=True, slots=True)
class SignalGate:
    """Open when Radio Signal Strength (dBm) and Link Quality are at least these.

    What a quality means depends on the bearer (LTE: RSRQ in dB; object 4, resource 3); None does
    not look at it. The device is asked every `interval` bench seconds.
    """

    min_strength: int
    min_quality: int | None = None
    interval: float = 30.0

    async def is_open(self, client: Client) -> bool:
        """Ask the device. Raises `CoapError` when it does not have what is asked for."""
        strength = await client.read_async(SIGNAL_STRENGTH)
        if not self.min_strength <= int(strength) <= LOUDEST:
            return False
        if self.min_quality is None:
            return True
        return int(await client.read_async(LINK_QUALITY)) >= self.min_quality
