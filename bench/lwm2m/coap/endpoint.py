"""CoAP over one plain UDP socket, as a message interface for aiocoap.

aiocoap's own UDP transports need Linux socket options, or answer from another port than they were
asked on. This one is a single asyncio datagram socket: every message leaves from the server's port
on every operating system.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any, cast

from aiocoap import Message, error, interfaces

from bench.lwm2m.coap import wire
from bench.lwm2m.coap.trace import Trace
from bench.lwm2m.identity import Identity

Address = tuple[str, int]

RECEIVE_BUFFER = 1 << 20
"""Bytes of datagrams not yet read."""


def hostinfo(address: Address) -> str:
    """ "host:port" as it stands in a URI."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class NotDelivered(error.NetworkError):
    """A message did not leave, or its answer cannot come any more; the text says why."""

    def __str__(self) -> str:
        return str(self.args[0])


class Peer(interfaces.EndpointAddress):
    """The far end of a message: IP address and port, and who it has proved to be.

    Two are the same only when all of it is: nothing that is known by its peer can be reached from the same
    address by somebody else.
    """

    scheme = "coap"
    identity: Identity | None = None
    is_multicast = False
    is_multicast_locally = False
    maximum_block_size_exp = 6
    maximum_payload_size = 1024

    def __init__(self, interface: Any, address: Address) -> None:
        self.interface = interface
        self.address = address

    def __hash__(self) -> int:
        return hash((self.scheme, self.address))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.address == self.address and other.identity == self.identity

    def __repr__(self) -> str:
        return f"<peer {self.hostinfo}>"

    @property
    def hostinfo(self) -> str:
        return hostinfo(self.address)

    @property
    def hostinfo_local(self) -> str:
        return self.interface.hostinfo

    @property
    def uri_base(self) -> str:
        return f"coap://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coap://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> Any:
        return (self.scheme, self.address, self.identity)

    def as_response_address(self) -> Peer:
        return self

    def may_move_to(self, other: Peer) -> bool:
        """Whether the same device may be heard from there: who was authenticated stays who he is."""
        return type(other) is type(self) and other.identity == self.identity


def widen(transport: asyncio.BaseTransport) -> None:
    """Have the operating system hold more of a flood for a server that is busy, if it lets itself be told."""
    opened = transport.get_extra_info("socket")
    with contextlib.suppress(OSError):
        if opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) < RECEIVE_BUFFER:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def receive(manager: Any, trace: Trace, peer: Peer, data: bytes) -> None:
    """One datagram of a peer, decrypted, to the message layer; what is no message is rejected."""
    try:
        message = wire.decode(data, peer)
    except wire.Malformed as reason:
        trace.junk(peer, len(data), str(reason))
        mid = wire.confirmable(data)
        if mid is not None and manager is not None:
            manager.reject(peer, mid)
        return
    trace.received(peer, message, data)
    if manager is not None:
        manager.dispatch_message(message)


class UdpEndpoint(interfaces.MessageInterface, asyncio.DatagramProtocol):
    """One socket."""

    def __init__(self, manager: Any, trace: Trace) -> None:
        self._manager = manager
        self._trace = trace
        self._transport: asyncio.DatagramTransport | None = None
        self.hostinfo = ""
        self.address: Address = ("", 0)

    @classmethod
    async def open(cls, manager: Any, trace: Trace, host: str, port: int) -> UdpEndpoint:
        """Bind. Raises `OSError` when the port is in use (the socket shares it with nobody)."""
        loop = asyncio.get_running_loop()
        _, endpoint = await loop.create_datagram_endpoint(
            lambda: cls(manager, trace), local_addr=(host, port)
        )
        return endpoint

    def peer(self, address: Address) -> Peer:
        return Peer(self, address)

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # no common base in asyncio
        widen(transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = (host, port)
        self.hostinfo = hostinfo(self.address)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        receive(self._manager, self._trace, self.peer((addr[0], addr[1])), data)

    def error_received(self, exc: Exception) -> None:
        """ICMP errors do not say whose they are on an unconnected socket: the time-outs will."""

    # ---- aiocoap's side

    def send(self, message: Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        data = message.encode()
        self._trace.sent(message.remote, message, data)
        self._transport.sendto(data, message.remote.address)

    def send_bare(self, data: bytes, address: Address) -> None:
        """Bytes as they are, past the trace."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, address)

    async def recognize_remote(self, remote: Any) -> bool:
        return isinstance(remote, Peer) and remote.interface is self

    async def determine_remote(self, message: Message) -> Peer | None:
        return None  # requests go to registered devices only, whose address is known

    async def shutdown(self) -> None:
        self._manager = None
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()
