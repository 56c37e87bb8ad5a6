"""One DTLS association with one client, over memory: datagrams in, datagrams and messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from bench.lwm2m.dtls.context import ServerContext
from bench.lwm2m.dtls.hello import CLIENT_KEY_EXCHANGE, Hello, Reassembly, psk_identity
from bench.lwm2m.dtls.records import CHANGE_CIPHER_SPEC, DATAGRAM, HANDSHAKE, HEADER, Record, datagrams
from bench.lwm2m.identity import Identity, Proof

FIRST_TIMEOUT, MAX_TIMEOUT = 1.0, 16.0
"""Seconds after which the last flight is sent again, doubling (RFC 6347, 4.2.4.1)."""
LARGEST_EXPONENT = 6
"""A block of CoAP has at most 16 << 6 bytes (RFC 7959, section 2.2)."""
_READ = 65536
_OF_HANDSHAKE = (bytes([CHANGE_CIPHER_SPEC]), bytes([HANDSHAKE]))


class HandshakeFailed(Exception):
    """The handshake cannot succeed any more; the message says why."""


class NotSent(Exception):
    """OpenSSL will not carry a message; the text says why."""


class Session:
    """`send(datagram)` is how datagrams leave. The last flight is repeated until the client goes on."""

    def __init__(
        self,
        context: ServerContext,
        connection: SSL.Connection,
        loop: asyncio.AbstractEventLoop,
        send: Callable[[bytes], None],
        hello: Hello,
    ) -> None:
        self.random = hello.random
        """The client's random value, which tells one attempt of a client from its next."""
        self._context = context
        self._connection = connection
        # who takes short records only has short buffers
        self._datagram = DATAGRAM if hello.fragment is None else min(DATAGRAM, hello.fragment + HEADER)
        connection.set_ciphertext_mtu(self._datagram)
        self.largest_block = _largest_block(hello.fragment)
        """Exponent of the largest block of CoAP that fits into a record of this session."""
        self._loop = loop
        self._send_datagram = send
        self._flight: list[bytes] = []
        self._final: list[bytes] = []  # until the client has shown that it got it
        self._timer: asyncio.TimerHandle | None = None
        self._pause = FIRST_TIMEOUT
        self.established = False
        self._limit: asyncio.TimerHandle | None = None
        self._key_exchange = Reassembly(CLIENT_KEY_EXCHANGE)
        self._claimed: bytes | None = None
        self.identity: Identity | None = None
        """Who the client has proved to be; None for one that showed no certificate."""
        self.known: bool | None = None
        """Whether the PSK identity that the client named is listed; None where it named none."""
        self.heard = loop.time()

    @property
    def named(self) -> str | None:
        """The PSK identity that the client named, proved or not."""
        return None if self._claimed is None else self._claimed.decode("utf-8", "backslashreplace")

    def limit(self, seconds: float, over: Callable[[], None]) -> None:
        """Call `over` in so many seconds, unless the session ends before, or another limit is set."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._loop.call_later(seconds, over)

    def receive(self, datagram: bytes, found: list[Record]) -> list[bytes]:
        """Take a datagram of these records (b"": only go on); returns the messages in it.

        Raises `HandshakeFailed`, or `ConnectionResetError` when the client has closed.
        """
        if not self.established:
            for _, body, _ in self._key_exchange.take(found):
                self._claimed = psk_identity(body)
        if datagram:
            self._connection.bio_write(datagram)
        if not self.established and not self._shake_hands():
            return []
        messages = self._messages()
        if self._final and datagram[:1] in _OF_HANDSHAKE:
            for flight in self._final:  # the client has missed it, or it would not repeat its own
                self._send_datagram(flight)
        return messages

    def _shake_hands(self) -> bool:
        self._context.claimed, self._context.known = self._claimed, None
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            self._note_known()
            self._flush(keep=True)
            return False
        except SSL.Error as error:
            self._note_known()
            self._flush(keep=False)
            self.close_quietly()
            raise HandshakeFailed(_reason(error)) from None
        self._note_known()
        self.established = True
        self.identity = self._proved()
        self._final = self._flush(keep=False)
        self._stop_timer()
        return True

    def _note_known(self) -> None:
        if self._context.known is not None:
            self.known = self._context.known

    def _proved(self) -> Identity | None:
        if self.known is not None:
            return Identity(Proof.PSK, self.named or "")
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else Identity(Proof.CERTIFICATE, _common_name(certificate))

    def _messages(self) -> list[bytes]:
        found = []
        try:
            while True:
                found.append(self._connection.recv(_READ))
        except SSL.WantReadError:
            pass
        except (SSL.ZeroReturnError, SSL.SysCallError):
            if not found:
                raise ConnectionResetError("the client has closed its session") from None
        except SSL.Error as error:
            raise ConnectionResetError(_reason(error)) from None
        finally:
            self._flush(keep=False)  # OpenSSL repeats its last flight when the client missed it
        if found:
            self.heard = self._loop.time()
            self._final = []
        return found

    def send(self, message: bytes) -> None:
        """Encrypt one message and send it. Raises `NotSent`."""
        try:
            self._connection.send(message)
        except SSL.Error as error:
            raise NotSent(f"OpenSSL does not carry {len(message)} bytes: {_reason(error)}") from None
        self._flush(keep=False)

    def close(self) -> None:
        """Tell the client, without waiting for it."""
        if self.established:
            try:
                self._connection.shutdown()
            except SSL.Error:
                pass
            self._flush(keep=False)
        self.close_quietly()

    def close_quietly(self) -> None:
        self._stop_timer()
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        self._flight.clear()
        self._final = []

    # ---- flights

    def _flush(self, *, keep: bool) -> list[bytes]:
        try:
            out = self._connection.bio_read(_READ)
        except SSL.WantReadError:
            return []
        sent = list(datagrams(out, self._datagram))
        for datagram in sent:
            self._send_datagram(datagram)
        if keep:
            self._flight = sent
            self._pause = FIRST_TIMEOUT
            self._arm()
        return sent

    def _arm(self) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(self._pause, self._repeat)

    def _repeat(self) -> None:
        for datagram in self._flight:
            self._send_datagram(datagram)
        self._pause = min(MAX_TIMEOUT, self._pause * 2)
        self._arm()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _largest_block(fragment: int | None) -> int:
    """A record must hold the block and the message around it: half of what fits, at most."""
    if fragment is None:
        return LARGEST_EXPONENT
    return min(LARGEST_EXPONENT, fragment.bit_length() - 6)


def _common_name(certificate: x509.Certificate) -> str:
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


def _reason(error: SSL.Error) -> str:
    """OpenSSL's words for what went wrong, without its file and function names."""
    details: Any = error.args[0] if error.args else None
    if isinstance(details, list) and details:
        return str(details[0][-1])
    return type(error).__name__
