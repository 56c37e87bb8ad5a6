"""A CA, the server's certificate and its key, and one that has expired."""

from __future__ import annotations

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def make_certificates(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "server.key").write_bytes(pem)
    other = ec.generate_private_key(ec.SECP256R1())
    (folder / "other.key").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, days in (("server", 30), ("ca", 30), ("expired", -1)):
        (folder / f"{name}.pem").write_bytes(_certificate(key, name, days).public_bytes(Encoding.PEM))


def _certificate(key: ec.EllipticCurvePrivateKey, name: str, days: int) -> x509.Certificate:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - datetime.timedelta(days=60))
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
