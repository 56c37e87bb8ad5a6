"""A virtual board's way to the network: attach, then UDP over a link with delay, rate and loss.

The far side is a real UDP socket on loopback; what the air would do to a datagram is simulated
between the board and that socket.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast

from bench.virtual.machine import Machine
from bench.virtual.process import Steps

Address = tuple[str, int]
MAX_DATAGRAM = 2048


@dataclass(frozen=True, slots=True)
class Link:
    """One way of a link, the same in both directions: seconds, bits a second, probabilities."""

    attach: float
    latency: float
    jitter: float
    bits_per_second: float
    loss: float = 0.0


LTE_M = Link(attach=4.0, latency=0.05, jitter=0.02, bits_per_second=300_000)
"""Good coverage: round trip 0.1-0.3 s, 100-300 kbit/s; usual attach 4 s."""

WIFI = Link(attach=2.0, latency=0.003, jitter=0.002, bits_per_second=10_000_000)
"""A quiet 802.11n network near the access point; association and DHCP about 2 s."""


class Modem:
    """Everything in flight ends with `close` (reset or power loss); each boot makes a new one.

    `routes` maps addresses as the board knows them to where they really are.
    """

    def __init__(
        self,
        machine: Machine,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        link: Link,
        routes: Mapping[Address, Address],
    ) -> None:
        self.link = link
        self._machine = machine
        self._loop = loop
        self._rng = rng
        self._outward = routes
        self._inward = {real: public for public, real in routes.items()}
        self._socket: socket.socket | None = None
        self._heard: Callable[[bytes, Address], None] = lambda data, address: None
        self._free = [0.0, 0.0]  # when each direction has sent what it has to send

    def attach(self) -> Steps:
        """Join the network, and open one UDP socket."""
        self._machine.activity("attach")
        yield self.link.attach * self._rng.uniform(0.9, 1.2)
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind(("127.0.0.1", 0))
        self._socket = opened
        self._loop.add_reader(opened.fileno(), self._readable)
        self._machine.activity("idle")

    def listen(self, heard: Callable[[bytes, Address], None]) -> None:
        """`heard(data, address)` for each datagram that arrives."""
        self._heard = heard

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram up the link; it may be lost."""
        delay = self._delay(0, len(data))
        if delay is not None:
            self._machine.cpu.after(delay, lambda: self._transmit(data, address))

    def close(self) -> None:
        opened, self._socket = self._socket, None
        if opened is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(opened.fileno())
            opened.close()

    def _transmit(self, data: bytes, address: Address) -> None:
        if self._socket is not None:
            try:
                self._socket.sendto(data, self._outward.get(address, address))
            except OSError:
                pass  # nobody there: to the board, a lost datagram

    def _readable(self) -> None:
        while self._socket is not None:
            try:
                data, source = self._socket.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # an ICMP refusal of an earlier datagram
                continue
            delay = self._delay(1, len(data))
            address = self._inward.get(source, cast(Address, source))
            if delay is not None:
                self._machine.cpu.after(delay, partial(self._heard, data, address))

    def _delay(self, direction: int, size: int) -> float | None:
        """Seconds until a datagram arrives, or None when it is lost."""
        now = self._machine.now()
        start = max(now, self._free[direction])
        self._free[direction] = start + (size + 28) * 8 / self.link.bits_per_second
        if self._rng.random() < self.link.loss:
            return None
        return self._free[direction] - now + self.link.latency + self._rng.random() * self.link.jitter
