"""What a device with a certificate is given over its console: files in PEM as DER in base64."""

from __future__ import annotations

import base64
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bench.config import SecuritySettings
from bench.errors import ConfigError, FileError
from bench.outside_files import read_bytes

HELP = "give a PEM file without a password"


def certificates_of(security: SecuritySettings) -> dict[str, str]:
    """`certificate`, `certificate_key` (PKCS #8) and `server_ca`, of a device whose files the bench has.

    Raises `ConfigError` for a file that cannot be used.
    """
    return {
        name: _base64(name, getattr(security, name))
        for name in ("certificate", "certificate_key", "server_ca")
    }


def _base64(name: str, file: Path) -> str:
    try:
        data = read_bytes(file, "a PEM file", help=HELP)
        if name == "certificate_key":
            key = load_pem_private_key(data, None)
            der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        else:
            der = x509.load_pem_x509_certificate(data).public_bytes(Encoding.DER)
    except FileError as error:
        raise FileError(f"security.{name} {file}", error.reason, help=error.help) from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"security.{name} {file} cannot be used: {error}", help=HELP) from None
    return base64.b64encode(der).decode()
