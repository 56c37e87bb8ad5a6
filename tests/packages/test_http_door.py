"""The HTTP and HTTPS doors, asked by aiohttp's client and by the standard library's."""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import Coroutine, Iterator
from typing import Any

import aiohttp
import pytest

from bench.clock import Clock, WallClock
from bench.errors import ServerError
from bench.packages.certificates import Shown
from bench.packages.misbehaviour import (
    Cut,
    IgnoreRange,
    OtherPart,
    Redirect,
    Refuse,
    Replace,
    Slow,
    Stall,
    WeakEtag,
    WrongSize,
)
from bench.packages.server import Door, PackageServer
from bench.packages.shelf import Package, RangeAsked, Shelf
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler

BODY = bytes(range(256)) * 200


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = VirtualClock(Scheduler(1))
    yield made
    made.close()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(lambda: None)


@pytest.fixture
def server(clock: Clock, shelf: Shelf) -> Iterator[PackageServer]:
    made = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["http", "https"])
    made.start()
    yield made
    made.close()


@pytest.fixture
def package(shelf: Shelf) -> Package:
    return shelf.publish("p.bin", BODY)


def run(clock: Clock, work: Coroutine[Any, Any, Any], timeout: float = 3600) -> Any:
    return clock.run(work, timeout=timeout, reason="the client")


async def fetch(
    uri: str, method: str = "GET", tls: ssl.SSLContext | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, uri, headers=named, ssl=tls or True, allow_redirects=False) as response,
    ):
        found = {name.lower(): value for name, value in response.headers.items()}
        return response.status, found, await response.read()


def test_whole(clock: Clock, server: PackageServer, package: Package) -> None:
    status, headers, body = run(clock, fetch(server.uri_of("p.bin", "http")))
    assert (status, body) == (200, BODY)
    assert headers["content-length"] == str(len(BODY))
    assert headers["etag"] == f'"{package.etag.hex()}"'
    assert (package.served, package.sent) == (len(BODY), len(BODY))


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-199", slice(100, 200)),
        ("bytes=51000-", slice(51000, None)),
        ("bytes=-10", slice(-10, None)),
        ("bytes=0-99999999", slice(0, None)),
    ],
)
def test_ranges(clock: Clock, server: PackageServer, package: Package, wanted: str, part: slice) -> None:
    status, headers, body = run(clock, fetch(server.uri_of("p.bin", "http"), Range=wanted))
    assert (status, body) == (206, BODY[part])
    start = part.indices(len(BODY))[0]
    assert headers["content-range"] == f"bytes {start}-{start + len(body) - 1}/{len(BODY)}"


@pytest.mark.parametrize("wanted", ["bytes=60000-", "bytes=-0", "bytes=9-5"])
def test_ranges_that_cannot_be_given(
    clock: Clock, server: PackageServer, package: Package, wanted: str
) -> None:
    status, headers, _ = run(clock, fetch(server.uri_of("p.bin", "http"), Range=wanted))
    assert status == 416
    assert headers["content-range"] == f"bytes */{len(BODY)}"


@pytest.mark.parametrize("wanted", ["bytes=1-2,5-6", "lines=1-2", "bytes=x", "bytes=-"])
def test_ranges_that_are_not_understood_are_ignored(
    clock: Clock, server: PackageServer, package: Package, wanted: str
) -> None:
    assert run(clock, fetch(server.uri_of("p.bin", "http"), Range=wanted))[0] == 200


def test_if_range_with_another_etag_gives_all_of_it(
    clock: Clock, server: PackageServer, package: Package
) -> None:
    uri = server.uri_of("p.bin", "http")
    same = run(clock, fetch(uri, Range="bytes=10-", If_Range=f'"{package.etag.hex()}"'))
    other = run(clock, fetch(uri, Range="bytes=10-", If_Range='"another"'))
    assert (same[0], other[0], other[2]) == (206, 200, BODY)


def test_head(clock: Clock, server: PackageServer, package: Package) -> None:
    status, headers, body = run(clock, fetch(server.uri_of("p.bin", "http"), "HEAD"))
    assert (status, body, headers["content-length"]) == (200, b"", str(len(BODY)))
    assert package.sent == 0


def test_head_ignores_a_range(clock: Clock, server: PackageServer, package: Package) -> None:
    """RFC 9110, 14.2: a range is for GET."""
    uri = server.uri_of("p.bin", "http")
    for wanted in ("bytes=10-19", "bytes=60000-"):
        status, headers, _ = run(clock, fetch(uri, "HEAD", Range=wanted))
        assert (status, headers["content-length"]) == (200, str(len(BODY)))
        assert "content-range" not in headers


def test_if_match(clock: Clock, server: PackageServer, package: Package) -> None:
    uri, own = server.uri_of("p.bin", "http"), f'"{package.etag.hex()}"'
    for wanted, status in ((own, 200), ("*", 200), (f'"x", {own}', 200), ('"x"', 412), (f"W/{own}", 412)):
        assert run(clock, fetch(uri, If_Match=wanted))[0] == status, wanted
    assert [served.note for served in package.log if served.note] == ["412", "412"]


def test_a_connection_is_kept_for_further_requests(
    clock: Clock, server: PackageServer, package: Package
) -> None:
    uri = server.uri_of("p.bin", "http")

    async def twice() -> list[tuple[int, bytes]]:
        opened = await asyncio.open_connection(*uri.removeprefix("http://").partition("/")[0].split(":"))
        reader, writer = opened
        found = []
        for part in ("0-9", "10-29"):
            writer.write(f"GET /fw/p.bin HTTP/1.1\r\nHost: x\r\nRange: bytes={part}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            found.append((int(head.split()[1]), await reader.readexactly(length)))
        writer.close()
        await writer.wait_closed()
        return found

    assert run(clock, twice()) == [(206, BODY[:10]), (206, BODY[10:30])]


def test_what_is_not_there(clock: Clock, server: PackageServer) -> None:
    assert run(clock, fetch(server.uri_of("nothing.bin", "http")))[0] == 404


def test_https_with_the_bench_ca_and_only_with_it(
    clock: Clock, server: PackageServer, package: Package
) -> None:
    trusting = ssl.create_default_context(cadata=server.ca.decode())
    assert run(clock, fetch(server.uri_of("p.bin", "https"), tls=trusting))[2] == BODY
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        run(clock, fetch(server.uri_of("p.bin", "https"), tls=ssl.create_default_context()))


@pytest.mark.parametrize(
    ("shown", "complaint"),
    [
        (Shown.EXPIRED, "certificate has expired"),
        (Shown.WRONG_HOST, "IP address mismatch"),
        (Shown.UNTRUSTED, "unable to get local issuer"),
    ],
)
def test_bad_certificates_and_a_good_one_again(
    clock: Clock, server: PackageServer, package: Package, shown: Shown, complaint: str
) -> None:
    trusting = ssl.create_default_context(cadata=server.ca.decode())
    uri = server.uri_of("p.bin", "https")
    server.show_certificate(shown)
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=complaint):
        run(clock, fetch(uri, tls=trusting))
    assert package.log == []
    server.show_certificate(Shown.GOOD)
    assert run(clock, fetch(uri, tls=trusting))[2] == BODY


def test_a_certificate_without_an_https_door_is_a_bench_error(clock: Clock, shelf: Shelf) -> None:
    server = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["http"])
    with pytest.raises(ServerError, match="not served over https"):
        server.show_certificate(Shown.EXPIRED)


def test_the_standard_librarys_client(shelf: Shelf) -> None:
    """Another client, on the wall clock, from another thread."""
    clock = WallClock()
    server = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["http"])
    server.start()
    shelf.publish("p.bin", BODY)
    try:
        with urllib.request.urlopen(server.uri_of("p.bin", "http"), timeout=10) as response:
            assert response.read() == BODY
    finally:
        server.close()
        clock.close()


# ---- misbehaviour


def test_slow(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Slow(rate=1024))
    start = clock.now()
    assert run(clock, fetch(server.uri_of("p.bin", "http")))[2] == BODY
    assert clock.now() - start == pytest.approx(len(BODY) / 1024, rel=0.05)


def test_stall_for_a_while(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Stall(after=20_000, seconds=90))
    start = clock.now()
    assert run(clock, fetch(server.uri_of("p.bin", "http")))[2] == BODY
    assert 90 <= clock.now() - start < 91


def test_stall_for_ever(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Stall(after=20_000))

    async def patient() -> None:
        await asyncio.wait_for(fetch(server.uri_of("p.bin", "http")), 250)

    with pytest.raises(TimeoutError):
        run(clock, patient())
    assert package.served == 20_000


def test_a_stall_ends_when_its_client_goes(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Stall(after=20_000))

    async def leave() -> int:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fetch(server.uri_of("p.bin", "http")), 5)
        await asyncio.sleep(1)
        return sum("RequestHandler.start" in repr(task) for task in asyncio.all_tasks())

    assert run(clock, leave()) == 0


def test_cut_once(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Cut(after=20_000))
    with pytest.raises(aiohttp.ClientError):
        run(clock, fetch(server.uri_of("p.bin", "http")))
    assert package.served == 20_000
    assert run(clock, fetch(server.uri_of("p.bin", "http"), Range="bytes=20000-"))[2] == BODY[20_000:]


def test_wrong_size(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(WrongSize(100))
    with pytest.raises(aiohttp.ClientPayloadError):
        run(clock, fetch(server.uri_of("p.bin", "http")))


def test_refused_at_first(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Refuse("5.03", times=2, retry_after=7))
    answers = [run(clock, fetch(server.uri_of("p.bin", "http"))) for _ in range(3)]
    assert [status for status, _, _ in answers] == [503, 503, 200]
    assert answers[0][1]["retry-after"] == "7"
    assert [served.note for served in package.log if served.note] == ["5.03", "5.03"]


def test_redirect(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Redirect(to="http://192.0.2.9/other"))
    status, headers, _ = run(clock, fetch(server.uri_of("p.bin", "http")))
    assert (status, headers["location"]) == (307, "http://192.0.2.9/other")
    assert run(clock, fetch(server.uri_of("p.bin", "http")))[0] == 200


def test_redirect_at_one_door_alone(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(Redirect(to="http://192.0.2.9/other", times=9, door="https"))
    assert run(clock, fetch(server.uri_of("p.bin", "http")))[0] == 200
    assert package.redirect("https") is not None


def test_replaced_on_the_way(clock: Clock, server: PackageServer, package: Package) -> None:
    """The answer that was begun stays what it was; the next one is the other package."""
    before = package.etag
    package.misbehave(Replace(after=10_000, data=BODY[::-1]))
    assert run(clock, fetch(server.uri_of("p.bin", "http")))[2] == BODY
    status, headers, body = run(
        clock, fetch(server.uri_of("p.bin", "http"), Range="bytes=10-", If_Range=f'"{before.hex()}"')
    )
    assert (status, body) == (200, BODY[::-1])
    assert headers["etag"] != f'"{before.hex()}"'


# ---- ports


def test_a_port_in_use_is_named(clock: Clock, shelf: Shelf) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for scheme in ("http", "coap+tcp"):
            doors = {scheme: Door(port)}
            server = PackageServer(clock, shelf, host="127.0.0.1", doors=doors, schemes=[scheme])
            with pytest.raises(ServerError, match=f"cannot listen for .*{port}"):
                server.start()
            server.close()


def test_a_door_that_nobody_needs_is_not_opened(server: PackageServer) -> None:
    with pytest.raises(ServerError, match=r"not served over coap\+tcp"):
        server.uri_of("p.bin", "coap+tcp")


def test_what_is_advertised_is_told(clock: Clock, shelf: Shelf) -> None:
    doors = {"http": Door(0, "http://203.0.113.7:8080")}
    server = PackageServer(clock, shelf, host="127.0.0.1", doors=doors, schemes=["http"])
    server.start()
    assert server.uri_of("p.bin", "http") == "http://203.0.113.7:8080/fw/p.bin"
    server.close()


def test_a_weak_etag_proves_nothing(clock: Clock, server: PackageServer, package: Package) -> None:
    """It stands in no If-Range and no If-Match that could be met (RFC 9110, 13.1.1 and 13.1.5)."""
    package.misbehave(WeakEtag())
    uri = server.uri_of("p.bin", "http")
    etag = run(clock, fetch(uri))[1]["etag"]
    assert etag == f'W/"{package.etag.hex()}"'
    assert run(clock, fetch(uri, Range="bytes=1-", If_Range=etag))[0] == 200
    assert run(clock, fetch(uri, Range="bytes=1-"))[0] == 206
    assert run(clock, fetch(uri, If_Match=etag))[0] == 412
    assert package.ranges == [
        RangeAsked("", ""),
        RangeAsked("bytes=1-", etag),
        RangeAsked("bytes=1-", ""),
    ]


def test_range_ignored(clock: Clock, server: PackageServer, package: Package) -> None:
    package.misbehave(IgnoreRange())
    status, headers, body = run(clock, fetch(server.uri_of("p.bin", "http"), Range="bytes=100-"))
    assert (status, body) == (200, BODY)
    assert "content-range" not in headers


@pytest.mark.parametrize(
    ("fault", "start", "end"), [(OtherPart(earlier=60), 40, len(BODY)), (OtherPart(size=50), 100, 150)]
)
def test_another_part(
    clock: Clock, server: PackageServer, package: Package, fault: OtherPart, start: int, end: int
) -> None:
    package.misbehave(fault)
    status, headers, body = run(clock, fetch(server.uri_of("p.bin", "http"), Range="bytes=100-"))
    assert (status, body) == (206, BODY[start:end])
    assert headers["content-range"] == f"bytes {start}-{end - 1}/{len(BODY)}"
