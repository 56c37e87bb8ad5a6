"""The CoAP over TCP door (RFC 8323), by aiocoap's own connections on a port of our choice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiocoap import Context, Message
from aiocoap.resource import Site
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.tcp import TcpConnection, TCPServer

from bench.packages.coap import CoapDoor
from bench.packages.shelf import Shelf


class _OverTcp(CoapDoor):
    def _break_off(self, request: Message) -> None:
        request.remote._transport.abort()


class CoapTcpDoor:
    """`start` opens it; `port` is the one that was taken."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._context: Context | None = None
        self._others: list[asyncio.Server] = []
        self.port = 0

    async def start(self, hosts: Sequence[str], port: int) -> None:
        """At each of these addresses of this PC.

        Raises `OSError` when the port is in use (aiocoap itself would share it).
        """
        loop = asyncio.get_running_loop()
        site = Site()
        site.add_resource(["fw"], _OverTcp(self._shelf, "coap+tcp"))
        context = Context(loop=loop, serversite=site, loggername="bench.coap")
        tokens = TokenManager(context)
        server = TCPServer()
        server._tokenmanager = tokens
        server.log = log = logging.getLogger("bench.coap.tcp")

        def accept() -> TcpConnection:
            connection = TcpConnection(server, log, loop, is_server=True)
            server._pool.add(connection)
            return connection

        first, *others = hosts
        server.server = listening = await loop.create_server(accept, first, port)
        self.port = int(listening.sockets[0].getsockname()[1])
        tokens.token_interface = server
        context.request_interfaces.append(tokens)
        self._context = context
        for host in others:
            self._others.append(await loop.create_server(accept, host, self.port))

    async def close(self) -> None:
        for other in self._others:
            other.close()
        self._others.clear()
        context, self._context = self._context, None
        if context is not None:
            await context.shutdown()
