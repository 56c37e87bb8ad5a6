"""CoAP over DTLS on one UDP socket: sessions by address, as a message interface for aiocoap."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

from aiocoap import Message, error, interfaces
from OpenSSL import SSL

from bench.lwm2m.coap import wire
from bench.lwm2m.coap.endpoint import Address, Peer, hostinfo
from bench.lwm2m.coap.trace import Trace
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.records import HANDSHAKE, Hello, Record, client_hello, datagrams, records
from bench.lwm2m.dtls.session import HandshakeFailed, Session

HANDSHAKE_LIMIT = 60.0
"""Seconds within which a handshake must be over."""
IDLE_LIMIT = 86400.0
"""Seconds after which a session that carried nothing is forgotten."""
MAX_SESSIONS = 1024
MAX_HANDSHAKES = 256


class DtlsPeer(Peer):
    """The far end of a session: address, and who it has proved to be."""

    scheme = "coaps"

    def __init__(self, interface: Any, address: Address, identity: str | None) -> None:
        super().__init__(interface, address)
        self.authenticated_as = identity

    def __hash__(self) -> int:
        return hash((self.scheme, self.address))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DtlsPeer) and other.address == self.address

    @property
    def uri_base(self) -> str:
        return f"coaps://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coaps://{self.hostinfo_local}"

    @property
    def blockwise_key(self) -> Any:
        return (self.address, self.authenticated_as)

    def may_move_to(self, other: Peer) -> bool:
        return isinstance(other, DtlsPeer) and other.authenticated_as == self.authenticated_as


class DtlsEndpoint(interfaces.MessageInterface, asyncio.DatagramProtocol):
    """`note(address, text)` is told of handshakes and refusals, one line each, without secrets.

    A new handshake on the address of a session runs beside it, and takes its place only when the
    client has been authenticated (RFC 6347, 4.2.8).
    """

    def __init__(
        self, manager: Any, trace: Trace, context: ServerContext, note: Callable[[Address, str], None]
    ) -> None:
        self._manager = manager
        self._trace = trace
        self._context = context
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._sessions: dict[Address, Session] = {}
        self._handshakes: dict[Address, Session] = {}
        self._noted: dict[tuple[str, str], float] = {}
        self.hostinfo = ""
        self.address: Address = ("", 0)

    @classmethod
    async def open(
        cls,
        manager: Any,
        trace: Trace,
        context: ServerContext,
        note: Callable[[Address, str], None],
        host: str,
        port: int,
    ) -> DtlsEndpoint:
        """Bind. Raises `OSError` when the port is in use."""
        _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(manager, trace, context, note), local_addr=(host, port)
        )
        return endpoint

    # ---- datagrams in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # no common base in asyncio
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = (host, port)
        self.hostinfo = hostinfo(self.address)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        address = (addr[0], addr[1])
        try:
            found = records(data)
        except ValueError as reason:
            self._say(address, f"{len(data)} bytes that are no DTLS: {reason}")
            return
        hello = client_hello(found)
        if hello is not None and self._is_new(address, hello):
            self._listen(address, data, hello)
        elif self._is_for_handshake(address, found):
            self._go_on(address, data, found)
        elif address in self._sessions:
            self._receive(address, data)
        # anything else belongs to a session that is gone: silence, the client will notice

    def _is_new(self, address: Address, hello: Hello) -> bool:
        """Whether a ClientHello is neither part of the handshake under way nor an echo of the last one."""
        known = [s for s in (self._handshakes.get(address), self._sessions.get(address)) if s is not None]
        return all(session.random != hello.random for session in known)

    def _is_for_handshake(self, address: Address, found: list[Record]) -> bool:
        if address not in self._handshakes:
            return False
        return address not in self._sessions or any(r.epoch == 0 or r.kind == HANDSHAKE for r in found)

    def _listen(self, address: Address, data: bytes, hello: Hello) -> None:
        """A first ClientHello costs nothing but an answer: only its cookie, returned, makes a session."""
        connection = self._context.connection(address)
        connection.bio_write(data)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            with contextlib.suppress(SSL.WantReadError):
                for datagram in datagrams(connection.bio_read(65536)):
                    self._send_to(address, datagram)
            return
        except SSL.Error:
            self._say(address, "a ClientHello that cannot be read")
            return
        abandoned = self._handshakes.pop(address, None)
        if abandoned is not None:
            abandoned.close_quietly()
        if len(self._handshakes) >= MAX_HANDSHAKES:
            self._say(address, f"{MAX_HANDSHAKES} handshakes are under way; this one is not answered")
            return
        session = Session(
            self._context,
            connection,
            self._loop,
            lambda datagram: self._send_to(address, datagram),
            hello.random,
        )
        self._handshakes[address] = session
        self._loop.call_later(HANDSHAKE_LIMIT, self._give_up, address, session)
        self._go_on(address, b"", [])

    def _go_on(self, address: Address, data: bytes, found: list[Record]) -> None:
        session = self._handshakes[address]
        try:
            messages = session.receive(data)
        except HandshakeFailed as why:
            del self._handshakes[address]
            named = f" of {session.named!r}" if session.named is not None else ""
            self._say(address, f"handshake{named} failed: {why}")
            return
        except ConnectionResetError:
            self._handshakes.pop(address).close_quietly()
            return
        if session.established:
            self._establish(address, session)
            self._dispatch(address, session, messages)
        elif any(record.epoch > 0 for record in found):
            self._say(address, f"handshake of {session.named!r}: its last message cannot be read, wrong key?")

    def _establish(self, address: Address, session: Session) -> None:
        del self._handshakes[address]
        old = self._sessions.pop(address, None)
        if old is not None:
            old.close_quietly()  # its client is gone, or it would not have begun anew
        while len(self._sessions) >= MAX_SESSIONS:
            idlest = min(self._sessions, key=lambda a: self._sessions[a].heard)
            self._sessions.pop(idlest).close()
        self._sessions[address] = session
        self._loop.call_later(IDLE_LIMIT, self._forget_idle, address, session)
        self._note(address, f"session with {session.identity!r}")

    def _receive(self, address: Address, data: bytes) -> None:
        session = self._sessions[address]
        try:
            messages = session.receive(data)
        except ConnectionResetError as why:
            del self._sessions[address]
            session.close_quietly()
            self._note(address, f"session with {session.identity!r} ended: {why}")
            return
        self._dispatch(address, session, messages)

    def _dispatch(self, address: Address, session: Session, messages: list[bytes]) -> None:
        for data in messages:
            peer = DtlsPeer(self, address, session.identity)
            try:
                message = wire.decode(data, peer)
            except wire.Malformed as reason:
                self._trace.junk(address, len(data), str(reason))
                continue
            self._trace.received(address, message, data)
            if self._manager is not None:
                self._manager.dispatch_message(message)

    def _give_up(self, address: Address, session: Session) -> None:
        if self._handshakes.get(address) is session:
            del self._handshakes[address]
            session.close_quietly()
            self._say(address, f"handshake not finished within {HANDSHAKE_LIMIT:g} s")

    def _forget_idle(self, address: Address, session: Session) -> None:
        if self._sessions.get(address) is not session:
            return
        left = session.heard + IDLE_LIMIT - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self._forget_idle, address, session)
        else:
            self._sessions.pop(address).close()

    def _say(self, address: Address, text: str) -> None:
        """Once a minute for the same cause from the same host: a flood is one entry."""
        key, now = (address[0], text), self._loop.time()
        if now - self._noted.get(key, -60.0) >= 60.0:
            if len(self._noted) >= MAX_SESSIONS:
                self._noted.clear()
            self._noted[key] = now
            self._note(address, text)

    def forget(self, address: Address) -> None:
        """Know nothing more of a session, as after a restart; the client is not told."""
        session = self._sessions.pop(address, None)
        if session is not None:
            session.close_quietly()
            self._note(address, f"session with {session.identity!r} forgotten")

    # ---- messages out

    def send_bare(self, data: bytes, address: Address) -> None:
        """Bytes as they are, without DTLS, past the trace."""
        self._send_to(address, data)

    def _send_to(self, address: Address, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, address)

    def send(self, message: Message) -> None:
        """Raises aiocoap's `NetworkError` when the device has no session (it must begin one)."""
        address = message.remote.address
        session = self._sessions.get(address)
        if session is None or session.identity != message.remote.authenticated_as:
            raise error.NetworkError("the device has no DTLS session; it must begin a new one")
        data = message.encode()
        self._trace.sent(address, message, data)
        session.send(data)

    async def recognize_remote(self, remote: Any) -> bool:
        return isinstance(remote, DtlsPeer) and remote.interface is self

    async def determine_remote(self, message: Message) -> DtlsPeer | None:
        return None  # a server begins no sessions

    async def shutdown(self) -> None:
        self._manager = None
        for session in (*self._sessions.values(), *self._handshakes.values()):
            session.close()
        self._sessions.clear()
        self._handshakes.clear()
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()
