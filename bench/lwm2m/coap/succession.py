"""What becomes of requests under way when a device registers anew, or its registration ends."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.lwm2m.coap.layers import (
    DeviceGone,
    DeviceRestarted,
    PeerMessageManager,
    PeerTokenManager,
    RegistrationEnded,
    Unsent,
)
from bench.lwm2m.coap.queue_mode import Sleepers


class Succession:
    """Devices by their `remote`. What was never sent to one that sleeps goes to its next registration."""

    def __init__(
        self,
        tokens: PeerTokenManager,
        messages: PeerMessageManager,
        sleepers: Sleepers,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._tokens, self._messages, self._sleepers, self._loop = tokens, messages, sleepers, loop
        self._carried: tuple[Any, list[Unsent]] = (None, [])

    def replaced(self, remote: Any) -> None:
        """The device registers anew; `begins` follows at once."""
        self._carried = (remote, self._end(remote, DeviceRestarted("the device registered anew")))

    def begins(self, remote: Any) -> None:
        """A device that registers has restarted; what waited for it to wake is sent after the answer."""
        (before, unsent), self._carried = self._carried, (None, [])
        kept = {message.token for message, _ in unsent}
        self._messages.forget(remote)
        self._tokens.abandon(remote, DeviceRestarted("the device registered anew"), kept)
        if unsent:
            self._tokens.rebind(before, remote)
            self._loop.call_soon(self._messages.adopt, remote, unsent)

    def ended(self, remote: Any, how: str) -> None:
        """The registration is "gone" or "expired": nothing will be answered."""
        asleep = self._sleepers.asleep_since(remote)
        nap = "" if asleep is None else f", asleep since {asleep:.1f} s"
        self._end(remote, DeviceGone(f"the registration is {how}{nap}"))

    def _end(self, remote: Any, why: RegistrationEnded) -> list[Unsent]:
        """End what is under way; returns what a new registration may still be sent."""
        unsent = self._messages.forget(remote)
        if isinstance(why, DeviceGone):
            unsent = []
        self._tokens.abandon(remote, why, keep={message.token for message, _ in unsent})
        self._sleepers.forget(remote)
        return unsent
