"""OpenSSL's context for a DTLS 1.2 server: cipher suites, pre-shared keys, certificates, cookies."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib  # pyOpenSSL has no door of its own to OpenSSL's PSK callbacks

from bench.errors import ConfigError
from bench.lwm2m.dtls.credentials import Credentials

PSK_CIPHERS = (
    "PSK-AES128-CCM8:PSK-AES128-CCM:PSK-AES128-GCM-SHA256:PSK-AES256-GCM-SHA384:PSK-AES128-CBC-SHA256"
)
CERTIFICATE_CIPHERS = (
    "ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256"
)
SECURITY_LEVEL = ":@SECLEVEL=0"
"""CCM8, which RFC 7252 makes mandatory, has a short tag, and is below OpenSSL's default level."""

DTLS_1_2 = 0xFEFD
DECOY = 16
"""Bytes of the key of an identity that is not listed."""


class ServerContext:
    """Makes the server's side of connections.

    `claimed` is what the client at work names itself, to be set by whoever drives its handshake before it is
    asked for its key; `known` tells afterwards whether that was a listed identity. One that is not is given a
    key of its own, so that to the client it looks as a wrong key does (RFC 4279, section 2).
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._cookie_key = secrets.token_bytes(32)
        self._decoy_key = secrets.token_bytes(32)
        self.claimed: bytes | None = None
        self.known: bool | None = None
        context = SSL.Context(SSL.DTLS_SERVER_METHOD)
        # security level 0 would let version 1.0 in too
        context.set_min_proto_version(DTLS_1_2)
        context.set_options(
            SSL.OP_NO_QUERY_MTU | SSL.OP_COOKIE_EXCHANGE | SSL.OP_NO_TICKET | SSL.OP_NO_RENEGOTIATION
        )
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cookie_generate_callback(self._cookie)
        context.set_cookie_verify_callback(
            lambda connection, cookie: hmac.compare_digest(cookie, self._cookie(connection))
        )
        ciphers = PSK_CIPHERS
        if credentials.certificates is not None:
            ciphers += ":" + CERTIFICATE_CIPHERS
            self._use_certificates(context)
        context.set_cipher_list((ciphers + SECURITY_LEVEL).encode())
        self._callback = ffi.callback(
            "unsigned int(SSL *, const char *, unsigned char *, unsigned int)", self._key
        )
        lib.SSL_CTX_set_psk_server_callback(context._context, self._callback)
        self._context = context

    def _use_certificates(self, context: SSL.Context) -> None:
        files = self._credentials.certificates
        assert files is not None
        try:
            context.use_certificate_chain_file(str(files.chain))
            context.use_privatekey_file(str(files.key))
            context.check_privatekey()
            if files.client_ca is not None:
                context.load_verify_locations(str(files.client_ca))
                # of a PSK client no certificate is asked
                context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        except (SSL.Error, OSError) as error:
            raise ConfigError(
                f"the server's certificate {files.chain} with key {files.key} cannot be used: {error}",
                help="give PEM files that belong together in [server]",
            ) from None

    def connection(self, address: Any) -> SSL.Connection:
        """A new server side, for datagrams from `address`."""
        connection = SSL.Connection(self._context, None)
        connection.set_app_data(address)
        connection.set_accept_state()
        return connection

    def _cookie(self, connection: SSL.Connection) -> bytes:
        """What only who receives datagrams at the address can know (RFC 6347, 4.2.1)."""
        return hmac.new(self._cookie_key, repr(connection.get_app_data()).encode(), hashlib.sha256).digest()

    def _key(self, _ssl: Any, identity: Any, key: Any, room: int) -> int:
        named = ffi.string(identity) if identity != ffi.NULL else b""
        # OpenSSL's name ends at a NUL: it counts only where it is all that the client has said
        found = self._credentials.keys.get(named) if named == self.claimed else None
        self.known = found is not None
        if found is None or len(found) > room:
            found = hmac.new(self._decoy_key, self.claimed or b"", hashlib.sha256).digest()[:DECOY]
        ffi.memmove(key, found, len(found))
        return len(found)
