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
LONGEST_WAIT = 900.0
"""Seconds that a server may have the device wait; one that asks for more is given up."""
MAX_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Source:
    """A Package URI, taken apart.

    `host` is a name or an address, `ip` the address, "" while it is not known; `path` and `query` have their
    escapes resolved, as CoAP wants them, and `target` is both as they were written, for HTTP.
    """

    scheme: str
    host: str
    ip: str
    port: int
    path: tuple[str, ...]
    query: tuple[str, ...]
    target: str

    @property
    def address(self) -> Address:
        """Where it is, once that is known."""
        return self.ip, self.port

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URI."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def uri(self) -> str:
        """The absolute URI, without its fragment."""
        return f"{self.scheme}://{self.authority}{self.target}"


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
    """None for what is no URI of a host; `ports` are the usual ones by scheme.

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
    if not parts.hostname:
        return None
    if "#" in uri and parts.scheme.startswith("coap"):
        return None  # RFC 7252, 6.4
    path = tuple(urllib.parse.unquote(part) for part in parts.path.split("/")[1:])
    query = tuple(urllib.parse.unquote(item) for item in parts.query.split("&")) if parts.query else ()
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        ip = str(ipaddress.ip_address(parts.hostname))
    except ValueError:
        ip = ""  # a name
    return Source(parts.scheme, parts.hostname, ip, port or usual, path, query, target)
