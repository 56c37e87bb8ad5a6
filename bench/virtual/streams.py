"""TCP on the virtual bench: both ends of a connection know what is in flight, so time can wait for it.

How a kernel buffers a stream, acknowledges it and delays it depends on the machine and on its load.
Here the server's end lets go of no more than `CREDIT` bytes that the device has not taken, and the
device's end takes from the kernel exactly what the server's end gave it before time moves. What is
served when is then the same in every run, on every system.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys
from collections.abc import Callable
from typing import Any

Address = tuple[str, int]

CREDIT = 16384
"""Bytes on their way to a device; far below what a kernel holds, so that its limits never show."""
PATIENCE = 2.0
"""Wall seconds for what must come round loopback; it takes microseconds unless something is broken."""


class Listener(socket.socket):
    """A listening socket whose connections are `ServerEnd`s."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._streams = streams
        self.closed = False

    def accept(self) -> tuple[socket.socket, Any]:
        plain, address = super().accept()
        made = ServerEnd(plain)
        self._streams.accepted(address, made)
        return made, address

    def close(self) -> None:
        self.closed = True
        self._streams.listeners.discard(self)
        super().close()


class ServerEnd(socket.socket):
    """A server's end: counts, and gives no more than its device has room for. Others get it all."""

    def __init__(self, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        self.device: DeviceEnd | None = None
        self.sent = self.received = 0
        self.heard_end = False
        self.ended = False

    @property
    def credit(self) -> int | None:
        """Bytes that may go now; None: any number."""
        if self.device is None or self.device.closed:
            return None
        return CREDIT - (self.sent - self.device.taken)

    def send(self, data: Any, flags: int = 0) -> int:
        credit = self.credit
        if credit is None:
            return super().send(data, flags)
        if credit <= 0:
            raise BlockingIOError
        part = memoryview(data)[:credit]
        try:
            size = super().send(part, flags)
        except BlockingIOError:  # the kernel is late: wait for it rather than show it
            select.select([], [self], [], PATIENCE)
            size = super().send(part, flags)
        self.sent += size
        return size

    def sendmsg(self, buffers: Any, *rest: Any) -> int:
        return self.send(b"".join(buffers))

    def recv(self, size: int, flags: int = 0) -> bytes:
        data = super().recv(size, flags)
        self._heard(len(data))
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        size = super().recv_into(buffer, nbytes, flags)
        self._heard(size)
        return size

    def _heard(self, size: int) -> None:
        self.received += size
        self.heard_end = self.heard_end or not size

    def shutdown(self, how: int) -> None:
        self.ended = self.ended or how != socket.SHUT_RD
        super().shutdown(how)

    def close(self) -> None:
        self.ended = True
        super().close()


class DeviceEnd:
    """A device's end; `news()` is called when there is something to take, or it is over.

    `over` is None while the connection stands, then whether it ended in an orderly way. Making one
    connects it; raises `OSError` when nobody listens.
    """

    def __init__(self, streams: Streams, address: Address, news: Callable[[], None]) -> None:
        self._streams, self._news = streams, news
        streams.speak()
        self._arrived = bytearray()
        self.server: ServerEnd | None = None
        self.listener = streams.listener_at(address)
        self.sent = self.received = self.taken = 0
        self.over: bool | None = None
        self.closed = False
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(PATIENCE)
            self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self.name = self._socket.getsockname()
        if self.listener is None:
            streams.watch(self._socket, self.fetch)
        else:
            streams.ends.append(self)

    def send(self, data: bytes) -> None:
        """What cannot be sent any more is dropped: the end of the connection will be heard."""
        if self.closed or self.over is not None or (self.server is not None and self.server.ended):
            return
        with contextlib.suppress(OSError):
            self._streams.speak()
            self._socket.sendall(data)
            self.sent += len(data)

    def take(self, limit: int) -> bytes:
        """What has arrived, `limit` bytes at most; b"" when there is nothing, see `over`."""
        data = bytes(self._arrived[:limit])
        del self._arrived[:limit]
        self.taken += len(data)
        self._streams.speak()  # the server's end may go on
        if data and self.listener is None and self.over is None and not self.closed:
            self._streams.watch(self._socket, self.fetch)
        return data

    def drain(self) -> None:
        """Take from the kernel all that the server's end gave it, its end included."""
        if self.closed or self.over is not None or self.listener is None:
            return
        server = self.server
        before = self.received
        while server is not None and server.sent > self.received and self.over is None:
            self._receive(server.sent - self.received)
        if self.over is None and (self.listener.closed if server is None else server.ended):
            self._receive(1)
        if self.received > before or self.over is not None:
            self._news()

    def fetch(self) -> None:
        """There is something from a server that is not of this loop: no counting, only what comes."""
        self._receive(CREDIT)
        if len(self._arrived) >= CREDIT or self.over is not None:
            self._streams.unwatch(self._socket)
        self._news()

    def _receive(self, size: int) -> None:
        try:
            data = self._socket.recv(size)
        except OSError:
            self.over = False
            return
        if not data:
            self.over = True
        self._arrived += data
        self.received += len(data)

    def close(self) -> None:
        """Idempotent."""
        if not self.closed:
            self.closed = True
            self._streams.speak()
            if self.listener is None:
                self._streams.unwatch(self._socket)
            self._socket.close()


class Streams:
    """The connections between virtual devices and the servers of one loop.

    `watch` and `unwatch` are the loop's, for servers that are not its own; `speak()` tells it that a
    device did something that the other end will notice.
    """

    def __init__(
        self,
        watch: Callable[[socket.socket, Callable[[], None]], object],
        unwatch: Callable[[socket.socket], object],
        speak: Callable[[], None],
    ) -> None:
        self.watch, self.unwatch, self.speak = watch, unwatch, speak
        self.listeners: set[Listener] = set()
        self.ends: list[DeviceEnd] = []

    def listen(self, host: str, port: int) -> Listener:
        """A bound socket, for the loop to listen on. Raises `OSError`."""
        made = Listener(self)
        try:
            if sys.platform != "win32":  # there it would let two servers share the port
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
        except OSError:
            made.close()
            raise
        self.listeners.add(made)
        return made

    def listener_at(self, address: Address) -> Listener | None:
        for listener in self.listeners:
            host, port = listener.getsockname()[:2]
            if port == address[1] and host in (address[0], "0.0.0.0"):
                return listener
        return None

    def accepted(self, address: Any, server: ServerEnd) -> None:
        """A listener has a new connection, from `address`."""
        for end in self.ends:
            if end.server is None and end.name == address:
                end.server, server.device = server, end
                return

    def settle(self, is_read: Callable[[int], bool]) -> bool:
        """All that servers sent is with the devices. Whether a server has still to hear something.

        `is_read(fd)` says whether the loop reads that socket.
        """
        for end in tuple(self.ends):
            end.drain()
        self.ends = [end for end in self.ends if not _is_done(end)]
        return any(_must_hear(end, is_read) for end in self.ends)

    def give_up(self) -> None:
        """What servers had still to hear did not come: do not wait for it again."""
        self.ends = [end for end in self.ends if end.server is not None and not end.closed]
        for end in self.ends:
            assert end.server is not None
            end.sent = end.server.received

    @property
    def full(self) -> set[int]:
        """The servers' sockets that may not send now, by file descriptor."""
        servers = (end.server for end in self.ends if end.server is not None and not end.server.ended)
        return {server.fileno() for server in servers if server.credit is not None and server.credit <= 0}


def _is_done(end: DeviceEnd) -> bool:
    if end.server is None:
        return end.over is not None or (end.closed and end.listener is not None and end.listener.closed)
    return end.server.ended and (end.closed or end.over is not None)


def _must_hear(end: DeviceEnd, is_read: Callable[[int], bool]) -> bool:
    server = end.server
    if server is None:
        return True  # it is still to be accepted
    if server.ended or server.heard_end or not is_read(server.fileno()):
        return False
    return end.closed or end.sent > server.received
