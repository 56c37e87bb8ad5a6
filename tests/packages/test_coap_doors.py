"""The CoAP doors: over TCP asked by aiocoap's client, over UDP misbehaving towards a raw peer."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import aiocoap
import pytest
from aiocoap.numbers import TransportTuning

from bench.clock import Clock, WallClock
from bench.lwm2m.server import LwM2mServer
from bench.packages.coap import CRITICAL, WITH_OPTION
from bench.packages.misbehaviour import (
    Cut,
    Forge,
    Forgery,
    Ping,
    Refuse,
    Replace,
    Slow,
    SmallBlocks,
    Stall,
    UnknownOption,
    WrongSize,
)
from bench.packages.server import PackageServer
from bench.packages.shelf import Package, Shelf
from bench.timeline import Timeline

BODY = bytes(range(256)) * 40


@pytest.fixture
def clock() -> Iterator[Clock]:
    made = WallClock()
    yield made
    made.close()
    gc.collect()


def blocks(uri: str, count: int | None = None, size: int = 6) -> Any:
    """Fetch block by block; returns codes, ETags, Size2 of the first, and the bytes."""

    async def fetch() -> tuple[list[str], list[bytes], int | None, bytes]:
        context = await aiocoap.Context.create_client_context()
        codes, etags, size2, data, number = [], [], None, b"", 0
        try:
            while count is None or number < count:
                message = aiocoap.Message(code=aiocoap.GET, uri=uri, block2=(number, False, size))
                response = await context.request(message, handle_blockwise=False).response
                codes.append(response.code.dotted)
                if response.code != aiocoap.CONTENT:
                    break
                etags.append(response.opt.etag)
                size2 = response.opt.size2 if number == 0 else size2
                data += response.payload
                if response.opt.block2 is None or not response.opt.block2.more:
                    break
                number += 1
        finally:
            await context.shutdown()
        return codes, etags, size2, data

    return fetch()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(lambda: None)


@pytest.fixture
def tcp(clock: Clock, shelf: Shelf) -> Iterator[PackageServer]:
    made = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["coap+tcp"])
    made.start()
    yield made
    made.close()


def test_over_tcp(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    package = shelf.publish("p.bin", BODY)
    fetched = clock.run(blocks(tcp.uri_of("p.bin", "coap+tcp")), timeout=20, reason="fetch")
    assert fetched[3] == BODY
    assert set(fetched[1]) == {package.etag}
    assert fetched[2] == len(BODY)
    assert {served.door for served in package.log} == {"coap+tcp"}


def test_over_tcp_what_is_not_there(clock: Clock, tcp: PackageServer) -> None:
    assert clock.run(blocks(tcp.uri_of("x", "coap+tcp")), timeout=20, reason="fetch")[0] == ["4.04"]


def fetch_tcp(clock: Clock, tcp: PackageServer, count: int | None = None) -> Any:
    return clock.run(blocks(tcp.uri_of("p.bin", "coap+tcp"), count), timeout=20, reason="fetch")


def test_over_tcp_a_cut_breaks_the_connection(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    """The client hears of it at once, and the next connection is served."""
    package = shelf.publish("p.bin", BODY)
    package.misbehave(Cut(after=2048))
    with pytest.raises(aiocoap.error.NetworkError):
        fetch_tcp(clock, tcp)
    assert package.served == 2048
    assert package.log[-1].note == "cut"
    assert fetch_tcp(clock, tcp)[3] == BODY


def test_over_tcp_refusals_come_first(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    package = shelf.publish("p.bin", BODY)
    package.misbehave(Refuse("5.03", times=1), WrongSize(5))
    assert fetch_tcp(clock, tcp)[0] == ["5.03"]
    assert fetch_tcp(clock, tcp)[2:] == (len(BODY) + 5, BODY)


def test_over_tcp_replaced_on_the_way(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    shelf.publish("p.bin", BODY).misbehave(Replace(after=4096, data=BODY[::-1]))
    _, etags, _, data = fetch_tcp(clock, tcp)
    assert data == BODY[:4096] + BODY[::-1][4096:]
    assert [etags.index(etag) for etag in dict.fromkeys(etags)] == [0, 4]


def test_over_tcp_a_connection_is_noted_as_it_begins(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    package = shelf.publish("p.bin", BODY)
    assert fetch_tcp(clock, tcp)[3] == BODY
    assert [served.note for served in package.log if served.note] == ["begun with 7.01"]
    assert package.asked[0].path == ("p.bin",)

    async def without_csm() -> bytes:
        host, port = tcp.uri_of("", "coap+tcp").split("/")[2].split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"\x91\x01t" + b"\xb2fw\x05p.bin")  # GET /fw/p.bin, token "t"
        answer = await reader.readuntil(b"\x45t")
        writer.close()
        return answer

    clock.run(without_csm(), timeout=20, reason="an answer all the same")
    assert package.log[-2].note == "begun with 0.01"


def test_over_tcp_a_ping_is_answered(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    """By aiocoap's client."""
    package = shelf.publish("p.bin", BODY)
    package.misbehave(Ping(after=2048))
    assert fetch_tcp(clock, tcp)[3] == BODY
    notes = [(served.note, served.offset) for served in package.log if served.note.startswith("p")]
    assert notes == [("ping", 0), ("pong", 0)]


def test_over_tcp_slow_and_stalled(clock: Clock, tcp: PackageServer, shelf: Shelf) -> None:
    package = shelf.publish("p.bin", BODY)
    package.misbehave(Slow(rate=4096), Stall(after=2048))
    start = clock.now()
    fetch_tcp(clock, tcp, count=2)
    assert clock.now() - start >= 0.4

    async def third() -> None:
        async with asyncio.timeout(1.5):
            await blocks(tcp.uri_of("p.bin", "coap+tcp"))

    with pytest.raises(TimeoutError):
        clock.run(third(), timeout=20, reason="the third block")
    assert package.served == 2048


@pytest.fixture
def server(clock: Clock) -> Iterator[LwM2mServer]:
    made = LwM2mServer(clock, Timeline(clock))
    made.start()
    yield made
    made.close()


@pytest.fixture
def package(server: LwM2mServer) -> Package:
    return server.publish("p.bin", BODY)


def fetch(clock: Clock, server: LwM2mServer, count: int | None = None) -> Any:
    return clock.run(blocks(f"{server.uri}/fw/p.bin", count), timeout=20, reason="fetch")


def test_refusals_come_first(clock: Clock, server: LwM2mServer, package: Package) -> None:
    package.misbehave(Refuse("5.03", times=1))
    assert fetch(clock, server)[0] == ["5.03"]
    package.misbehave(Refuse("4.04"))
    assert [fetch(clock, server)[0] for _ in range(2)] == [["4.04"], ["4.04"]]
    package.misbehave()
    assert fetch(clock, server)[3] == BODY


def test_wrong_size(clock: Clock, server: LwM2mServer, package: Package) -> None:
    package.misbehave(WrongSize(-7))
    assert fetch(clock, server)[2] == len(BODY) - 7


def test_no_block_is_larger_than_it_may_be(clock: Clock, server: LwM2mServer, package: Package) -> None:
    """The answer begins at the same byte, under the number that its size gives it."""
    package.misbehave(SmallBlocks(64))

    async def second() -> aiocoap.Message:
        context = await aiocoap.Context.create_client_context()
        try:
            message = aiocoap.Message(
                code=aiocoap.GET, uri=f"{server.uri}/fw/p.bin?a=b", block2=(1, False, 5)
            )
            return await context.request(message, handle_blockwise=False).response
        finally:
            await context.shutdown()

    answer = clock.run(second(), timeout=20, reason="the second block")
    assert tuple(answer.opt.block2) == (8, True, 2)
    assert answer.payload == BODY[512:576]
    (asked,) = package.asked
    assert (asked.path, asked.query, asked.block) == (("p.bin",), ("a=b",), 512)


def test_an_option_that_nobody_knows_comes_once(clock: Clock, server: LwM2mServer, package: Package) -> None:
    """aiocoap's client takes it all the same, where one that conforms asks once more."""
    package.misbehave(UnknownOption(after=2048))
    assert fetch(clock, server)[3] == BODY
    assert [served.offset for served in package.log if served.note == WITH_OPTION] == [2048]
    assert CRITICAL % 2 == 1


@pytest.mark.parametrize("how", Forgery)
def test_who_compares_is_not_deceived(
    clock: Clock, server: LwM2mServer, package: Package, how: Forgery
) -> None:
    """aiocoap's client compares tokens and addresses; in the clear what its server sends is its server's."""
    package.misbehave(Forge(after=2048, how=how))
    fetched = fetch(clock, server)[3]
    assert (fetched == BODY) == (how is not Forgery.UNSECURED)
    assert [s.note for s in package.log if s.note] == [f"forged {how.value}"]


def test_replaced_on_the_way(clock: Clock, server: LwM2mServer, package: Package) -> None:
    package.misbehave(Replace(after=4096, data=BODY[::-1]))
    _, etags, _, data = fetch(clock, server)
    assert data == BODY[:4096] + BODY[::-1][4096:]
    assert [etags.index(etag) for etag in dict.fromkeys(etags)] == [0, 4]


def test_slow_takes_its_time(clock: Clock, server: LwM2mServer, package: Package) -> None:
    package.misbehave(Slow(rate=4096))
    start = clock.now()
    fetch(clock, server, count=4)
    assert clock.now() - start >= 0.9


@pytest.mark.parametrize("fault", [Stall(after=2048), Cut(after=2048, times=1000)])
def test_silence(clock: Clock, server: LwM2mServer, package: Package, fault: Stall | Cut) -> None:
    """The first two blocks come, the third does not."""
    package.misbehave(fault)
    assert len(fetch(clock, server, count=2)[3]) == 2048

    async def third() -> None:
        context = await aiocoap.Context.create_client_context()
        message = aiocoap.Message(code=aiocoap.GET, uri=f"{server.uri}/fw/p.bin", block2=(2, False, 6))
        try:
            async with aiocoap.protocol.asyncio.timeout(1.5):
                await context.request(message, handle_blockwise=False).response
        finally:
            await context.shutdown()

    with pytest.raises(TimeoutError):
        clock.run(third(), timeout=20, reason="the third block")
    assert package.served == 2048


def test_a_cut_loses_the_request_and_its_repetition_is_answered(
    clock: Clock, server: LwM2mServer, package: Package
) -> None:
    """Nothing comes, not even an acknowledgement, which would keep the client from asking once more."""
    package.misbehave(Cut(after=2048))
    # CON GET, message ID 1, token "t"; Uri-Path fw, p.bin; Block2 2/0/1024
    request = b"\x41\x01\x00\x01t" + b"\xb2fw" + b"\x05p.bin" + b"\xc1\x26"

    async def ask_twice() -> bytes:
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        class Listener(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                heard.put_nowait(data)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Listener, remote_addr=server.address)
        try:
            transport.sendto(request)
            await clock.until(lambda: any(served.note == "cut" for served in package.log))
            await asyncio.sleep(3 * TransportTuning().EMPTY_ACK_DELAY)
            assert heard.empty()
            transport.sendto(request)
            return await heard.get()
        finally:
            transport.close()

    answer = clock.run(ask_twice(), timeout=20, reason="a request and its repetition")
    assert answer[:5] == b"\x61\x45\x00\x01t", "a piggybacked 2.05"
    assert answer.endswith(BODY[2048:3072])
