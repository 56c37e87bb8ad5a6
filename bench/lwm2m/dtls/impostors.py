"""Certificates that a server shows instead of its own, and no device may believe.

Whatever is not wrong on purpose is as in the server's own certificate: names, extensions, kind of key.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bench.errors import ConfigError, NotApplicable
from bench.lwm2m.dtls.credentials import Certificates

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)
ELSEWHERE = "elsewhere.invalid"
"""A name of nobody (RFC 6761, section 6.4)."""


class Impostor(enum.Enum):
    """What is wrong with the certificate."""

    WRONG_NAME = "wrong name"
    EXPIRED = "expired"
    FOREIGN_CA = "foreign ca"
    """Of a CA that no device knows, which it shows too."""
    FORGED = "forged"
    """It names the device's CA as its issuer, which has not signed it."""
    ISSUED_BY_A_SERVER = "issued by a server"
    """Signed with the key of the server's own certificate, which is no CA's."""


@dataclass(frozen=True)
class Shown:
    """A chain, the server's certificate first, and the private key: in PEM."""

    chain: bytes
    key: bytes

    def written(self, folder: Path, client_ca: Path | None) -> Certificates:
        """As files in a folder."""
        made = Certificates(folder / "chain.pem", folder / "key.pem", client_ca)
        made.chain.write_bytes(self.chain)
        made.key.write_bytes(self.key)
        return made


def impostor(kind: Impostor, server: Certificates, ca: Path, ca_key: Path | None) -> Shown:
    """`server` are the server's own files; `ca` is what the device trusts, `ca_key` its key, if at hand.

    Raises `NotApplicable` where these files do not suffice, `ConfigError` for a key of another CA.
    """
    own, *others = x509.load_pem_x509_certificates(server.chain.read_bytes())
    if own.issuer == own.subject:
        raise NotApplicable(
            f"the server's certificate {server.chain} is its own issuer: there is no CA of servers"
        )
    own_key = _key(server.key)
    key = _another(own_key)
    match kind:
        case Impostor.WRONG_NAME | Impostor.EXPIRED:
            trusted, trusted_key = _authority(ca, ca_key)
            made = _builder(own, key, trusted.subject, trusted_key, kind)
            return _shown([made.sign(trusted_key, hashes.SHA256())], key)
        case Impostor.FOREIGN_CA:
            root_key = _another(own_key)
            root = _root(root_key)
            made = _builder(own, key, root.subject, root_key, kind)
            return _shown([made.sign(root_key, hashes.SHA256()), root], key)
        case Impostor.FORGED:
            made = _builder(own, key, own.issuer, None, kind)
            return _shown([made.sign(_another(own_key), hashes.SHA256()), *others], key)
        case Impostor.ISSUED_BY_A_SERVER:
            if _is_ca(own):
                raise NotApplicable(f"the server's certificate {server.chain} is a CA's: it may issue others")
            made = _builder(own, key, own.subject, own_key, kind)
            return _shown([made.sign(own_key, hashes.SHA256()), own, *others], key)


def _authority(ca: Path, ca_key: Path | None) -> tuple[x509.Certificate, Key]:
    if ca_key is None:
        raise NotApplicable("the bench has no private key of the CA that the device trusts: server_ca_key")
    trusted, key = x509.load_pem_x509_certificate(ca.read_bytes()), _key(ca_key)
    if trusted.public_key() != key.public_key():
        raise ConfigError(
            f"{ca_key} is not the private key of {ca}", help="give the CA's own as server_ca_key"
        )
    return trusted, key


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _key(file: Path) -> Key:
    key = load_pem_private_key(file.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise NotApplicable(f"{file} is a key neither for ECDSA nor for RSA")
    return key


def _another(key: Key) -> Key:
    """Of the same kind."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return ec.generate_private_key(key.curve)
    return rsa.generate_private_key(public_exponent=65537, key_size=key.key_size)


def _builder(
    own: x509.Certificate, key: Key, issuer: x509.Name, issuer_key: Key | None, kind: Impostor
) -> x509.CertificateBuilder:
    """As `own`, but for what is wrong; without the issuer's key it is to pass for the issuer of `own`."""
    now = datetime.now(UTC)
    named = kind is not Impostor.WRONG_NAME
    subject = own.subject if named else x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, ELSEWHERE)])
    if kind is Impostor.ISSUED_BY_A_SERVER:  # else it would seem to be its own issuer
        subject = x509.Name([*own.subject, x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, "2")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + (-1 if kind is Impostor.EXPIRED else 30) * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    changed: list[type[x509.ExtensionType]] = [x509.SubjectKeyIdentifier]
    changed += [] if issuer_key is None else [x509.AuthorityKeyIdentifier]
    changed += [] if named else [x509.SubjectAlternativeName]
    for extension in own.extensions:
        if not isinstance(extension.value, tuple(changed)):
            made = made.add_extension(extension.value, critical=extension.critical)
    if issuer_key is not None:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        made = made.add_extension(identifier, critical=False)
    if not named:
        made = made.add_extension(x509.SubjectAlternativeName(_elsewhere()), critical=False)
    return made


def _elsewhere() -> list[x509.GeneralName]:
    return [x509.DNSName(ELSEWHERE), x509.UniformResourceIdentifier(f"coaps://{ELSEWHERE}")]


def _root(key: Key) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a CA that nobody knows")])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 60 * DAY)
        .not_valid_after(now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _shown(chain: list[x509.Certificate], key: Key) -> Shown:
    return Shown(
        b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
