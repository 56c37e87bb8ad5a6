"""Several endpoints under one message layer: a message leaves through the one its peer belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiocoap import Message, interfaces


class Transports(interfaces.MessageInterface):
    def __init__(self, endpoints: Sequence[interfaces.MessageInterface]) -> None:
        self._endpoints = endpoints

    def send(self, message: Message) -> None:
        message.remote.interface.send(message)

    async def recognize_remote(self, remote: Any) -> bool:
        return any([await endpoint.recognize_remote(remote) for endpoint in self._endpoints])

    async def determine_remote(self, message: Message) -> None:
        return None  # requests go to registered devices only, whose address is known

    async def shutdown(self) -> None:
        for endpoint in self._endpoints:
            await endpoint.shutdown()
