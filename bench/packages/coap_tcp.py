"""The CoAP over TCP door (RFC 8323), by aiocoap's own connections on a port of our choice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aiocoap import Context, Message
from aiocoap.numbers.codes import PING, PONG
from aiocoap.resource import Site
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.tcp import TcpConnection, TCPServer

from bench.packages.coap import CoapDoor
from bench.packages.shelf import Package, Shelf

NAME = "coap+tcp"
BEGUN = "begun with "
PING_TOKEN = b"\xb3\x1e"


class _Connection(TcpConnection):
    """Notes how it has begun, and the Pong that it owes; takes one that begins without a CSM all the same.

    What a testcase says of that is worth more than a connection that aiocoap has closed.
    """

    first: str | None = None
    noted = False
    asking: Package | None = None
    """The package before whose next block a Ping was sent."""

    def _process_signaling(self, message: Message) -> None:
        if self.first is None:
            self.first = str(message.code.dotted)
        if message.code is PONG and self.asking is not None:
            right = message.token == PING_TOKEN
            self.asking.note(NAME, 0, 0, "pong" if right else f"pong with token {message.token.hex()}")
        super()._process_signaling(message)

    def took(self, message: Message) -> None:
        """A request has arrived."""
        if self.first is None:
            self.first = str(message.code.dotted)


class _Server(TCPServer):
    def _dispatch_incoming(self, connection: _Connection, message: Message) -> None:
        connection.took(message)
        super()._dispatch_incoming(connection, message)


class _OverTcp(CoapDoor):
    async def _block(self, package: Package, request: Message) -> Message | None:
        connection: _Connection = request.remote
        if not connection.noted:
            connection.noted = True
            package.note(self._name, 0, 0, BEGUN + str(connection.first))
        block = request.opt.block2
        if package.pings(0 if block is None else block.start):
            package.note(self._name, 0, 0, "ping")
            connection.asking = package
            ping = Message(code=PING)
            ping.token = PING_TOKEN
            connection._send_message(ping)
        return await super()._block(package, request)

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
        site.add_resource(["fw"], _OverTcp(self._shelf, NAME))
        context = Context(loop=loop, serversite=site, loggername="bench.coap")
        tokens = TokenManager(context)
        server = _Server()
        server._tokenmanager = tokens
        server.log = log = logging.getLogger("bench.coap.tcp")

        def accept() -> TcpConnection:
            connection = _Connection(server, log, loop, is_server=True)
            connection._remote_settings = {}  # else it is closed before a CSM has come
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
