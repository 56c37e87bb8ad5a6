"""The client's side of DTLS for the raw CoAP peers: OpenSSL as a client, datagram by datagram."""

from __future__ import annotations

from typing import Any

from coap_peer import Device, Packet
from OpenSSL import SSL
from OpenSSL._util import ffi, lib

from bench.clock import Clock

CALLBACK = "unsigned int(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"


class SecureDevice(Device):
    """A device whose messages travel in DTLS records. `datagrams` keeps what it has sent, for replays."""

    ciphers = b"PSK-AES128-CCM8:PSK-AES128-GCM-SHA256:@SECLEVEL=0"
    version = 0xFEFD
    """1.2; the version it offers, and no other."""

    def __init__(
        self, clock: Clock, server: str, identity: str, key: bytes, endpoint: str = "dev", **options: Any
    ) -> None:
        self.identity, self.key = identity, key
        self.datagrams: list[bytes] = []
        self.established = False
        self.refused = ""
        self._new_connection()
        super().__init__(clock, server.replace("coaps://", "coap://"), endpoint, **options)

    def _new_connection(self) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_min_proto_version(self.version)
        context.set_max_proto_version(self.version)
        context.set_cipher_list(self.ciphers)

        def give(_ssl: Any, _hint: Any, identity: Any, room: int, key: Any, _length: int) -> int:
            name = self.identity.encode() + b"\0"
            ffi.memmove(identity, name, min(len(name), room))
            ffi.memmove(key, self.key, len(self.key))
            return len(self.key)

        self._callback = ffi.callback(CALLBACK, give)
        lib.SSL_CTX_set_psk_client_callback(context._context, self._callback)
        self.connection = SSL.Connection(context, None)
        self.connection.set_ciphertext_mtu(1200)
        self.connection.set_connect_state()
        self.established = False

    def handshake(self, timeout: float = 30.0, *, fresh: bool = False) -> None:
        """Shake hands; `fresh` forgets the session there was, without telling the server."""
        if fresh:
            self._new_connection()
        self._go_on()
        self.clock.wait_for(lambda: self.established, timeout=timeout, reason="the handshake")

    def _go_on(self) -> None:
        try:
            self.connection.do_handshake()
            self.established = True
        except SSL.WantReadError:
            pass
        except SSL.Error as refusal:  # an alert
            self.refused = str(refusal)
        self._flush()

    def _flush(self) -> None:
        try:
            data = self.connection.bio_read(65536)
        except SSL.WantReadError:
            return
        self.datagrams.append(data)
        self.raw_datagram(data)

    def raw_datagram(self, data: bytes) -> None:
        """Onto the wire, as it is."""
        super().raw(data)

    def repeat_flight(self) -> None:
        """Send the last flight once more, as a client does when no answer comes."""
        super().raw(self.datagrams[-1])

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self._chance.random() < self.loss:
            return
        self.connection.bio_write(data)
        if not self.established:
            self._go_on()
            self.clock.changed()
            if not self.established:
                return
        while True:
            try:
                message = self.connection.recv(65536)
            except (SSL.WantReadError, SSL.ZeroReturnError):
                break
            packet = Packet.decode(message)
            packet.at, packet.source = self.clock.now(), (addr[0], addr[1])
            self.heard.append(packet)
            self.hear(packet)
        self._flush()
        self.clock.changed()

    def plain(self, data: bytes) -> None:
        """A datagram as it is, not encrypted."""
        super().raw(data)

    def raw(self, data: bytes) -> None:
        def encrypt() -> None:
            self.connection.send(data)
            self._flush()

        self.clock.loop.call_soon_threadsafe(encrypt)
