"""Hosts and URIs that are none."""

from __future__ import annotations

import ipaddress
import re
import urllib.parse
from collections.abc import Iterator, Sequence

from bench.config.address import address_kinds, is_left_to_a_plant
from bench.config.draft import Draft
from bench.config.finding import Finding
from bench.config.shape import Part

EXAMPLES = "see the examples in docs/instruments.md"
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?", re.IGNORECASE)
"""A host's name (RFC 1123, 2.1), with the underscores that people give theirs."""


def server_host(draft: Draft) -> Iterator[Finding]:
    """[server] host is an address or a name, and nothing round it."""
    server = draft.table("server")
    for key in ("host", "route_to"):
        if key in server and (wrong := why_no_host(server[key])) is not None:
            yield draft.finding(("server", key), server[key], *wrong)


def advertised_addresses(draft: Draft) -> Iterator[Finding]:
    """What devices are told is a URI of the scheme that is spoken there: scheme, host and port alone."""
    for key, value, scheme in _advertised(draft):
        wrong = why_no_uri(value, scheme)
        if wrong is not None:
            yield draft.finding(key, value, *wrong)


def _advertised(draft: Draft) -> Iterator[tuple[Sequence[Part], str, str]]:
    server = draft.table("server")
    for name, scheme in (("advertise", "coap"), ("secure_advertise", "coaps")):
        if name in server:
            yield ("server", name), server[name], scheme
    for scheme in draft.table("packages"):
        door = draft.table("packages", scheme)
        if "advertise" in door:
            yield ("packages", scheme, "advertise"), door["advertise"], scheme
    for board in draft.boards:
        network = draft.table("boards", board, "network")
        if "advertise" in network:
            scheme = "coaps" if "security" in draft.boards[board] else "coap"
            yield ("boards", board, "network", "advertise"), network["advertise"], scheme


def instrument_addresses(draft: Draft) -> Iterator[Finding]:
    """What no wire can have in its address. What each kind of wire needs is for its driver to say."""
    for name, instrument in draft.instruments.items():
        address = instrument.get("address")
        if address is None:
            continue
        wrong = _why_no_address(address, draft.has_plant)
        if wrong is not None:
            yield draft.finding(("instruments", name, "address"), address, *wrong)


def consoles(draft: Draft) -> Iterator[Finding]:
    """A console's port has no white space round it, and is no link to another system's."""
    for name, board in draft.boards.items():
        port = board.get("console")
        if port is not None and (port != port.strip() or not port.isprintable()):
            yield draft.finding(
                ("boards", name, "console"),
                port,
                "has white space or control characters at its ends or in it",
                "give the port alone, such as '/dev/ttyACM0' or 'COM5'",
            )


# ---- what is wrong, and the cure


def why_no_host(host: str) -> tuple[str, str] | None:
    """Reason and cure, or None for an address or a name of a host."""
    cure = "give an address such as '192.168.1.10' or 'fd00::10', or a name"
    if not host:
        return "is empty", f"{cure}; '0.0.0.0' for every address of this PC"
    if host != host.strip() or re.search(r"\s", host) or not host.isprintable():
        return "has white space in it", cure
    if "://" in host:
        return "is a URI, not a host", f"{cure}, without scheme and port"
    if host.startswith("["):
        return "has brackets", "give the address alone: brackets are for URIs"
    if re.fullmatch(r"[^:]+:\d*", host):
        return "has a port", "give the address alone; the port is server.port"
    if is_address(host):
        return None
    if ":" in host:
        return "is no IPv6 address", cure
    if re.fullmatch(r"[\d.]+", host):
        return "is no IPv4 address", "give four numbers from 0 to 255, such as '192.168.1.10'"
    if NAME.fullmatch(host) is None:
        return "is no address, and no name that a host can have", cure
    return None


def is_address(host: str) -> bool:
    """Whether it is an IP address, an IPv6 one perhaps with its zone."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def why_no_uri(uri: str, scheme: str) -> tuple[str, str] | None:
    """Reason and cure, or None for SCHEME://HOST:PORT or SCHEME://HOST."""
    cure = f"give {scheme}://HOST:PORT, such as '{scheme}://203.0.113.7:5683'"
    if re.search(r"\s", uri) or not uri.isprintable():
        return "has white space in it", cure
    found, separator, rest = uri.partition("://")
    if not separator:
        return "is no URI", cure
    if found.lower() != scheme:
        return f"has the scheme {found!r} where {scheme!r} is spoken", cure
    if not rest or rest.startswith((":", "/")):
        return "has no host", cure
    try:
        parts = urllib.parse.urlsplit(uri)
        host = parts.hostname or ""
    except ValueError as error:
        return f"is no URI: {error}", cure
    if rest.count(":") > 1 and not rest.startswith("["):
        return "has an IPv6 address without brackets", f"write {scheme}://[ADDRESS]:PORT"
    if "@" in rest or parts.query or parts.fragment or parts.path or rest.endswith(("?", "#")):
        return "has more than scheme, host and port", cure
    try:
        port = parts.port
    except ValueError:
        return "has a port that is no number from 1 to 65535", cure
    if port == 0 or parts.netloc.endswith(":"):
        return "has no port after its colon" if port is None else "has the port 0", cure
    if rest.startswith("[") and "%" in host:
        return "has a zone, which means something on this PC only", "leave out % and what follows"
    if (wrong := why_no_host(host)) is not None:
        return f"its host {host!r} {wrong[0]}", wrong[1]
    if is_address(host) and ipaddress.ip_address(host).is_unspecified:
        return (
            f"{host} means every address of this PC, and nobody can reach that",
            "give the address to be reached at",
        )
    if is_address(host) and ipaddress.ip_address(host).is_multicast:
        return f"{host} is the address of a group", "give the address of this PC, or of the router before it"
    return None


def _why_no_address(address: str, has_plant: bool) -> tuple[str, str] | None:
    try:
        address_kinds(address)
    except ValueError as mistake:
        return str(mistake), EXAMPLES
    if is_left_to_a_plant(address) and not has_plant:
        return "port 0 is for a virtual bench to fill in", "give the instrument's own"
    return None
