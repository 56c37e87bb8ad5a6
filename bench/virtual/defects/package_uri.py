"""Package URIs: how they are taken apart, and what is asked for by them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware.downloads.schemes import NoUri, UnsupportedScheme
from bench.virtual.firmware.update import reception
from bench.virtual.firmware.update.reception import Reception

URI = Area("package URIs")
BUFFER = 128


@URI(reception, "understand", source="own", hints=("test_query",))
def query_left_out(healthy: Any) -> Any:
    """What follows the question mark is not sent."""

    def understand(uri: str, has_credentials: bool) -> Any:
        return healthy(uri.partition("?")[0], has_credentials)

    return understand


@URI(reception, "understand", source="own", hints=("test_percent_encoding",))
def escapes_in_small_digits_not_resolved(healthy: Any) -> Any:
    """%4A is taken for what it stands for, and %4a for three characters."""

    def understand(uri: str, has_credentials: bool) -> Any:
        return healthy(re.sub(r"%(?=[0-9A-F]?[a-f])", "%25", uri), has_credentials)

    return understand


@URI(reception, "understand", source="own", hints=("test_host_name",))
def host_names_not_resolved(healthy: Any) -> Any:
    """Only a host that is given by its address is found."""

    def understand(uri: str, has_credentials: bool) -> Any:
        source = healthy(uri, has_credentials)
        if not source.ip:
            raise NoUri
        return source

    return understand


@URI(reception, "understand", source="own", hints=("test_ipv6_address",))
def port_sought_at_the_first_colon(healthy: Any) -> Any:
    """The host ends at the first colon, so an IPv6 address is cut off after its first group."""

    def understand(uri: str, has_credentials: bool) -> Any:
        if "://[" in uri:
            raise NoUri
        return healthy(uri, has_credentials)

    return understand


@URI(reception, "understand", source="own", hints=("test_port",))
def one_default_port_for_every_scheme(healthy: Any) -> Any:
    """A URI without a port is fetched from at 5683, whatever its scheme."""

    def understand(uri: str, has_credentials: bool) -> Any:
        source = healthy(uri, has_credentials)
        given = re.match(r"[^/]*//(\[[^]]*\]|[^/:]*):\d", uri) is not None
        return source if given else replace(source, port=5683)

    return understand


@URI(reception, "understand", source="own", hints=("test_scheme_in_capitals",))
def scheme_in_capitals_not_known(healthy: Any) -> Any:
    """The scheme is compared letter by letter."""

    def understand(uri: str, has_credentials: bool) -> Any:
        scheme = uri.partition(":")[0]
        if scheme != scheme.lower():
            raise UnsupportedScheme
        return healthy(uri, has_credentials)

    return understand


@URI(reception, "understand", source="own", hints=("test_fragment",))
def fragment_sent_with_the_path(healthy: Any) -> Any:
    """The number sign and what follows it are taken for a part of the path."""

    def understand(uri: str, has_credentials: bool) -> Any:
        return healthy(uri.replace("#", "%23"), has_credentials)

    return understand


@URI(Reception, "_write_uri", source="own", hints=("test_longest_uri",))
def long_uri_cut_off(healthy: Any) -> Any:
    """A Package URI is kept in a buffer of 128 characters, and the rest of it dropped."""
    return lambda self, uri: healthy(self, uri[:BUFFER])
