"""Who may connect to a door, and how long he may take to say something.

A connection is counted from the moment it is accepted, before TLS: half of a TLS handshake costs a
descriptor too. What the door is to speak is handed the connection only once its first bytes are complete.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import cast

PER_HOST = 32
"""Connections of one host at once; a program on the bench's PC shares its host with all the others."""
MOST = 128
"""Connections of all."""
HEADER_LIMIT = 20.0
"""Seconds that TLS and the first request's head may take."""
IDLE_LIMIT = 3600.0
"""Seconds after which a connection is closed that has carried nothing; a stall that a testcase wants is
shorter."""
LONGEST_HEAD = 16384
"""Bytes of a first request's head."""

Complete = Callable[[bytes], bool]
"""Whether these first bytes are enough to begin with."""


class Admission:
    """Listens for one door. `speak()` makes what speaks on a connection; `complete` says when it may begin.

    `refused` counts the connections that were closed for one of the limits.
    """

    def __init__(self, speak: Callable[[], asyncio.Protocol], complete: Complete) -> None:
        self._speak = speak
        self._complete = complete
        self._held: dict[_Entrance, str] = {}
        self._servers: list[asyncio.Server] = []
        self.tls: ssl.SSLContext | None = None
        self.refused = 0
        self.port = 0

    async def start(self, hosts: Sequence[str], port: int, tls: ssl.SSLContext | None = None) -> None:
        """At each of these addresses of this PC, at the same port. Raises `OSError` when it is in use."""
        self.tls, self.port = tls, port
        loop = asyncio.get_running_loop()
        try:
            for host in hosts:
                server = await loop.create_server(lambda: _Entrance(self), host, self.port)
                self._servers.append(server)
                self.port = int(server.sockets[0].getsockname()[1])
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """No further connections."""
        for server in self._servers:
            server.close()

    async def wait_closed(self) -> None:
        """End those that there are."""
        for entrance in list(self._held):
            entrance.abort()
        for server in self._servers:
            await server.wait_closed()

    def __len__(self) -> int:
        return len(self._held)

    # ---- what the entrances say

    def admits(self, entrance: _Entrance, host: str) -> bool:
        """Count the connection in, unless there are too many."""
        if len(self._held) >= MOST or sum(other == host for other in self._held.values()) >= PER_HOST:
            self.refused += 1
            return False
        self._held[entrance] = host
        return True

    def left(self, entrance: _Entrance) -> None:
        self._held.pop(entrance, None)

    def begin(self, first: bytes) -> asyncio.Protocol | None:
        """What is to speak on, once the first bytes are enough."""
        return self._speak() if self._complete(first) else None


class _Entrance(asyncio.Protocol):
    """One connection: counted, put under TLS, listened to; then all of it goes on to what speaks."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._loop = asyncio.get_running_loop()
        self._raw: asyncio.Transport | None = None
        self._transport: asyncio.Transport | None = None
        """What is spoken on: under TLS, if there is to be any."""
        self._inside: asyncio.Protocol | None = None
        self._first = b""
        self._timer: asyncio.TimerHandle | None = None
        self._touched = 0.0
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        peer = made.get_extra_info("peername")
        if not self._admission.admits(self, str(peer[0]) if peer else "?"):
            made.abort()
            return
        self._raw = made
        self._timer = self._loop.call_later(HEADER_LIMIT, self._too_late)
        if self._admission.tls is None:
            self._open(made)
        else:
            made.pause_reading()
            self._upgrade = self._loop.create_task(self._begin_tls(made, self._admission.tls))

    async def _begin_tls(self, made: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            secure = await self._loop.start_tls(
                made, self, context, server_side=True, ssl_handshake_timeout=HEADER_LIMIT
            )
        except (OSError, asyncio.CancelledError):  # whatever the client has sent was no handshake
            self.abort()
            self._lost(None)
            return
        if secure is not None:
            self._open(secure)

    def _open(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._hand_over()

    def _hand_over(self) -> None:
        if self._transport is None:
            return  # TLS is still to say that it is there
        inside = self._admission.begin(self._first)
        if inside is None:
            return
        self._inside = inside
        if self._timer is not None:
            self._timer.cancel()
        self._touched = self._loop.time()
        self._timer = self._loop.call_later(IDLE_LIMIT, self._look)
        inside.connection_made(self._transport)
        first, self._first = self._first, b""
        if first:
            inside.data_received(first)

    def data_received(self, data: bytes) -> None:
        self._touched = self._loop.time()
        if self._inside is not None:
            self._inside.data_received(data)
            return
        self._first += data
        self._hand_over()
        if len(self._first) > LONGEST_HEAD:
            self._too_late()

    def eof_received(self) -> bool | None:
        return None if self._inside is None else self._inside.eof_received()

    def pause_writing(self) -> None:
        if self._inside is not None:
            self._inside.pause_writing()

    def resume_writing(self) -> None:
        self._touched = self._loop.time()
        if self._inside is not None:
            self._inside.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def _lost(self, exc: Exception | None) -> None:
        self._admission.left(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        inside, self._inside = self._inside, None
        if inside is not None:
            inside.connection_lost(exc)

    def abort(self) -> None:
        if self._upgrade is not None:
            self._upgrade.cancel()
        if self._raw is not None:
            self._raw.abort()

    def _too_late(self) -> None:
        self._admission.refused += 1
        self.abort()

    def _look(self) -> None:
        left = self._touched + IDLE_LIMIT - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._too_late()
