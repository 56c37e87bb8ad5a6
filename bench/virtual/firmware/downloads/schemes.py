"""The schemes this firmware can fetch over: usual port, number in /5/0/8, and who does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.virtual.firmware.downloads.coap import CoapDownload
from bench.virtual.firmware.downloads.coap_tcp import CoapTcpDownload
from bench.virtual.firmware.downloads.http import HttpDownload
from bench.virtual.firmware.downloads.source import Download, Means, Source, parse


@dataclass(frozen=True, slots=True)
class Scheme:
    port: int
    protocol: int
    make: Callable[[Means, Source, int], Download]


SCHEMES = {
    "coap": Scheme(5683, 0, CoapDownload),
    "coaps": Scheme(5684, 1, CoapDownload),
    "http": Scheme(80, 2, HttpDownload),
    "https": Scheme(443, 3, HttpDownload),
    "coap+tcp": Scheme(5683, 4, CoapTcpDownload),
}
"""Protocol numbers: OMA LwM2M object 5, resource 8."""


class UnsupportedScheme(Exception):
    """There is nothing here to fetch it with."""


class NoUri(Exception):
    """It is no URI, or none that can be fetched from."""


def understand(uri: str, has_credentials: bool) -> Source:
    """Take a Package URI apart. Raises `UnsupportedScheme` or `NoUri`."""
    try:
        source = parse(uri, {name: scheme.port for name, scheme in SCHEMES.items()})
    except KeyError:
        raise UnsupportedScheme from None
    if source is None:
        raise NoUri
    if source.scheme == "coaps" and not has_credentials:
        raise UnsupportedScheme  # no key to do it with
    return source


def open_download(means: Means, source: Source, capacity: int) -> Download:
    """`capacity` is the size of the largest package, in bytes."""
    return SCHEMES[source.scheme].make(means, source, capacity)
