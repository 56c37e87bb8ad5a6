"""The address of this PC by which a board finds it: a board cannot reach what only this PC can."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

import psutil

from bench.errors import ConfigError

AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
EVERYWHERE = {"0.0.0.0": socket.AF_INET, "::": socket.AF_INET6}
GIVE = "give [server] host an address of this PC that the boards can reach, or advertise (behind a router)"


@dataclass(frozen=True, slots=True)
class Own:
    """An address of this PC, and the interface that has it."""

    address: str
    interface: str

    def __str__(self) -> str:
        return f"{self.address} ({self.interface})"


def address_for_boards(host: str, route_to: str | None = None) -> str:
    """What boards are told where the server listens on `host`, and nothing is advertised.

    For a host that means every address of this PC it is the one from which the way to `route_to` begins,
    or else the only one that there is. Raises `ConfigError` with the reason and the cure.
    """
    if host in EVERYWHERE:
        found = _on_the_way_to(route_to, host) if route_to is not None else _only(host)
    else:
        found = _resolved(host)
    address = ipaddress.ip_address(found)
    plain = getattr(address, "ipv4_mapped", None) or address
    if plain.is_loopback:
        known = "" if found == host else f" ({found})"
        raise ConfigError(f"{host!r}{known} is this PC to itself: no board can reach it", help=GIVE)
    if address.version == 6 and address.is_link_local:
        raise ConfigError(
            f"no board can be told {host!r}: a link-local address needs a zone, whose name is this PC's own",
            help=GIVE,
        )
    return str(address)


def own_addresses(family: socket.AddressFamily) -> list[Own]:
    """Of the interfaces that are up, without what is this PC's alone (loopback, link-local)."""
    up = {name for name, state in psutil.net_if_stats().items() if state.isup}
    found: list[Own] = []
    for name, rows in sorted(psutil.net_if_addrs().items()):
        for row in rows:
            if name not in up or row.family != family:
                continue
            address = ipaddress.ip_address(row.address)
            if not (address.is_loopback or address.is_link_local or address.is_unspecified):
                found.append(Own(str(address), name))
    return found


def _only(host: str) -> str:
    found = own_addresses(EVERYWHERE[host])
    if len(found) == 1:
        return found[0].address
    if not found:
        raise ConfigError(f"of what {host!r} stands for, this PC has no address in a network", help=GIVE)
    listed = ", ".join(map(str, found))
    raise ConfigError(
        f"{host!r} does not tell which address of this PC the boards can reach: {listed}",
        help="give one of them as [server] host, or an address in the boards' network as route_to",
    )


def _on_the_way_to(target: str, host: str) -> str:
    """The address that the system would send from. A UDP socket that is connected sends nothing."""
    family = EVERYWHERE[host]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((target, 9))
            found: str = probe.getsockname()[0]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"this PC has no way from {host!r} to [server] route_to = {target!r}: {reason}",
            help="correct route_to, or give [server] host the address itself",
        ) from None
    return found


def _resolved(host: str) -> str:
    """The address of a host as the server would listen on it."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        rows = socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"[server] host {host!r} is not found: {reason}", help=GIVE) from None
    return str(rows[0][4][0])
