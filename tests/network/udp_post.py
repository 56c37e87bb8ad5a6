"""A UDP socket for tests."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.clock import Clock
from bench.network.address import Address


class Post(asyncio.DatagramProtocol):
    """A UDP socket that remembers what came, when and from where; a server of them answers `echo`."""

    def __init__(self, clock: Clock, echo: bool) -> None:
        self._clock = clock
        self._echo = echo
        self.got: list[tuple[float, bytes, Address]] = []
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.got.append((self._clock.loop.time(), data, addr))
        if self._echo:
            self.transport.sendto(b"re:" + data, addr)
        self._clock.changed()

    @property
    def address(self) -> Address:
        return self.transport.get_extra_info("sockname")  # type: ignore[no-any-return]

    @property
    def data(self) -> list[bytes]:
        return [data for _, data, _ in self.got]
