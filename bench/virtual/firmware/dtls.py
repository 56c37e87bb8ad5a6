"""DTLS 1.2 on the device: a link that encrypts what goes to secured addresses (pre-shared key, or
certificates).

OpenSSL in the client's role, over memory; time for repeated flights is the processor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from OpenSSL import SSL
from OpenSSL._util import ffi, lib  # pyOpenSSL has no door of its own to OpenSSL's PSK callbacks

from bench.virtual.firmware import server_certificate
from bench.virtual.firmware.server_certificate import NONE, Certified
from bench.virtual.machine import Machine
from bench.virtual.radio.modem import Address
from bench.virtual.scheduler import Handle

CIPHERS = b"PSK-AES128-CCM8:PSK-AES128-GCM-SHA256:@SECLEVEL=0"
FIRST_TIMEOUT, ATTEMPTS = 1.0, 6
"""Seconds before a flight is sent again, doubling; flights until the handshake is given up."""
MAX_QUEUED = 8
"""Messages that wait for a handshake; more are lost, as on a full queue."""
MTU = 1200
_PSK = "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
_HEADER = 13
_CHANGE_CIPHER, _HANDSHAKE = 20, 22
_OF_HANDSHAKE = (_CHANGE_CIPHER, _HANDSHAKE)
_CLEAR = bytes(2)
"""The epoch before keys are in use."""


class Wire(Protocol):
    """What a link stands on."""

    def send(self, data: bytes, address: Address) -> None: ...
    def listen(self, heard: Callable[[bytes, Address], None]) -> None: ...


class _Session:
    """With one address. `out` sends a datagram, `up` takes a message."""

    def __init__(
        self,
        machine: Machine,
        identity: str,
        key: bytes,
        own: Certified,
        address: Address,
        out: Callable[[bytes], None],
        up: Callable[[bytes], None],
    ) -> None:
        self._machine, self._out, self._up = machine, out, up
        self._queued: list[bytes] = []
        self._flight = b""
        self._said: set[tuple[int, bytes, bytes]] = set()
        self._timer: Handle | None = None
        self._left = ATTEMPTS
        self.established = self.dead = False

        def give(_ssl: Any, _hint: Any, into: Any, room: int, secret: Any, space: int) -> int:
            name = identity.encode() + b"\0"
            if len(name) > room or len(key) > space:
                return 0
            ffi.memmove(into, name, len(name))
            ffi.memmove(secret, key, len(key))
            return len(key)

        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET)
        if own:
            server_certificate.prepare(context, own, *address)
        else:
            context.set_cipher_list(CIPHERS)
            self._callback = ffi.callback(_PSK, give)  # must outlive the connection
            lib.SSL_CTX_set_psk_client_callback(context._context, self._callback)
        self._connection = SSL.Connection(context, None)
        self._connection.set_ciphertext_mtu(MTU)
        self._connection.set_connect_state()

    def send(self, message: bytes) -> None:
        if self.established:
            self._connection.send(message)
            self._flush()
        elif len(self._queued) < MAX_QUEUED:
            self._queued.append(message)
            if not self._flight:
                self._go_on()

    def receive(self, datagram: bytes) -> None:
        self._connection.bio_write(datagram)
        if not self.established:
            self._go_on()
        while self.established and not self.dead:
            try:
                message = self._connection.recv(65536)
            except SSL.WantReadError:
                break
            except SSL.Error:  # closed by the server, or broken
                self.stop()
                return
            self._up(message)
        if self.established:
            self._flush()

    def _go_on(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            data = self._flush()
            if data:
                self._flight, self._left = data, ATTEMPTS
                self._arm(FIRST_TIMEOUT)
            return
        except SSL.Error:  # one side does not believe the other
            self._flush()
            self.stop()
            return
        self.established = True
        self._disarm()
        self._flush()
        queued, self._queued = self._queued, []
        for message in queued:
            self.send(message)

    def _flush(self) -> bytes:
        try:
            data = self._connection.bio_read(65536)
        except SSL.WantReadError:
            return b""
        data = b"".join(record for record in _records(data) if self._is_fresh(record))
        self._send_records(data)
        return data

    def _is_fresh(self, record: bytes) -> bool:
        """Whether OpenSSL has not sent this part of the handshake before.

        It repeats flights by the host's clock, which a busy host lets run on while simulated time
        stands still; repeating is done here, by the processor's timer.
        """
        kind, epoch = record[0], record[3:5]
        if kind not in _OF_HANDSHAKE:
            return True
        # in the clear a message has a number and an offset; of what is encrypted there is one flight
        part = record[17:22] if kind == _HANDSHAKE and epoch == _CLEAR else b""
        mark = (kind, epoch, part)
        fresh = mark not in self._said
        self._said.add(mark)
        return fresh

    def _send_records(self, data: bytes) -> None:
        datagram = b""
        for record in _records(data):
            if datagram and len(datagram) + len(record) > MTU:
                self._out(datagram)
                datagram = b""
            datagram += record
        if datagram:
            self._out(datagram)

    def _arm(self, wait: float) -> None:
        self._disarm()
        self._timer = self._machine.cpu.after(wait, lambda: self._again(wait))

    def _again(self, wait: float) -> None:
        self._left -= 1
        if self._left <= 0:
            self.stop()
            return
        self._send_records(self._flight)
        self._arm(wait * 2)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def stop(self) -> None:
        self.dead = True
        self._disarm()


def _records(data: bytes) -> Iterator[bytes]:
    """The records in OpenSSL's output, each with its header (RFC 6347, 4.1)."""
    while data:
        end = _HEADER + int.from_bytes(data[11:13], "big")
        yield data[:end]
        data = data[end:]


class SecureLink:
    """Takes the place of the modem for the CoAP engine; other addresses pass in the clear."""

    def __init__(self, machine: Machine, wire: Wire) -> None:
        self._machine = machine
        self._wire = wire
        self._heard: Callable[[bytes, Address], None] = lambda data, address: None
        self._secured: set[Address] = set()
        self._sessions: dict[Address, _Session] = {}
        self._identity, self._key, self._own = "", b"", NONE

    @property
    def has_credentials(self) -> bool:
        return bool(self._key or self._own)

    def use(self, identity: str, key: bytes, own: Certified = NONE) -> None:
        """From now on these credentials; sessions with others end."""
        self._identity, self._key, self._own = identity, key, own
        for address in tuple(self._sessions):
            self.forget(address)

    def secure(self, address: Address) -> None:
        """Whatever goes to this address goes encrypted."""
        self._secured.add(address)

    def forget(self, address: Address) -> None:
        """End the session with an address: the next message begins a new one."""
        session = self._sessions.pop(address, None)
        if session is not None:
            session.stop()

    def listen(self, heard: Callable[[bytes, Address], None]) -> None:
        self._heard = heard
        self._wire.listen(self._receive)

    def send(self, data: bytes, address: Address) -> None:
        if address in self._secured:
            self._session(address).send(data)
        else:
            self._wire.send(data, address)

    def _session(self, address: Address) -> _Session:
        session = self._sessions.get(address)
        if session is None or session.dead:
            session = self._sessions[address] = _Session(
                self._machine,
                self._identity,
                self._key,
                self._own,
                address,
                lambda datagram: self._wire.send(datagram, address),
                lambda message: self._heard(message, address),
            )
        return session

    def _receive(self, data: bytes, address: Address) -> None:
        session = self._sessions.get(address)
        if address not in self._secured:
            self._heard(data, address)
        elif session is not None and not session.dead:
            session.receive(data)
        # anything else on a secured address is none of ours
