"""How a Package URI may be written (RFC 3986), and where the package then lies.

A form takes the plain URI of a package, "http://192.0.2.1:8000/fw/NAME", and gives it another shape.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.errors import NotApplicable
from bench.network.address import in_uri
from bench.packages.address import ROOT, PackageAddress

OWN_PORTS = {"coap": 5683, "coaps": 5684, "coap+tcp": 5683, "coaps+tcp": 5684, "http": 80, "https": 443}
"""The port of a URI without one (RFC 7252 sections 6.1 and 6.2, RFC 8323 section 8, RFC 9110 section 4.2)."""
PAD = "-"
"""What a path is made longer with: it needs no escape (RFC 3986 section 2.3)."""
LONGEST_SEGMENT = 100
"""Characters; a Uri-Path option takes 255 bytes (RFC 7252 section 5.10)."""


@dataclass(frozen=True, slots=True)
class PackageUri:
    """A URI by its parts. `path` and `query` stand as they are written, escapes and all.

    `host` is a name or an address, without brackets; `port` a number, its digits, or None for none.
    """

    scheme: str
    host: str
    port: int | str | None
    path: tuple[str, ...]
    query: tuple[str, ...] = ()
    fragment: str = ""
    userinfo: str = ""

    @classmethod
    def parse(cls, uri: str) -> PackageUri:
        """Of a plain one, as the bench makes them."""
        parts = urllib.parse.urlsplit(uri)
        return cls(parts.scheme, parts.hostname or "", parts.port, tuple(parts.path.split("/")[1:]))

    @property
    def at(self) -> PackageAddress:
        """Where the package lies."""
        root, *rest = map(urllib.parse.unquote, self.path)
        assert root == ROOT, f"{self}: packages lie below /{ROOT}"
        return PackageAddress(tuple(rest), tuple(map(urllib.parse.unquote, self.query)))

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        query = "?" + "&".join(self.query) if self.query else ""
        fragment = f"#{self.fragment}" if self.fragment else ""
        user = f"{self.userinfo}@" if self.userinfo else ""
        return f"{self.scheme}://{user}{in_uri(self.host)}{port}/{'/'.join(self.path)}{query}{fragment}"


UriForm = Callable[[PackageUri], PackageUri]
"""Raises `NotApplicable` where this bench has no such URI."""


def plain(uri: PackageUri) -> PackageUri:
    return uri


def with_query(*arguments: str) -> UriForm:
    """What follows the question mark, as it is written."""
    return lambda uri: replace(uri, query=arguments)


def in_folder(*segments: str) -> UriForm:
    """In a folder whose segments are given as they are written."""
    return lambda uri: replace(uri, path=(*uri.path[:-1], *segments, uri.path[-1]))


def in_capitals(uri: PackageUri) -> PackageUri:
    """The scheme, which is the same in capitals (RFC 3986 section 3.1)."""
    return replace(uri, scheme=uri.scheme.upper())


def with_fragment(fragment: str) -> UriForm:
    return lambda uri: replace(uri, fragment=fragment)


def at_host(host: str) -> UriForm:
    """By another name or address of the same server."""
    return lambda uri: replace(uri, host=host)


def with_port(uri: PackageUri) -> PackageUri:
    """The port in digits, whichever it is."""
    return replace(uri, port=uri.port or OWN_PORTS[uri.scheme])


def with_zeros_before_port(uri: PackageUri) -> PackageUri:
    """A port is digits, and no number in octal (RFC 3986 section 3.2.3)."""
    return replace(uri, port=f"{uri.port or OWN_PORTS[uri.scheme]:06}")


def with_empty_port(uri: PackageUri) -> PackageUri:
    """The colon, and no digits behind it: the scheme's own port (RFC 3986 section 3.2.3)."""
    return replace(without_port(uri), port="")


def with_userinfo(userinfo: str) -> UriForm:
    """Before the host."""
    return lambda uri: replace(uri, userinfo=userinfo)


def without_port(uri: PackageUri) -> PackageUri:
    """The port left out, where it is the scheme's own."""
    own = OWN_PORTS[uri.scheme]
    if uri.port not in (None, own):
        raise NotApplicable(
            f"packages are served over {uri.scheme} at port {uri.port}, and not at {own}, the scheme's own"
        )
    return replace(uri, port=None)


def of_length(length: int) -> UriForm:
    """With so many characters: folders are put before the package.

    Raises `NotApplicable` where the plain one is longer already.
    """

    def form(uri: PackageUri) -> PackageUri:
        missing = length - len(str(uri))
        if missing < 2:
            raise NotApplicable(f"the shortest Package URI here has {len(str(uri))} characters: {uri}")
        folders = -(-missing // (LONGEST_SEGMENT + 1))
        pads = [(missing + n) // folders - 1 for n in range(folders)]
        return in_folder(*(PAD * pad for pad in pads))(uri)

    return form
