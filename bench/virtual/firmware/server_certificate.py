"""What the device asks of a server's certificate: a chain to the CA that it trusts, and the name it meant.

The chain is OpenSSL's affair (RFC 5280, section 6). Who is meant is the authority of the server's URI: in the
subjectAltName a CoAP URI has it, or, where there is none, it is the common name (RFC 7252, section 9.1.3.3).
Names and addresses of hosts in the subjectAltName are good too (RFC 6125, section 6.4; RFC 5280, 4.2.1.6).
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key
from OpenSSL import SSL, crypto

CIPHERS = b"ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=0"
"""The first one is mandatory (RFC 7252, section 9.1.3.3)."""
PORT = 5684
"""Of coaps (RFC 7252, section 6.2)."""


@dataclass(frozen=True, slots=True)
class Certified:
    """A device's own certificate, its private key, and the CA of its server; each in DER."""

    certificate: bytes = b""
    private_key: bytes = field(default=b"", repr=False)
    server_ca: bytes = b""

    def __bool__(self) -> bool:
        return bool(self.certificate)

    def check(self) -> None:
        """Raises `ValueError` for what is no certificate or no key."""
        x509.load_der_x509_certificate(self.certificate)
        x509.load_der_x509_certificate(self.server_ca)
        load_der_private_key(self.private_key, None)


NONE = Certified()


def prepare(context: SSL.Context, own: Certified, host: str, port: int) -> None:
    """Show `own` to servers, and believe one only that is at `host` and `port` by a certificate of the CA."""
    context.set_cipher_list(CIPHERS)
    context.use_certificate(x509.load_der_x509_certificate(own.certificate))
    context.use_privatekey(load_der_private_key(own.private_key, None))
    store = context.get_cert_store()
    assert store is not None
    store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(own.server_ca)))

    def judge(_connection: Any, shown: crypto.X509, error: int, depth: int, sound: int) -> bool:
        if not believes(bool(sound), error):
            return False
        return depth > 0 or is_named(shown.to_cryptography(), host, port)

    context.set_verify(SSL.VERIFY_PEER, judge)


def believes(sound: bool, error: int) -> bool:
    """Whether to go on with a certificate of the chain that OpenSSL finds so (`error`: X509_V_ERR)."""
    return sound


def is_named(certificate: x509.Certificate, host: str, port: int) -> bool:
    """Whether it is the certificate of what is at `host`, a name or an IP address."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return any(str(name.value).lower() == host.lower() for name in common)
    if any(
        _authority(uri) == (host, port) for uri in names.get_values_for_type(x509.UniformResourceIdentifier)
    ):
        return True
    try:
        return ipaddress.ip_address(host) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        return host.lower() in map(str.lower, names.get_values_for_type(x509.DNSName))


def _authority(uri: str) -> tuple[str, int] | None:
    """Host and port of a URI of scheme coaps."""
    try:
        parts = urllib.parse.urlsplit(uri)
        return (parts.hostname or "", parts.port or PORT) if parts.scheme == "coaps" else None
    except ValueError:
        return None
