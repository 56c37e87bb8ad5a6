"""Certificates for the https door: a CA of the bench's own, made anew for each run.

RSA, because every message of such a handshake has the same length: runs stay comparable.
"""

from __future__ import annotations

import enum
import ipaddress
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY = timedelta(days=1)
ELSEWHERE = "192.0.2.254"
"""An address of nobody (RFC 5737)."""


class Shown(enum.Enum):
    """What the https door proves itself with: only the first should be believed."""

    GOOD = "good"
    EXPIRED = "expired"
    WRONG_HOST = "wrong host"
    COMMON_NAME = "right host in the common name alone"
    """Which no client may look at (RFC 9110 section 4.3.4)."""
    UNTRUSTED = "untrusted"
    """Of a CA that no device knows, with the same name as the bench's."""


def _name(*common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one) for one in common])


class Authority:
    """`pem` is what a device must trust."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        now = datetime.now(UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(_name("bench CA"))
            .issuer_name(_name("bench CA"))
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - 400 * DAY)
            .not_valid_after(now + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.KeyUsage(
                    key_cert_sign=True,
                    crl_sign=True,
                    digital_signature=False,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.pem = self._certificate.public_bytes(Encoding.PEM)

    def server_context(self, hosts: list[str], shown: Shown = Shown.GOOD) -> ssl.SSLContext:
        """For a server that is reached under these IP addresses or names."""
        if shown is Shown.UNTRUSTED:
            return Authority().server_context(hosts)
        expired = shown is Shown.EXPIRED
        subject = _name(*hosts) if shown is Shown.COMMON_NAME else _name("bench package server")
        if shown in (Shown.WRONG_HOST, Shown.COMMON_NAME):
            hosts = [ELSEWHERE]
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        end = datetime.now(UTC) + (-1 if expired else 30) * DAY
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(3 if expired else 2)
            .not_valid_before(end - 60 * DAY)
            .not_valid_after(end)
            .add_extension(
                x509.SubjectAlternativeName([name for host in hosts for name in _general(host)]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory(prefix="bench-tls-") as folder:
            file = Path(folder) / "server.pem"
            file.write_bytes(
                certificate.public_bytes(Encoding.PEM)
                + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            )
            context.load_cert_chain(file)
        return context


def _general(host: str) -> list[x509.GeneralName]:
    """What a certificate says for a host. An IPv4 address stands there as a name too: mbedTLS up to 3.4 looks
    at names alone (`x509_crt_check_san` in its x509_crt.c), and others pass over a name that is an address.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return [x509.DNSName(host)]
    names: list[x509.GeneralName] = [x509.IPAddress(address)]
    return names if address.version == 6 else [*names, x509.DNSName(host)]
