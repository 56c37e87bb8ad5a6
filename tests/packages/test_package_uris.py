"""Package URIs in every form, fetched by clients of other hands: aiohttp, the standard library, aiocoap."""

from __future__ import annotations

import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import aiocoap
import aiohttp
import pytest
import yarl

from bench.clock import Clock, WallClock
from bench.errors import NotApplicable
from bench.lwm2m.server import LwM2mServer
from bench.packages import uri as forms
from bench.packages.address import PackageAddress
from bench.packages.server import PackageServer
from bench.packages.shelf import Shelf
from bench.packages.uri import PackageUri
from bench.timeline import Timeline

BODY = b"package" * 10
SCHEMES = ("coap", "coap+tcp", "http", "https")
FORMS = {
    "plain": forms.plain,
    "query": forms.with_query("board=J", "build=7"),
    "letters": forms.in_folder("%4A%2Dlink", "%4a%2dlink", "a%20b"),
    "slash": forms.in_folder("a%2Fb"),
    "ampersand": forms.with_query("note=a%26b", "c"),
    "plus": forms.with_query("note=a+b"),
    "capitals": forms.in_capitals,
    "name": forms.at_host("localhost"),
    "port": forms.with_port,
    "longest": forms.of_length(255),
}


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = WallClock()
    yield made
    made.close()


@pytest.fixture
def shelf(lwm2m: LwM2mServer) -> Shelf:
    return lwm2m.shelf


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


IPV6 = "::1" if _has_ipv6() else None


@pytest.fixture
def lwm2m(clock: Clock) -> Iterator[LwM2mServer]:
    made = LwM2mServer(clock, Timeline(clock), also_at=IPV6)
    made.start()
    yield made
    made.close()


@pytest.fixture
def packages(clock: Clock, shelf: Shelf) -> Iterator[PackageServer]:
    made = PackageServer(
        clock,
        shelf,
        host="127.0.0.1",
        doors={},
        schemes=SCHEMES,
        also_at=IPV6,
        also_named={"localhost", "::1"},
    )
    made.start()
    yield made
    made.close()


@pytest.fixture
def fetch(clock: Clock, packages: PackageServer) -> Callable[[str], tuple[int, bytes]]:
    """Status (CoAP's as 205, 404) and body."""

    async def over_http(uri: str) -> tuple[int, bytes]:
        tls = ssl.create_default_context(cadata=packages.ca.decode())
        async with (
            aiohttp.ClientSession() as session,
            session.get(yarl.URL(uri, encoded=True), ssl=tls) as response,
        ):
            return response.status, await response.read()

    async def over_coap(uri: str) -> tuple[int, bytes]:
        context = await aiocoap.Context.create_client_context()
        try:
            response = await context.request(aiocoap.Message(code=aiocoap.GET, uri=uri)).response
            return int(response.code.dotted.replace(".", "")), response.payload
        finally:
            await context.shutdown()

    def run(uri: str) -> tuple[int, bytes]:
        work = over_http(uri) if uri.lower().startswith("http") else over_coap(uri)
        return clock.run(work, timeout=60, reason=f"fetch {uri}")

    return run


def plain(lwm2m: LwM2mServer, packages: PackageServer, scheme: str) -> PackageUri:
    text = f"{lwm2m.uri}/fw/p.bin" if scheme == "coap" else packages.uri_of("p.bin", scheme)
    return PackageUri.parse(text)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_each_form_leads_to_the_package(
    lwm2m: LwM2mServer, packages: PackageServer, shelf: Shelf, fetch: Any, scheme: str, form: forms.UriForm
) -> None:
    if form is forms.in_capitals and scheme.startswith("coap"):
        pytest.skip("aiocoap knows schemes in small letters alone")
    uri = form(plain(lwm2m, packages, scheme))
    shelf.publish("p.bin", BODY, uri.at)
    assert fetch(str(uri)) in [(200, BODY), (205, BODY)]
    assert shelf.missed == []


@pytest.mark.skipif(IPV6 is None, reason="this PC has no IPv6")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_ipv6(lwm2m: LwM2mServer, packages: PackageServer, shelf: Shelf, fetch: Any, scheme: str) -> None:
    uri = forms.at_host("::1")(plain(lwm2m, packages, scheme))
    shelf.publish("p.bin", BODY, uri.at)
    assert "://[::1]:" in str(uri)
    assert fetch(str(uri)) in [(200, BODY), (205, BODY)]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_fragment_is_not_sent(
    lwm2m: LwM2mServer, packages: PackageServer, shelf: Shelf, scheme: str, clock: Clock
) -> None:
    uri = forms.with_fragment("part")(plain(lwm2m, packages, scheme))
    shelf.publish("p.bin", BODY, uri.at)
    tls = ssl.create_default_context(cadata=packages.ca.decode())
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=tls))
    with opener.open(str(uri), timeout=20) as response:
        assert response.read() == BODY


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_not_there_is_told(
    lwm2m: LwM2mServer, packages: PackageServer, shelf: Shelf, fetch: Any, scheme: str
) -> None:
    """A package whose URI has a query is none without it, and the server knows what it was asked for."""
    uri = plain(lwm2m, packages, scheme)
    shelf.publish("p.bin", BODY, forms.with_query("a=1")(uri).at)
    assert fetch(str(forms.with_query("a=2")(uri)))[0] == 404
    assert fetch(str(uri))[0] == 404
    assert shelf.missed == [f"{scheme}: /fw/p.bin?a=2", f"{scheme}: /fw/p.bin"]


def test_where_a_request_leads() -> None:
    assert PackageAddress.of_target("/fw/a%2Fb/%70.bin?x=%26&y") == PackageAddress(
        ("a/b", "p.bin"), ("x=&", "y")
    )
    assert PackageAddress.of_target("/fw/p.bin?") == PackageAddress(("p.bin",), ())
    assert str(PackageAddress(("a/b", "p q"), ("x=&",))) == "/fw/a%2Fb/p%20q?x=%26"


@pytest.mark.parametrize("length", [60, 100, 163, 164, 255])
def test_length(length: int) -> None:
    uri = forms.of_length(length)(PackageUri.parse("coap://192.0.2.1:5683/fw/device.bin"))
    assert len(str(uri)) == length
    assert max(map(len, uri.path)) <= forms.LONGEST_SEGMENT
    assert PackageUri.parse(str(uri)) == uri


def test_forms_that_a_bench_does_not_have() -> None:
    uri = PackageUri.parse("http://192.0.2.1:8080/fw/device.bin")
    with pytest.raises(NotApplicable, match="at port 8080, and not at 80"):
        forms.without_port(uri)
    assert str(forms.without_port(PackageUri.parse("http://h:80/fw/d"))) == "http://h/fw/d"
    assert str(forms.with_port(PackageUri.parse("coaps://h/fw/d"))) == "coaps://h:5684/fw/d"
    with pytest.raises(NotApplicable, match="has 35 characters"):
        forms.of_length(36)(uri)
