"""A virtual board's way to the network: attach, then UDP over a link with delay, rate and loss.

The far side is a real UDP socket on loopback; what the air would do to a datagram is simulated
between the board and that socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from bench.virtual.air_time import AirTime
from bench.virtual.machine import Machine
from bench.virtual.process import Steps

Address = tuple[str, int]
MAX_DATAGRAM = 2048
SEGMENT = 1400
"""Bytes of a TCP segment."""
RETRANSMISSION = 1.0
"""Seconds that a lost segment costs a stream (RFC 6298: the least time-out)."""
WINDOW = 4096
"""Bytes taken from the real connection at a time: how they were cut on the way must not show."""


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


@dataclass
class Routes:
    """Where the addresses that a board knows really are: UDP ports, and TCP ports."""

    datagrams: dict[Address, Address] = field(default_factory=dict)
    streams: dict[Address, Address] = field(default_factory=dict)


class Modem:
    """Everything in flight ends with `close` (reset or power loss); each boot makes a new one.

    `routes` leads from addresses as the board knows them to where they really are.
    """

    def __init__(
        self,
        machine: Machine,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
        link: Link,
        routes: Routes,
    ) -> None:
        self.link = link
        self._machine = machine
        self._loop = loop
        self._rng = rng
        self._outward = routes.datagrams
        self._streams = routes.streams
        self._inward = {real: public for public, real in routes.datagrams.items()}
        self._socket: socket.socket | None = None
        self._heard: Callable[[bytes, Address], None] = lambda data, address: None
        self._connections: list[TcpConnection] = []
        self._air = AirTime(machine, link.bits_per_second)

    def attach(self) -> Steps:
        """Join the network, and open one UDP socket."""
        self._machine.activity("attach")
        yield self.link.attach * self._rng.uniform(0.9, 1.2)
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind(("127.0.0.1", 0))
        self._socket = opened
        self._loop.add_reader(opened.fileno(), self._readable)
        self._air.tell()
        self._machine.activity("idle")

    def listen(self, heard: Callable[[bytes, Address], None]) -> None:
        """`heard(data, address)` for each datagram that arrives."""
        self._heard = heard

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram up the link; it may be lost."""
        delay = self._delay(0, len(data))
        if delay is not None:
            self._machine.cpu.after(delay, lambda: self._transmit(data, address))

    def connect(
        self, address: Address, heard: Callable[[bytes], None], ended: Callable[[bool], None]
    ) -> TcpConnection:
        """Begin a TCP connection; see `TcpConnection`."""
        connection = TcpConnection(self, self._streams.get(address, address), heard, ended)
        self._connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()
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

    def stream_delay(self, direction: int, size: int) -> tuple[float, float]:
        """Seconds until `size` bytes of a stream have left, and until they arrive; loss costs time."""
        segments = -(-size // SEGMENT)
        lost = sum(self._rng.random() < self.link.loss for _ in range(segments))
        left = self._air.take(direction, size + 40 * segments)
        return left, left + self.link.latency + lost * RETRANSMISSION

    def _delay(self, direction: int, size: int) -> float | None:
        """Seconds until a datagram arrives, or None when it is lost."""
        left = self._air.take(direction, size + 28)
        if self._rng.random() < self.link.loss:
            return None
        return left + self.link.latency + self._rng.random() * self.link.jitter


class TcpConnection:
    """A stream over the link: `heard(data)` for what arrives, `ended(orderly)` when it is over.

    The far side is a real TCP connection on loopback. It is read only when everything else waits,
    window by window, so that simulated time does not depend on how the kernel cuts the stream.
    """

    def __init__(
        self, modem: Modem, real: Address, heard: Callable[[bytes], None], ended: Callable[[bool], None]
    ) -> None:
        self._modem, self._real = modem, real
        self._machine, self._loop = modem._machine, modem._loop
        self._heard, self._ended = heard, ended
        self._socket: socket.socket | None = None
        self._arrival = 0.0  # of the last bytes: a stream keeps its order
        self._later: list[Callable[[], None]] = []
        self._closed = False
        # the handshake: one round trip before anything can be sent
        self._machine.cpu.after(2 * modem.link.latency, self._connect)

    def _connect(self) -> None:
        if self._closed:
            return
        opened = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * WINDOW)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opened.settimeout(2.0)
        try:
            opened.connect(self._real)
        except OSError:
            opened.close()
            self._finish(False)
            return
        opened.setblocking(False)
        self._socket = opened
        self._loop.add_reader(opened.fileno(), self._readable)
        later, self._later = self._later, []
        for send in later:
            send()

    def send(self, data: bytes) -> None:
        """Send; what is sent before the connection stands waits for it."""

        def transmit() -> None:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # the reading side will notice
                    self._socket.sendall(data)

        def start() -> None:
            self._machine.cpu.after(self._modem.stream_delay(0, len(data))[1], transmit)

        if self._socket is None:
            self._later.append(start)
        else:
            start()

    def _readable(self) -> None:
        """There is something: take it once nothing else moves at this moment."""
        assert self._socket is not None
        self._loop.remove_reader(self._socket.fileno())
        self._machine.cpu.after(0.0, self._take)

    def _take(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(WINDOW)
        except BlockingIOError:
            self._loop.add_reader(self._socket.fileno(), self._readable)
            return
        except OSError:
            self._at_arrival(0, lambda: self._finish(False))
            return
        if not data:
            self._at_arrival(0, lambda: self._finish(True))
            return
        left = self._at_arrival(len(data), partial(self._deliver, data))
        self._machine.cpu.after(left, self._take)

    def _at_arrival(self, size: int, what: Callable[[], None]) -> float:
        """Do it when `size` further bytes have arrived. Returns the seconds until they have left."""
        left, arrives = self._modem.stream_delay(1, size)
        now = self._machine.now()
        self._arrival = max(self._arrival, now + arrives)
        self._machine.cpu.after(self._arrival - now, what)
        return left

    def _deliver(self, data: bytes) -> None:
        if not self._closed:
            self._heard(data)

    def _finish(self, orderly: bool) -> None:
        if not self._closed:
            self.close()
            self._ended(orderly)

    def close(self) -> None:
        """Idempotent. Nothing is heard any more."""
        self._closed = True
        opened, self._socket = self._socket, None
        if opened is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(opened.fileno())
            opened.close()
