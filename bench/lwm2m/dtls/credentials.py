"""Who may talk to the server over DTLS, and as whom. Keys never show in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.errors import ConfigError

MAX_KEY = 256
"""Bytes of a pre-shared key that OpenSSL takes."""


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
    """`keys`: PSK identity -> key; `endpoints`: identity (or certificate's common name) -> endpoint name.

    An identity that `endpoints` does not list may register under any name.
    """

    keys: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    endpoints: dict[str, str] = field(default_factory=dict)
    certificates: Certificates | None = None

    def add_psk(self, identity: str, key: bytes, endpoint: str | None = None) -> None:
        """Raises `ConfigError` for a key that cannot be used (its value is not told)."""
        if not 1 <= len(key) <= MAX_KEY:
            raise ConfigError(
                f"the pre-shared key of {identity!r} has {len(key)} bytes",
                help=f"give 1 to {MAX_KEY} bytes, in hexadecimal digits",
            )
        self.keys[identity.encode()] = key
        if endpoint is not None:
            self.endpoints[identity] = endpoint

    def may_register(self, identity: str | None, endpoint: str) -> bool:
        """Whether who was authenticated as `identity` (None: nobody was) may be `endpoint`."""
        if identity is None:
            return endpoint not in self.endpoints.values()  # it has credentials, so it must use them
        return self.endpoints.get(identity, endpoint) == endpoint
