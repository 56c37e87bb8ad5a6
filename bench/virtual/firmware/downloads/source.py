"""Where a package is fetched from, with what, and how a download can end."""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass, field
from typing import Protocol

from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.firmware.dtls import SecureLink
from bench.virtual.machine import Machine
from bench.virtual.process import Steps
from bench.virtual.radio.modem import Address, Modem

NO_SUCH_PACKAGE, TOO_LARGE, LOST = "no such package", "too large", "lost"
ATTEMPTS = 4
"""Tries without any progress before the connection counts as lost."""
PAUSE = 10.0
"""Seconds before the next try, once more for each try."""
MAX_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """A Package URI, taken apart."""

    scheme: str
    address: Address
    path: tuple[str, ...]
    query: tuple[str, ...]

    @property
    def target(self) -> str:
        """Path and query as they stand in an HTTP request."""
        path = "/" + "/".join(urllib.parse.quote(part) for part in self.path)
        return path + ("?" + "&".join(self.query) if self.query else "")


@dataclass
class Means:
    """What the device has for fetching. `trusted` are the CA certificates it knows, in PEM."""

    machine: Machine
    modem: Modem
    link: SecureLink
    engine: CoapEngine
    trusted: list[str] = field(default_factory=list)


class Download(Protocol):
    """Call `next_block` until `complete` or `failure`; `restarted` says that the bytes begin anew.

    `etag` is what the package is known by, b"" when the server does not say.
    """

    complete: bool
    restarted: bool
    failure: str | None
    etag: bytes

    def resume(self, offset: int, etag: bytes) -> None: ...
    def next_block(self) -> Steps: ...


def parse(uri: str, ports: dict[str, int]) -> Source | None:
    """None for what is no URI of a host given by its address; `ports` are the usual ones by scheme.

    Raises `KeyError` for a scheme without one.
    """
    try:
        parts = urllib.parse.urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.netloc:
        return None
    usual = ports[parts.scheme]
    try:
        host = str(ipaddress.ip_address(parts.hostname or ""))
    except ValueError:
        return None
    path = tuple(urllib.parse.unquote(part) for part in parts.path.split("/")[1:])
    query = tuple(parts.query.split("&")) if parts.query else ()
    return Source(parts.scheme, (host, port or usual), path, query)
