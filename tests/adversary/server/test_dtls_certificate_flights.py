"""A server's certificates are long; what carries them must fit a small client's buffers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from coap_peer import Peer
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from OpenSSL import SSL

from bench.clock import Clock
from bench.lwm2m.dtls.credentials import Certificates, Credentials
from bench.lwm2m.dtls.records import DATAGRAM, HEADER, records
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline


def made(name: str, issuer: str, key: Any, signed_by: Any) -> bytes:
    now = datetime.now(UTC)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in (name, issuer)]
    builder = x509.CertificateBuilder().subject_name(names[0]).issuer_name(names[1])
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    return builder.sign(signed_by, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture
def server(clock: Clock, timeline: Timeline, faults: list[Any], tmp_path: Path) -> Iterator[LwM2mServer]:
    """Its chain has three certificates, two of them for RSA keys: some 3 kB."""
    own, middle, root = (
        ec.generate_private_key(ec.SECP256R1()),
        *(rsa.generate_private_key(65537, 2048) for _ in range(2)),
    )
    chain = made("server", "middle", own, middle) + made("middle", "root", middle, root)
    (tmp_path / "chain.pem").write_bytes(chain + made("root", "root", root, root))
    key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(key)
    credentials = Credentials(certificates=Certificates(tmp_path / "chain.pem", tmp_path / "key.pem"))
    credentials.add_psk("id-a", b"key", "dev")
    made_server = LwM2mServer(clock, timeline, seed=1, credentials=credentials)
    made_server.start()
    yield made_server
    made_server.close()


def asking_for(hello: bytes, code: int) -> bytes:
    """A ClientHello with extension max_fragment_length put in (RFC 6066, section 4)."""
    (record,) = records(hello)
    body = bytearray(record.body)
    position = 12 + 34
    for width in (1, 1, 2, 1):  # session, cookie, cipher suites, compression methods
        position += width + int.from_bytes(body[position : position + width], "big")
    longer = int.from_bytes(body[position : position + 2], "big") + 5
    body[position : position + 2] = longer.to_bytes(2, "big")
    body += b"\0\1\0\1" + bytes([code])
    length = (len(body) - 12).to_bytes(3, "big")
    body[1:4] = body[9:12] = length
    return hello[:11] + len(body).to_bytes(2, "big") + bytes(body)


class Listener(Peer):
    """Begins a handshake, and keeps what it is sent, datagram by datagram."""

    def __init__(self, clock: Clock, server: LwM2mServer, code: int | None) -> None:
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        context.set_min_proto_version(0xFEFD)
        context.set_max_proto_version(0xFEFD)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256")
        self.connection = SSL.Connection(context, None)
        self.connection.set_ciphertext_mtu(1200)
        self.connection.set_connect_state()
        self.code = code
        self.datagrams: list[bytes] = []
        super().__init__(clock, server.secure_uri.replace("coaps", "coap"))

    def go_on(self) -> None:
        with pytest.raises(SSL.WantReadError):
            self.connection.do_handshake()
        hello = self.connection.bio_read(65536)
        self.raw(hello if self.code is None else asking_for(hello, self.code))

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.datagrams.append(data)
        if len(self.datagrams) == 1:  # the cookie
            self.connection.bio_write(data)
            self.go_on()


@pytest.mark.parametrize(("code", "fragment"), [(None, None), (1, 512), (2, 1024), (4, 4096)])
def test_a_flight_comes_in_datagrams_that_fit(
    clock: Clock, server: LwM2mServer, code: int | None, fragment: int | None
) -> None:
    client = Listener(clock, server, code)
    client.go_on()
    clock.sleep(0.5, "the server's flight")
    flight = client.datagrams[1:]
    limit = DATAGRAM if fragment is None else min(DATAGRAM, fragment + HEADER)
    assert sum(map(len, flight)) > 2000
    assert max(map(len, flight)) <= limit
    longest = max(len(record.body) for datagram in flight for record in records(datagram))
    assert longest <= (fragment or DATAGRAM)
    client.close()
