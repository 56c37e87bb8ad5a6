"""A virtual board's way to the network: attach, then UDP and TCP over a link with delay, rate and loss.

The far side is a real socket on loopback; what the air would do to the bytes is simulated between the
board and that socket.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from bench.virtual.air_time import AirTime
from bench.virtual.clock import VirtualLoop
from bench.virtual.machine import Machine
from bench.virtual.process import Steps
from bench.virtual.streams import Address, DeviceEnd

MAX_DATAGRAM = 2048
SEGMENT = 1400
"""Bytes of a TCP segment."""
RETRANSMISSION = 1.0
"""Seconds that a lost segment costs a stream (RFC 6298: the least time-out)."""
WINDOW = 4096
"""Bytes of a stream that the link takes at a time."""


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


class Coverage:
    """Whether a board's radio reaches the network. Out of it datagrams are lost and streams stand still."""

    def __init__(self) -> None:
        self._up = True
        self._watchers: list[Callable[[], None]] = []

    @property
    def up(self) -> bool:
        return self._up

    @up.setter
    def up(self, up: bool) -> None:
        self._up = up
        if up:
            for watcher in tuple(self._watchers):
                watcher()

    def watch(self, watcher: Callable[[], None]) -> Callable[[], None]:
        """Call `watcher()` when it is back. Returns the way to stop."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)


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
        loop: VirtualLoop,
        rng: random.Random,
        link: Link,
        routes: Routes,
        coverage: Coverage,
    ) -> None:
        self.link = link
        self.loop = loop
        self._machine = machine
        self._coverage = coverage
        self._unwatch: Callable[[], None] | None = coverage.watch(self._covered)
        self._waiting: list[Callable[[], None]] = []  # for coverage
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
        self.loop.add_reader(opened.fileno(), self._readable)
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

    def waits(self, call: Callable[[], None]) -> bool:
        """Whether a stream must wait for coverage; `call` is then made when it is back."""
        if not self._coverage.up:
            self._waiting.append(call)
        return not self._coverage.up

    def _covered(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:  # what was lost meanwhile is sent again
            self._machine.cpu.after(RETRANSMISSION, call)

    def close(self) -> None:
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        opened, self._socket = self._socket, None
        if opened is not None:
            if not self.loop.is_closed():
                self.loop.remove_reader(opened.fileno())
            opened.close()

    def _transmit(self, data: bytes, address: Address) -> None:
        if self._socket is not None and self._coverage.up:
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
            if delay is not None and self._coverage.up:
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

    The far side is a real TCP connection on loopback, of which the link takes `WINDOW` bytes at a time.
    """

    def __init__(
        self, modem: Modem, real: Address, heard: Callable[[bytes], None], ended: Callable[[bool], None]
    ) -> None:
        self._modem, self._real = modem, real
        self._machine = modem._machine
        self._heard, self._ended = heard, ended
        self._end: DeviceEnd | None = None
        self._arrival = 0.0  # of the last bytes: a stream keeps its order
        self._later: list[Callable[[], None]] = []
        self._taking = self._closed = False
        # the handshake: one round trip before anything can be sent
        self._machine.cpu.after(2 * modem.link.latency, self._connect)

    def _connect(self) -> None:
        if self._closed:
            return
        if self._modem.waits(self._connect):
            return
        try:
            self._end = DeviceEnd(self._modem.loop.streams, self._real, self._news)
        except OSError:
            self._finish(False)
            return
        later, self._later = self._later, []
        for send in later:
            send()

    def send(self, data: bytes) -> None:
        """Send; what is sent before the connection stands waits for it."""

        def transmit() -> None:
            if self._end is not None and not self._modem.waits(transmit):
                self._end.send(data)

        def start() -> None:
            self._machine.cpu.after(self._modem.stream_delay(0, len(data))[1], transmit)

        if self._end is None:
            self._later.append(start)
        else:
            start()

    def _news(self) -> None:
        """There is something at the far side: take it, unless the link is busy with what was before."""
        if not self._taking:
            self._taking = True
            self._machine.cpu.after(0.0, self._take)

    def _take(self) -> None:
        if self._end is None or self._modem.waits(self._take):
            return
        data = self._end.take(WINDOW)
        if data:
            left = self._at_arrival(len(data), partial(self._deliver, data))
            self._machine.cpu.after(left, self._take)
        elif self._end.over is not None:
            self._at_arrival(0, partial(self._finish, self._end.over))
        else:
            self._taking = False

    def _at_arrival(self, size: int, what: Callable[[], None]) -> float:
        """Do it when `size` further bytes have arrived. Returns the seconds until they have left."""
        left, arrives = self._modem.stream_delay(1, size)
        now = self._machine.now()
        self._arrival = max(self._arrival, now + arrives)
        self._machine.cpu.after(self._arrival - now, what)
        return left

    def _deliver(self, data: bytes) -> None:
        if not self._closed and not self._modem.waits(partial(self._deliver, data)):
            self._heard(data)

    def _finish(self, orderly: bool) -> None:
        if not self._closed and not self._modem.waits(partial(self._finish, orderly)):
            self.close()
            self._ended(orderly)

    def close(self) -> None:
        """Idempotent. Nothing is heard any more."""
        self._closed = True
        end, self._end = self._end, None
        if end is not None:
            end.close()
