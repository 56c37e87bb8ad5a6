"""CoAP over DTLS on one UDP socket: sessions by address, as a message interface for aiocoap."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from aiocoap import Message, interfaces
from OpenSSL import SSL

from bench.lwm2m.coap.endpoint import Address, NotDelivered, Peer, hostinfo, receive, widen
from bench.lwm2m.coap.trace import Trace
from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.hello import CLIENT_HELLO, Hello, Reassembly, is_hello, read_hello
from bench.lwm2m.dtls.records import HANDSHAKE, Record, datagrams, records
from bench.lwm2m.dtls.session import LARGEST_EXPONENT, HandshakeFailed, NotSent, Session
from bench.lwm2m.identity import Identity

T = TypeVar("T")

HANDSHAKE_LIMIT = 60.0
"""Seconds within which a handshake must be over."""
IDLE_LIMIT = 86400.0
"""Seconds after which a session that carried nothing is forgotten."""
MAX_SESSIONS = 1024
SESSIONS_PER_IDENTITY = 4
"""A device that restarts without closing leaves its session behind; it uses one or two at a time."""
MAX_HANDSHAKES = 256
HANDSHAKES_PER_HOST = 32
MAX_HELLOS = 64
HELLOS_PER_HOST = 8
"""ClientHellos of which only some fragments have come."""


_UNREAD = {
    True: "its last message cannot be read, wrong key?",
    False: "it is not listed",
    None: "its last message came before the one that names it",
}
"""Why what a client sends encrypted cannot be read, by whether it is known."""


class DtlsPeer(Peer):
    """The far end of a session: address, and who it has proved to be."""

    scheme = "coaps"

    def __init__(self, interface: Any, address: Address, identity: Identity | None) -> None:
        super().__init__(interface, address)
        self.identity = identity

    @property
    def maximum_block_size_exp(self) -> int:  # type: ignore[override]  # aiocoap has it as an attribute
        """By the records of the session that the peer has now."""
        largest: int = self.interface.largest_block(self)
        return largest

    @property
    def maximum_payload_size(self) -> int:  # type: ignore[override]
        return 16 << self.maximum_block_size_exp

    @property
    def uri_base(self) -> str:
        return f"coaps://{self.hostinfo}"

    @property
    def uri_base_local(self) -> str:
        return f"coaps://{self.hostinfo_local}"


class DtlsEndpoint(interfaces.MessageInterface, asyncio.DatagramProtocol):
    """`note(peer, text)` is told of sessions and refusals, one line each, without secrets; the peer is None
    for whom nothing has been proved of.

    A new handshake on the address of a session runs beside it, and takes its place only when the
    client has been authenticated (RFC 6347, 4.2.8).
    """

    def __init__(
        self, manager: Any, trace: Trace, context: ServerContext, note: Callable[[Peer | None, str], None]
    ) -> None:
        self._manager = manager
        self._trace = trace
        self._context = context
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._sessions: dict[Address, Session] = {}
        self._handshakes: dict[Address, Session] = {}
        self._hellos: dict[Address, Reassembly] = {}
        self._noted: dict[tuple[str, str], float] = {}
        self.begun = 0
        """Handshakes that clients have begun, by a cookie returned."""
        self.hostinfo = ""
        self.address: Address = ("", 0)

    @classmethod
    async def open(
        cls,
        manager: Any,
        trace: Trace,
        context: ServerContext,
        note: Callable[[Peer | None, str], None],
        host: str,
        port: int,
    ) -> DtlsEndpoint:
        """Bind. Raises `OSError` when the port is in use."""
        _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(manager, trace, context, note), local_addr=(host, port)
        )
        return endpoint

    def show(self, context: ServerContext) -> ServerContext:
        """Begin handshakes by `context` from now on; returns the one until now. Sessions stay."""
        before, self._context = self._context, context
        return before

    # ---- datagrams in

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # no common base in asyncio
        widen(transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self.address = (host, port)
        self.hostinfo = hostinfo(self.address)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        address = (addr[0], addr[1])
        try:
            found = records(data)
        except ValueError as reason:
            self._say(address, "no DTLS", f"{len(data)} bytes that are no DTLS: {reason}")
            return
        hello = None
        if is_hello(found):
            hello = self._whole_hello(address, found)
            if hello is None:
                return  # its other fragments are still on their way
        if hello is not None and self._is_new(address, hello):
            self._listen(address, hello)
        elif self._is_for_handshake(address, found):
            self._go_on(address, data, found)
        elif address in self._sessions:
            self._receive(address, data, found)
        # anything else belongs to a session that is gone: silence, the client will notice

    def _whole_hello(self, address: Address, found: list[Record]) -> Hello | None:
        """The ClientHello that this datagram holds, or completes."""
        begun = self._hellos.pop(address, None) or Reassembly(CLIENT_HELLO)
        for number, body, head in begun.take(found):
            return read_hello(number, body, head)
        _make_room(self._hellos, address, HELLOS_PER_HOST, MAX_HELLOS)
        self._hellos[address] = begun
        return None

    def _is_new(self, address: Address, hello: Hello) -> bool:
        """Whether a ClientHello is neither part of the handshake under way nor an echo of the last one."""
        known = [s for s in (self._handshakes.get(address), self._sessions.get(address)) if s is not None]
        return all(session.random != hello.random for session in known)

    def _is_for_handshake(self, address: Address, found: list[Record]) -> bool:
        if address not in self._handshakes:
            return False
        return address not in self._sessions or any(r.epoch == 0 or r.kind == HANDSHAKE for r in found)

    def _listen(self, address: Address, hello: Hello) -> None:
        """A first ClientHello costs nothing but an answer: only its cookie, returned, makes a session."""
        connection = self._context.connection(address)
        connection.bio_write(hello.datagram)
        try:
            connection.DTLSv1_listen()
        except SSL.WantReadError:
            with contextlib.suppress(SSL.WantReadError):
                for datagram in datagrams(connection.bio_read(65536)):
                    self._send_to(address, datagram)
            return
        except SSL.Error:
            self._say(address, "hello", "a ClientHello that cannot be read")
            return
        abandoned = self._handshakes.pop(address, None)
        if abandoned is not None:
            abandoned.close_quietly()
        for displaced in _make_room(self._handshakes, address, HANDSHAKES_PER_HOST, MAX_HANDSHAKES):
            displaced.close_quietly()
            self._say(address, "too many", "more handshakes are under way than are kept; the oldest gave way")
        session = Session(
            self._context, connection, self._loop, lambda datagram: self._send_to(address, datagram), hello
        )
        self._handshakes[address] = session
        self.begun += 1
        session.limit(HANDSHAKE_LIMIT, lambda: self._give_up(address))
        self._go_on(address, b"", [])

    def _go_on(self, address: Address, data: bytes, found: list[Record]) -> None:
        session = self._handshakes[address]
        try:
            messages = session.receive(data, found)
        except HandshakeFailed as why:
            del self._handshakes[address]
            named = f" of {session.named!r}" if session.named is not None else ""
            self._say(address, f"failed: {why}", f"handshake{named} failed: {why}")
            return
        except ConnectionResetError:
            self._handshakes.pop(address).close_quietly()
            return
        if session.established:
            self._establish(address, session)
            self._dispatch(address, session, messages)
        elif any(record.epoch > 0 for record in found):
            cause = _UNREAD[session.known]
            self._say(address, cause, f"handshake of {session.named!r}: {cause}")

    def _establish(self, address: Address, session: Session) -> None:
        del self._handshakes[address]
        old = self._sessions.get(address)
        if old is not None and old.identity == session.identity:
            del self._sessions[address]
            old.close_quietly()  # its client has begun anew; what is under way goes on in the new one
        elif old is not None:
            self._end(address, "somebody else has begun a session from its address")
        own = [a for a, s in self._sessions.items() if s.identity == session.identity]
        if session.identity is not None and len(own) >= SESSIONS_PER_IDENTITY:
            self._end(self._idlest(own), "its client has begun others")
        if len(self._sessions) >= MAX_SESSIONS:
            self._end(self._idlest(self._sessions), "others took its place")
        self._sessions[address] = session
        session.limit(IDLE_LIMIT, lambda: self._end_idle(address))
        self._note(self._peer(address, session), f"session with {_who(session)}")

    def _idlest(self, addresses: Iterable[Address]) -> Address:
        return min(addresses, key=lambda address: self._sessions[address].heard)

    def _end(self, address: Address, why: str) -> None:
        """A session is over, for whatever reason: nothing that was asked in it will be answered."""
        session = self._sessions.pop(address)
        peer = self._peer(address, session)
        session.close()
        self._note(peer, f"session with {_who(session)} ended: {why}")
        if self._manager is not None:
            self._manager.hung_up(peer, NotDelivered(f"its DTLS session has ended: {why}"))

    def _receive(self, address: Address, data: bytes, found: list[Record]) -> None:
        session = self._sessions[address]
        try:
            messages = session.receive(data, found)
        except ConnectionResetError as why:
            self._end(address, str(why))
            return
        self._dispatch(address, session, messages)

    def _peer(self, address: Address, session: Session) -> DtlsPeer:
        return DtlsPeer(self, address, session.identity)

    def _dispatch(self, address: Address, session: Session, messages: list[bytes]) -> None:
        for data in messages:
            receive(self._manager, self._trace, self._peer(address, session), data)

    def _give_up(self, address: Address) -> None:
        self._handshakes.pop(address).close_quietly()
        self._say(address, "late", f"handshake not finished within {HANDSHAKE_LIMIT:g} s")

    def _end_idle(self, address: Address) -> None:
        session = self._sessions[address]
        left = session.heard + IDLE_LIMIT - self._loop.time()
        if left > 0:
            session.limit(left, lambda: self._end_idle(address))
        else:
            self._end(address, f"silent for {IDLE_LIMIT:g} s")

    def _say(self, address: Address, cause: str, text: str) -> None:
        """Once a minute for the same cause from the same host: a flood is one entry."""
        key, now = (address[0], cause), self._loop.time()
        if now - self._noted.get(key, -60.0) >= 60.0:
            if len(self._noted) >= MAX_SESSIONS:
                self._noted.clear()
            self._noted[key] = now
            self._note(None, text)

    def forget(self, address: Address) -> None:
        """Know nothing more of a session, as after a restart; the client is not told."""
        session = self._sessions.pop(address, None)
        if session is not None:
            session.close_quietly()
            self._note(self._peer(address, session), f"session with {_who(session)} forgotten")

    # ---- messages out

    def send_bare(self, data: bytes, address: Address) -> None:
        """Bytes as they are, without DTLS, past the trace."""
        self._send_to(address, data)

    def _send_to(self, address: Address, datagram: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, address)

    def send(self, message: Message) -> None:
        """Raises `NotDelivered` when the device has no session, or none for so long a message."""
        peer = message.remote
        session = self._session_of(peer)
        if session is None:
            raise NotDelivered("the device has no DTLS session; it must begin a new one")
        data = message.encode()
        self._trace.sent(peer, message, data)
        try:
            session.send(data)
        except NotSent as why:
            raise NotDelivered(str(why)) from None

    def _session_of(self, peer: DtlsPeer) -> Session | None:
        session = self._sessions.get(peer.address)
        return session if session is not None and session.identity == peer.identity else None

    def largest_block(self, peer: DtlsPeer) -> int:
        """Exponent of the largest block that this peer's records take."""
        session = self._session_of(peer)
        return LARGEST_EXPONENT if session is None else session.largest_block

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
        self._hellos.clear()
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._transport.close()


def _who(session: Session) -> str:
    return "nobody in particular" if session.identity is None else str(session.identity)


def _make_room(held: dict[Address, T], address: Address, per_host: int, most: int) -> list[T]:
    """Take out the oldest of the same host, and of all, until one more has room; returns what gave way."""
    gone = []
    own = [other for other in held if other[0] == address[0]]
    while len(own) >= per_host:
        gone.append(held.pop(own.pop(0)))
    while len(held) >= most:
        gone.append(held.pop(next(iter(held))))
    return gone
