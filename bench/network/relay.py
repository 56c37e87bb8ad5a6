"""UDP between many clients and one server, with a socket of its own towards the server for each client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import OrderedDict, deque
from collections.abc import Callable

from bench.network.address import Address
from bench.network.way import Stream, Way

MAX_DATAGRAM = 65536
MAX_CLIENTS = 24
"""Addresses of clients remembered at once, each with a socket; a device has two or three, and new ones after
a restart."""
SETTLED = 4
"""Datagrams from which on a client is no passer-by: those give way first, the longest silent of them."""
BATCH = 64
"""Datagrams taken from one socket before others get their turn."""
KEPT_AFTER_REBIND = 4
"""Sockets of earlier bindings that stay open, so that their ports are nobody else's and answer nothing."""


class Relay:
    """Lives on `loop`, which must be able to watch sockets (a selector loop).

    What clients send to `address` leaves for `server` from the client's own port towards the server,
    as behind a NAT; what comes back there goes to the client. What others send there reaches the client
    from elsewhere too, as behind a NAT that filters nothing (RFC 4787 section 5).
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seed: str, up: Way, down: Way, server: Address
    ) -> None:
        self.server = server
        self._loop = loop
        self._seed = seed
        self.up, self.down = up, down
        self._family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
        self._front = socket.socket(self._family, socket.SOCK_DGRAM)
        self._elsewhere = socket.socket(self._family, socket.SOCK_DGRAM)
        self._bindings: OrderedDict[Address, _Binding] = OrderedDict()
        self._clients = 0
        self.displaced = 0
        """Clients that have given way to others."""

    def open(self, listen: Address) -> Address:
        """Bind. Raises `OSError`."""
        self._front.setblocking(False)
        self._front.bind(listen)
        self._elsewhere.setblocking(False)
        self._elsewhere.bind((listen[0], 0))
        self.watch(self._front, self._from_client)
        host, port = self._front.getsockname()[:2]
        return host, port

    def _from_client(self) -> None:
        for data, client in _received(self._front):
            binding = self._bindings.get(client)
            if binding is None:
                try:
                    binding = self._bind(client)
                except OSError:  # this process has no descriptor left
                    self.up.counters.dropped += 1
                    continue
            self._bindings.move_to_end(client)
            binding.heard += 1
            self.up.carry(binding.upward, data)

    def _bind(self, client: Address) -> _Binding:
        self._clients += 1
        while len(self._bindings) >= MAX_CLIENTS:
            passing = (c for c, b in self._bindings.items() if b.heard < SETTLED)
            self._bindings.pop(next(passing, next(iter(self._bindings)))).close()
            self.displaced += 1
        binding = self._bindings[client] = _Binding(self, f"{self._seed}/{self._clients}", client)
        return binding

    def watch(self, opened: socket.socket, heard: Callable[[], None]) -> None:
        """Call `heard` when there is something to receive."""
        self._loop.add_reader(opened.fileno(), heard)

    def towards_server(self, heard: Callable[[], None]) -> socket.socket:
        """A new socket for one client."""
        opened = socket.socket(self._family, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind(("", 0))
        self.watch(opened, heard)
        return opened

    def closed(self, opened: socket.socket) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(opened.fileno())
        opened.close()

    def answer(self, client: Address, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a client that has gone: a lost datagram
            self._front.sendto(data, client)

    def strange(self, client: Address, data: bytes) -> None:
        """What somebody else than the server sends, from another address than the server's."""
        with contextlib.suppress(OSError):
            self._elsewhere.sendto(data, client)

    @property
    def last_client(self) -> Address | None:
        """Who was heard last, by the address that it speaks from; None before anybody was."""
        return next(reversed(self._bindings), None)

    def rebind(self) -> None:
        """From now on the server sees every client at a new port; what it sends to the old one is lost."""
        for binding in self._bindings.values():
            binding.renew()

    def close(self) -> None:
        """Idempotent."""
        for binding in self._bindings.values():
            binding.close()
        self._bindings.clear()
        if self._front.fileno() != -1:
            self.closed(self._front)
        self._elsewhere.close()


class _Binding:
    """One client's place at the server's side."""

    def __init__(self, relay: Relay, seed: str, client: Address) -> None:
        self._relay = relay
        self.upward = Stream(f"{seed}/up", self._send)
        self._downward = Stream(f"{seed}/down", lambda data: relay.answer(client, data))
        self._client = client
        self.heard = 0
        self._old: deque[socket.socket] = deque()
        self._socket = relay.towards_server(self._heard)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody listens: a lost datagram
            self._socket.sendto(data, self._relay.server)

    def _heard(self) -> None:
        for data, source in _received(self._socket):
            if source == self._relay.server:
                self._relay.down.carry(self._downward, data)
            else:
                self._relay.strange(self._client, data)

    def _heard_too_late(self) -> None:
        for opened in self._old:
            self._relay.down.counters.stale += sum(1 for _ in _received(opened))

    def renew(self) -> None:
        old, self._socket = self._socket, self._relay.towards_server(self._heard)
        self._relay.watch(old, self._heard_too_late)
        self._old.append(old)
        if len(self._old) > KEPT_AFTER_REBIND:
            self._relay.closed(self._old.popleft())

    def close(self) -> None:
        for opened in (self._socket, *self._old):
            self._relay.closed(opened)
        self._old.clear()


def _received(opened: socket.socket) -> list[tuple[bytes, Address]]:
    """What has arrived, `BATCH` datagrams at most; the loop calls again for the rest."""
    found: list[tuple[bytes, Address]] = []
    for _ in range(BATCH):
        try:
            data, (host, port, *_) = opened.recvfrom(MAX_DATAGRAM)
        except BlockingIOError:
            break
        except OSError:  # an ICMP refusal of something sent earlier; it is gone once it was read
            continue
        found.append((data, (host, port)))
    return found
