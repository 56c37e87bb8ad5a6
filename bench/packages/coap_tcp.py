"""The CoAP over TCP door (RFC 8323), by aiocoap's own token layer on a port of our choice.

What comes in is read as over UDP (`bench.lwm2m.coap.wire`): aiocoap's connection takes an empty message for a
request, hides options that must be understood, and ends by an exception in what it cannot read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from aiocoap import Context, Message
from aiocoap.numbers.codes import ABORT, CSM, EMPTY, PING, PONG, RELEASE
from aiocoap.tokenmanager import TokenManager
from aiocoap.transports.tcp import TcpConnection, TCPServer, _extract_message_size

from bench.lwm2m.coap import wire
from bench.lwm2m.coap.site import GuardedSite
from bench.packages.admission import Admission
from bench.packages.coap import LARGEST, CoapDoor
from bench.packages.shelf import Package, Shelf

NAME = "coap+tcp"
BEGUN = "begun with "
PING_TOKEN = b"\xb3\x1e"

BASE_MESSAGE_SIZE = 1152
"""Bytes of a message that any peer takes which has named no other size (RFC 8323, 5.3.1)."""
AROUND_A_BLOCK = 64
"""Bytes of a message beside its block: length, token, ETag, Block2, Size2."""
_MAX_MESSAGE_SIZE, _BLOCK_WISE = 2, 4


class _Connection(TcpConnection):
    """One client. Malformed messages end it with an Abort (RFC 8323, 5.6).

    It notes how the client has begun, and the Pong that it owes; one that begins without a CSM is taken all
    the same: what a testcase says of that is worth more than a connection that is closed.
    """

    first: str | None = None
    noted = False
    asking: Package | None = None
    """The package before whose next block a Ping was sent."""

    _my_max_message_size = 8192
    _spool: bytes
    _remote_settings: Any

    @property
    def maximum_block_size_exp(self) -> int:
        """The largest block in a message that the peer takes."""
        largest = (self._remote_settings or {}).get("max-message-size", BASE_MESSAGE_SIZE) - AROUND_A_BLOCK
        return max(0, min(LARGEST, largest.bit_length() - 5))

    def data_received(self, data: bytes) -> None:
        self._spool += data
        while not self._transport.is_closing():
            lengths = _extract_message_size(self._spool)
            if lengths is None:
                return
            start, token, rest = lengths
            end = start + token + rest
            if end > self._my_max_message_size:
                self.abort("message too large")
                return
            if end > len(self._spool):
                return
            one, self._spool = self._spool[:end], self._spool[end:]
            try:
                self._take(one[start - 1], one[start : start + token], one[start + token :])
            except wire.Malformed as reason:
                self.abort(str(reason))

    def _take(self, code: int, token: bytes, rest: bytes) -> None:
        if len(token) > 8:
            raise wire.Malformed(f"token length {len(token)}")
        if self.first is None:
            self.first = f"{code >> 5}.{code & 31:02d}"
        if code >> 5 == 7:
            self._hear_signal(code, token, [(number, value) for number, value, _ in wire.options(rest)])
        elif code == EMPTY:  # may always be sent, and is ignored (RFC 8323, 3.4)
            return
        elif code >> 5 in wire.RESERVED_CLASSES:
            raise wire.Malformed(f"reserved code {code >> 5}.{code & 31:02d}")
        elif code >> 5 == 0:  # nothing is asked of a client, so that no response is awaited
            self._ctx._dispatch_incoming(self, wire.decode_content(code, token, rest, self))

    def _hear_signal(self, code: int, token: bytes, options: list[tuple[int, bytes]]) -> None:
        known = (_MAX_MESSAGE_SIZE, _BLOCK_WISE) if code == CSM else ()
        for number, _ in options:
            if number & 1 and number not in known:
                self.abort("a critical option of a signal is not known", bad_csm_option=number)
                return
        if code == CSM:
            self._remote_settings = self._remote_settings or {}
            for number, value in options:
                if number == _MAX_MESSAGE_SIZE and len(value) <= 4:
                    self._remote_settings["max-message-size"] = int.from_bytes(value, "big")
                elif number == _BLOCK_WISE:
                    self._remote_settings["block-wise-transfer"] = True
        elif code == PING:
            self._send_message(Message(code=PONG, token=token))
        elif code == PONG and self.asking is not None:
            right = token == PING_TOKEN
            self.asking.note(NAME, 0, 0, "pong" if right else f"pong with token {token.hex()}")
        elif code in (RELEASE, ABORT):
            self._transport.close()
        elif code != PONG:
            raise wire.Malformed(f"unknown signal 7.{code & 31:02d}")

    def pause_writing(self) -> None:
        """Who does not take his answers is not listened to."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


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
        self.port = 0

    async def start(self, hosts: Sequence[str], port: int) -> None:
        """At each of these addresses of this PC.

        Raises `OSError` when the port is in use (aiocoap itself would share it).
        """
        loop = asyncio.get_running_loop()
        site = GuardedSite()
        site.add_resource(["fw"], _OverTcp(self._shelf, NAME))
        context = Context(loop=loop, serversite=site, loggername="bench.coap")
        tokens = TokenManager(context)
        server: Any = TCPServer()
        server._tokenmanager = tokens
        server.log = log = logging.getLogger("bench.coap.tcp")

        def speak() -> asyncio.Protocol:
            connection: Any = _Connection(server, log, loop, is_server=True)
            connection._remote_settings = {}  # else it is closed before a CSM has come
            server._pool.add(connection)
            return connection

        # it speaks first, by its CSM
        server.server = admission = Admission(speak, lambda first: True)
        await admission.start(hosts, port)
        tokens.token_interface = server
        context.request_interfaces.append(tokens)
        self._context = context
        self.port = admission.port

    async def close(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            await context.shutdown()
