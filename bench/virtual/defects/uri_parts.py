"""Each part of a Package URI, read otherwise than RFC 3986 and the scheme say."""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware.coap_message import URI_QUERY, Message
from bench.virtual.firmware.downloads import schemes
from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.firmware.downloads.schemes import SCHEMES
from bench.virtual.firmware.downloads.source import Source
from bench.virtual.firmware.update import reception

PARTS = Area("parts of a package URI")


def _otherwise(change: Any) -> Any:
    """`parse` with `change(source)` of what it found."""

    def make(healthy: Any) -> Any:
        def parse(uri: str, ports: dict[str, int]) -> Source | None:
            source = healthy(uri, ports)
            return source and change(source)

        return parse

    return make


@PARTS(schemes, "parse", source="own", hints=("test_percent_encoding",))
def path_in_small_letters(healthy: Any) -> Any:
    """The whole URI is made lower case, its path with it."""
    return _otherwise(
        lambda s: replace(s, path=tuple(part.lower() for part in s.path), target=s.target.lower())
    )(healthy)


@PARTS(CoapBlocks, "_request", source="own", hints=("test_percent_encoding",))
def escapes_left_in_uri_path(healthy: Any) -> Any:
    """Uri-Path options carry %20 as it stands in the URI."""

    def request(self: CoapBlocks, token: bytes = b"") -> Any:
        plain = self._source
        self._source = replace(plain, path=tuple(urllib.parse.quote(part) for part in plain.path))
        message = healthy(self, token)
        self._source = plain
        return message

    return request


@PARTS(schemes, "parse", source="own", hints=("test_percent_encoding",))
def escapes_resolved_twice(healthy: Any) -> Any:
    """%2541 becomes A: what an escape stands for is taken for an escape again."""
    return _otherwise(lambda s: replace(s, path=tuple(urllib.parse.unquote(part) for part in s.path)))(
        healthy
    )


@PARTS(CoapBlocks, "_request", source="own", hints=("test_query",))
def query_sent_as_one_option(healthy: Any) -> Any:
    """Over CoAP all of the query goes into one Uri-Query option."""

    def request(self: CoapBlocks, token: bytes = b"") -> Message:
        message: Message = healthy(self, token)
        items = message.all(URI_QUERY)
        if len(items) > 1:
            message.options = [option for option in message.options if option[0] != URI_QUERY]
            message.add_text(URI_QUERY, "&".join(items))
        return message

    return request


@PARTS(schemes, "parse", source="own", hints=("test_query",))
def query_escaped_once_more(healthy: Any) -> Any:
    """Over HTTP the % of an escape in the query is escaped itself."""

    def escaped(source: Source) -> Source:
        path, mark, query = source.target.partition("?")
        return replace(source, target=path + mark + query.replace("%", "%25"))

    return _otherwise(escaped)(healthy)


@PARTS(schemes, "parse", source="own", hints=("test_pull_succeeds",))
def port_of_the_uri_ignored(healthy: Any) -> Any:
    """Whatever port the URI names, the scheme's own is asked."""
    return _otherwise(lambda s: replace(s, port=SCHEMES[s.scheme].port))(healthy)


@PARTS(SCHEMES, "http", source="own", hints=("test_port",))
def http_default_port_is_8080(healthy: Any) -> Any:
    """An http URI without a port leads to port 8080."""
    return replace(healthy, port=8080)


@PARTS(SCHEMES, "https", source="own", hints=("test_port",))
def https_default_port_is_that_of_http(healthy: Any) -> Any:
    """An https URI without a port leads to port 80."""
    return replace(healthy, port=80)


@PARTS(reception, "understand", source="own", hints=("test_invalid_uri",))
def relative_reference_taken_for_coap(healthy: Any) -> Any:
    """//host/path is fetched over CoAP."""
    return lambda uri, has_credentials: healthy(
        f"coap:{uri}" if uri.startswith("//") else uri, has_credentials
    )


@PARTS(schemes, "parse", source="own", hints=("test_percent_encoding",))
def empty_path_segments_dropped(healthy: Any) -> Any:
    """a//b and a/b/ are fetched as a/b."""
    return _otherwise(
        lambda s: replace(
            s,
            path=tuple(part for part in s.path if part),
            target=re.sub("/+", "/", s.target.partition("?")[0]).rstrip("/")
            + s.target[len(s.target.partition("?")[0]) :],
        )
    )(healthy)
