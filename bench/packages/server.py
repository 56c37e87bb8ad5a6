"""The package server beside the LwM2M server: the doors that the boards of a bench can use."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.clock import Clock
from bench.errors import ServerError
from bench.network.address import in_uri, reachable
from bench.packages.certificates import Authority, Shown
from bench.packages.coap_tcp import CoapTcpDoor
from bench.packages.shelf import Shelf

if TYPE_CHECKING:
    from bench.packages.http import HttpDoor

SCHEMES = ("http", "https", "coap+tcp")
"""Those with a door of their own; coap and coaps go through the LwM2M server's."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where a scheme listens (port 0: a free one), and what devices are told (None: the address itself)."""

    port: int = 0
    advertise: str | None = None


def _on_this_pc(host: str) -> str:
    return reachable((host, 0))[0]


class PackageServer:
    """Opens the doors in `schemes`. `host` is this PC's address, as in [server], and `also_at` another one;
    `reached_at` are those at which devices find it, for the certificate, and `also_named` what else they may
    be told.
    """

    def __init__(
        self,
        clock: Clock,
        shelf: Shelf,
        *,
        host: str,
        doors: dict[str, Door],
        schemes: Collection[str],
        reached_at: Collection[str] = (),
        also_at: str | None = None,
        also_named: Collection[str] = (),
    ) -> None:
        self._clock = clock
        self._shelf = shelf
        self._host = host
        self._hosts = [host] if also_at is None else [host, also_at]
        self._also_named = set(also_named)
        self._reached_at = {reachable((host, 0))[0], *reached_at}
        self._doors = doors
        self._schemes = [scheme for scheme in SCHEMES if scheme in schemes]
        self._open: dict[str, HttpDoor | CoapTcpDoor] = {}
        self._authority: Authority | None = None
        self._names: list[str] = []

    def start(self) -> None:
        """Raises `ServerError` when a port is in use."""
        self._clock.run(self._start(), timeout=30, reason="open the package server's doors")

    async def _start(self) -> None:
        for scheme in self._schemes:
            port = self._doors.get(scheme, Door()).port
            try:
                await self._open_door(scheme, port)
            except OSError as error:
                raise ServerError(
                    f"the package server cannot listen for {scheme} on {self._host}:{port}: "
                    f"{error.strerror or error}",
                    help=f"stop the program that uses the port, or set packages.{scheme}.port",
                ) from None

    async def _open_door(self, scheme: str, port: int, shown: Shown = Shown.GOOD) -> None:
        door: HttpDoor | CoapTcpDoor
        if scheme == "coap+tcp":
            door = CoapTcpDoor(self._shelf)
            await door.start(self._hosts, port)
        else:
            # aiohttp takes a fifth of a second, which PUSH need not wait for
            from bench.packages.http import HttpDoor

            door = HttpDoor(self._shelf, scheme)
            await door.start(self._hosts, port, self._context(shown) if scheme == "https" else None)
        self._open[scheme] = door

    def _context(self, shown: Shown) -> ssl.SSLContext:
        advertised = self._doors.get("https", Door()).advertise
        hosts = self._reached_at | ({_host_of(advertised)} if advertised is not None else set())
        return self._trusted().server_context(sorted(hosts | self._also_named), shown)

    def _trusted(self) -> Authority:
        if self._authority is None:
            self._authority = Authority()
        return self._authority

    @property
    def schemes(self) -> tuple[str, ...]:
        """Those whose doors are open."""
        return tuple(self._open)

    @property
    def ca(self) -> bytes:
        """The certificate, in PEM, that a device must trust to fetch over https."""
        return self._trusted().pem

    def show_certificate(self, shown: Shown) -> None:
        """From now on https shows this one. Raises `ServerError` when there is no https door."""
        door = self._open.get("https")
        if door is None:
            raise ServerError(
                "packages are not served over https",
                help="list it in the transports of a board file's [profile]",
            )
        port = door.port

        async def again() -> None:
            await door.close()
            await self._open_door("https", port, shown)

        self._clock.run(again(), timeout=30, reason="change the certificate")

    def uri_of(self, name: str, scheme: str, told: Callable[[str], str] = _on_this_pc) -> str:
        """Where a device fetches a package; `told` says how it reaches this PC's address.

        Raises `ServerError` for a scheme that has no door.
        """
        if scheme not in self._open:
            raise ServerError(
                f"packages are not served over {scheme}",
                help="list it in the transports of a board file's [profile]",
            )
        base = self._doors.get(scheme, Door()).advertise
        if base is None:
            base = f"{scheme}://{in_uri(told(self._host))}:{self._open[scheme].port}"
        return f"{base}/fw/{name}"

    def close(self) -> None:
        """Idempotent."""

        async def closing() -> None:
            for door in self._open.values():
                await door.close()
            self._open.clear()

        if not self._clock.loop.is_closed():
            self._clock.run(closing(), timeout=30, reason="close the package server's doors")


def _host_of(uri: str) -> str:
    """The host of a URI, or the text itself."""
    host = uri.partition("://")[2] or uri
    host = host.partition("/")[0]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
