"""Who may talk to the server over DTLS, and as whom. Keys never show in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import ConfigError
from bench.lwm2m.identity import Identity, Proof

MAX_KEY = 256
"""Bytes of a pre-shared key that OpenSSL takes."""
MAX_IDENTITY = 128
"""Bytes of an identity that every implementation must take (RFC 4279, 5.3)."""


@dataclass(frozen=True)
class Certificates:
    """PEM files: the server's certificate chain and key, and the CA that clients' certificates are from.

    Without `client_ca` no client certificate is asked for.
    """

    chain: Path
    key: Path
    client_ca: Path | None = None


@dataclass
class Credentials:
    """`keys`: PSK identity -> key; `endpoints`: who has proved what -> the one endpoint that he may be.

    An identity that `endpoints` does not list registers nothing.
    """

    keys: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    endpoints: dict[Identity, str] = field(default_factory=dict)
    certificates: Certificates | None = None

    def add_psk(self, identity: str, key: bytes, endpoint: str | None = None) -> None:
        """Raises `ConfigError` for what cannot be used (the key's value is not told)."""
        if not 1 <= len(key) <= MAX_KEY:
            raise ConfigError(
                f"the pre-shared key of {identity!r} has {len(key)} bytes",
                help=f"give 1 to {MAX_KEY} bytes, in hexadecimal digits",
            )
        if "\0" in identity or not 1 <= len(identity.encode()) <= MAX_IDENTITY:
            raise ConfigError(
                f"the PSK identity {identity[:40]!r} cannot be used",
                help=f"give 1 to {MAX_IDENTITY} bytes of UTF-8 without NUL, at which OpenSSL would end it",
            )
        self.keys[identity.encode()] = key
        if endpoint is not None:
            self.endpoints[Identity(Proof.PSK, identity)] = endpoint

    def add_certificate(self, common_name: str, endpoint: str) -> None:
        """Whose certificate bears this common name may be this endpoint."""
        self.endpoints[Identity(Proof.CERTIFICATE, common_name)] = endpoint

    def may_register(self, identity: Identity | None, endpoint: str) -> bool:
        """Whether who was authenticated as `identity` (None: nobody was) may be `endpoint`."""
        if identity is None:
            return endpoint not in self.endpoints.values()  # it has credentials, so it must use them
        return self.endpoints.get(identity) == endpoint
