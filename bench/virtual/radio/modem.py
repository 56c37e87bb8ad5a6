"""A virtual board's way to the network: attach, then UDP and TCP over a link as good as its reception.

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

from bench.virtual.clock import VirtualLoop
from bench.virtual.machine import Machine
from bench.virtual.process import Steps
from bench.virtual.radio.air_time import DOWN, UP, AirTime
from bench.virtual.radio.reception import Reception
from bench.virtual.radio.technology import Link
from bench.virtual.scheduler import Handle
from bench.virtual.streams import Address, DeviceEnd

MAX_DATAGRAM = 2048
SEGMENT = 1400
"""Bytes of a TCP segment."""
RETRANSMISSION = 1.0
"""Seconds that a lost segment costs a stream (RFC 6298: the least time-out)."""
MANY_PORTS = 10_000
"""Ports after which one may be used again; a host has some 28,000 to give."""
WINDOW = 4096
"""Bytes of a stream that the link takes at a time."""


RRC_INACTIVITY = 10.0
"""Seconds without traffic after which networks commonly release the connection."""
EDRX_CYCLE = 81.92
"""Seconds between two moments at which a device in extended DRX can be paged."""
ACTIVE_TIME = 100.0
"""Seconds for which a device stays reachable before it enters power saving mode (PSM timer T3324).

More than the 93 s (MAX_TRANSMIT_WAIT) for which LwM2M asks a queue mode client to listen (core 1.1, 6.5).
"""


@dataclass
class Routes:
    """Where the addresses that boards know really are: UDP ports, and TCP ports."""

    datagrams: dict[Address, Address] = field(default_factory=dict)
    streams: dict[Address, Address] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """Addresses by host name, in small letters: what the network's DNS knows."""
    used: set[int] = field(default_factory=set)
    """Ports that boards have had."""


class Modem:
    """Everything in flight ends with `close` (reset or power loss); each boot makes a new one.

    `routes` leads from addresses as the board knows them to where they really are. `on_service(up)` is
    called when service is lost and when it is back.
    """

    def __init__(
        self,
        machine: Machine,
        loop: VirtualLoop,
        rng: random.Random,
        reception: Reception,
        routes: Routes,
    ) -> None:
        self.loop = loop
        self.reception = reception
        self.on_service: Callable[[bool], None] = lambda up: None
        self._machine = machine
        self._serving = False
        self._saves_power = self._asleep = self._extended = False
        self._dozing: float | None = None  # since when it listens once a cycle only
        self._leaving: Handle | None = None
        self._falling_asleep: Handle | None = None
        self._unwatch: Callable[[], None] | None = reception.watch(self._level_changed)
        self._waiting: list[Callable[[], None]] = []  # for service
        self._rng = rng
        self._outward = routes.datagrams
        self._streams = routes.streams
        self._used_ports = routes.used
        self._inward = {real: public for public, real in routes.datagrams.items()}
        self._names = routes.names
        self._socket: socket.socket | None = None
        self._heard: Callable[[bytes, Address], None] = lambda data, address: None
        self._connections: list[TcpConnection] = []
        self._air = AirTime(machine, lambda: self.link.bits_per_second, self._does)

    @property
    def link(self) -> Link:
        """As it is now."""
        return self.reception.link

    @property
    def serving(self) -> bool:
        """Whether the network knows the device."""
        return self._serving

    @property
    def reachable(self) -> bool:
        """Whether anything gets across now."""
        return self._serving and self.reception.usable

    # ---- service

    def attach(self) -> Steps:
        """Join the network, and open one UDP socket."""
        yield from self._join()
        opened = self._unused_socket()
        self._socket = opened
        self.loop.add_reader(opened.fileno(), self._readable)
        self._air.tell()
        self._machine.activity("idle")

    def _unused_socket(self) -> socket.socket:
        """At a port that no board on this bench has had: an old one may still be known to the server.

        Which one the host gives is chance, and so would be what comes of it.
        """
        while True:
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.setblocking(False)
            opened.bind(("127.0.0.1", 0))
            port = opened.getsockname()[1]
            if port not in self._used_ports or len(self._used_ports) > MANY_PORTS:
                self._used_ports.add(port)
                return opened
            opened.close()

    def _join(self) -> Steps:
        """Look for a cell until there is one, then join it."""
        technology = self.reception.technology
        pause = technology.pause
        while not self.reception.worth_joining:
            self._machine.activity("attach")
            yield technology.search
            if self.reception.worth_joining:
                break
            self._machine.activity("radio off")
            yield pause
            pause = min(technology.longest_pause, 2 * pause)
        self._machine.activity("attach")
        yield technology.attach * self._rng.uniform(0.9, 1.2)
        self._serving = True
        self._level_changed()  # it may be gone already

    def _level_changed(self) -> None:
        """The strength is another: start, or stop, to give the cell up."""
        if not self._serving or self.reception.usable:
            if self._leaving is not None:
                self._leaving.cancel()
                self._leaving = None
        elif self._leaving is None:
            self._leaving = self._machine.cpu.after(self.reception.technology.release, self._lose)

    def _lose(self) -> None:
        self._leaving = None
        self._serving = False
        self._wake()
        if self._falling_asleep is not None:
            self._falling_asleep.cancel()
            self._falling_asleep = None
        self.on_service(False)
        self._machine.cpu.spawn(self._return())

    def _return(self) -> Steps:
        yield from self._join()
        self._air.tell()
        self.on_service(True)
        waiting, self._waiting = self._waiting, []
        for call in waiting:  # what was lost meanwhile is sent again
            self._machine.cpu.after(RETRANSMISSION, call)

    # ---- power saving

    @property
    def saves_power(self) -> bool:
        """Whether it enters power saving mode when nothing has come or gone for a while."""
        return self._saves_power

    @saves_power.setter
    def saves_power(self, on: bool) -> None:
        self._saves_power = on
        self._wake()
        if self._serving:
            self._air.tell()

    @property
    def extended_drx(self) -> bool:
        """Whether it listens only once in `EDRX_CYCLE` when nothing has come or gone for a while."""
        return self._extended

    @extended_drx.setter
    def extended_drx(self, on: bool) -> None:
        self._extended = on
        self._wake()
        if self._serving:
            self._air.tell()

    def _does(self, activity: str) -> None:
        """What the radio does now, as long as the network knows it."""
        if not self._serving:
            return
        if self._falling_asleep is not None:
            self._falling_asleep.cancel()
            self._falling_asleep = None
        self._machine.activity(activity)
        if activity != "connected":
            self._dozing = None
        elif self._saves_power:
            self._falling_asleep = self._machine.cpu.after(RRC_INACTIVITY + ACTIVE_TIME, self._sleep)
        elif self._extended:
            self._falling_asleep = self._machine.cpu.after(RRC_INACTIVITY, self._doze)

    def _sleep(self) -> None:
        """Nothing reaches the device from here on, until it has something to send."""
        self._falling_asleep = None
        self._asleep = True
        self._machine.activity("psm")

    def _doze(self) -> None:
        """From here on it is reached only when it listens."""
        self._falling_asleep = None
        self._dozing = self._machine.now()
        self._machine.activity("edrx")

    def _until_paged(self) -> float:
        """Seconds until the device listens next."""
        if self._dozing is None:
            return 0.0
        return EDRX_CYCLE - (self._machine.now() - self._dozing) % EDRX_CYCLE

    def _wake(self) -> None:
        self._asleep = False
        self._dozing = None

    # ---- datagrams

    def listen(self, heard: Callable[[bytes, Address], None]) -> None:
        """`heard(data, address)` for each datagram that arrives."""
        self._heard = heard

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram up the link; it may be lost."""
        self._wake()
        delay = self._delay(UP, len(data))
        if delay is not None:
            self._machine.cpu.after(delay, lambda: self._transmit(data, address))

    def resolve(self, name: str) -> Steps:
        """Ask the network for the address of a host; the value is None where it knows none."""
        yield 2 * self.link.latency
        return self._names.get(name.lower())

    def connect(
        self, address: Address, heard: Callable[[bytes], None], ended: Callable[[bool], None]
    ) -> TcpConnection:
        """Begin a TCP connection; see `TcpConnection`."""
        connection = TcpConnection(self, self._streams.get(address, address), heard, ended)
        self._connections.append(connection)
        return connection

    def waits(self, call: Callable[[], None]) -> bool:
        """Whether a stream must wait for service; `call` is then made when it is back."""
        if self.reachable:
            return False
        if self._serving:  # the radio still hopes
            self._machine.cpu.after(RETRANSMISSION, call)
        else:
            self._waiting.append(call)
        return True

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
        if self._socket is not None and self.reachable:
            self.loop.speak()
            real = self._outward.get(address, address)
            self._inward[real] = address  # one server may be known by several addresses
            try:
                self._socket.sendto(data, real)
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
            if self._asleep:
                continue  # the network has nobody to page
            paged = self._until_paged()
            address = self._inward.get(source, cast(Address, source))
            if paged > 0:
                self._machine.cpu.after(paged, partial(self._arrive, data, address))
            else:
                self._arrive(data, address)

    def _arrive(self, data: bytes, address: Address) -> None:
        """A datagram for a device that listens now."""
        delay = self._delay(DOWN, len(data))
        if delay is not None:
            self._machine.cpu.after(delay, partial(self._heard, data, address))

    def stream_delay(self, direction: int, size: int) -> tuple[float, float]:
        """Seconds until `size` bytes of a stream have left, and until they arrive; loss costs time."""
        segments = -(-size // SEGMENT)
        self._wake()
        link = self.link
        lost = sum(self._rng.random() < link.loss for _ in range(segments))
        left = self._air.take(direction, size + 40 * segments)
        return left, left + link.latency + lost * RETRANSMISSION

    def _delay(self, direction: int, size: int) -> float | None:
        """Seconds until a datagram arrives, or None when it is lost."""
        if not self.reachable:
            return None
        left, link = self._air.take(direction, size + 28), self.link
        if self._rng.random() < link.loss:
            return None
        return left + link.latency + self._rng.random() * link.jitter


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
