"""The doors over TCP: who holds connections, dribbles, stays silent or talks nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Iterator

import pytest

from bench.clock import Clock
from bench.packages import admission
from bench.packages.server import PackageServer
from bench.packages.shelf import Shelf

BODY = bytes(range(256)) * 200
CSM = b"\x00\xe1"
GET_FW = b"\xb2fw\x05p.bin"


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf(lambda: None)
    made.publish("p.bin", BODY)
    return made


@pytest.fixture
def doors(clock: Clock, shelf: Shelf) -> Iterator[PackageServer]:
    made = PackageServer(clock, shelf, host="127.0.0.1", doors={}, schemes=["http", "https", "coap+tcp"])
    made.start()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO):
        yield
    assert [r.getMessage() for r in caplog.records if r.exc_info and r.levelno >= logging.WARNING] == []


async def opened(doors: PackageServer, scheme: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", doors._open[scheme].port)


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    with contextlib.suppress(ConnectionResetError):
        return await reader.read()
    return b""


# ---- how many, how long


@pytest.mark.parametrize("scheme", ["http", "https", "coap+tcp"])
def test_a_host_holds_so_many_connections_and_no_more(
    clock: Clock, doors: PackageServer, scheme: str
) -> None:
    """And the door serves again once they are gone."""

    async def attack() -> int:
        held = [await opened(doors, scheme) for _ in range(admission.PER_HOST + 10)]
        await asyncio.sleep(0.1)
        closed = [reader for reader, _ in held if reader.at_eof() or reader.exception() is not None]
        for _, writer in held:
            writer.close()
        await asyncio.sleep(1)
        return len(closed)

    assert clock.run(attack(), timeout=60, reason="many connections") == 10


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("dribble", [b"", b"G"], ids=["silent", "dribbling"])
def test_a_head_that_does_not_come_is_not_waited_for(
    clock: Clock, doors: PackageServer, scheme: str, dribble: bytes
) -> None:
    async def attack() -> float:
        begin = asyncio.get_running_loop().time()
        reader, writer = await opened(doors, scheme)

        async def drip() -> None:
            while dribble:
                writer.write(dribble)
                await asyncio.sleep(2)

        dripping = asyncio.ensure_future(drip())
        await until_closed(reader)
        dripping.cancel()
        writer.close()
        return asyncio.get_running_loop().time() - begin

    assert clock.run(attack(), timeout=600, reason="a slow head") <= admission.HEADER_LIMIT + 1


def test_a_head_without_end_is_cut_off(clock: Clock, doors: PackageServer) -> None:
    async def attack() -> int:
        reader, writer = await opened(doors, "http")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 20 and not reader.at_eof():
                writer.write(b"X-Filler: " + b"x" * 1000 + b"\r\n")
                sent += 1012
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        return sent

    assert clock.run(attack(), timeout=60, reason="a long head") < 4 * admission.LONGEST_HEAD


def test_an_idle_connection_is_given_up(clock: Clock, doors: PackageServer) -> None:
    async def idle(scheme: str, first: bytes) -> float:
        begin = asyncio.get_running_loop().time()
        reader, writer = await opened(doors, scheme)
        writer.write(first)
        await until_closed(reader)
        writer.close()
        return asyncio.get_running_loop().time() - begin

    request = b"GET /fw/p.bin HTTP/1.1\r\nHost: x\r\n\r\n"
    assert clock.run(idle("http", request), timeout=9000, reason="keep-alive") < 100
    assert clock.run(idle("coap+tcp", CSM), timeout=9000, reason="silence") < admission.IDLE_LIMIT + 1


@pytest.mark.parametrize("scheme", ["http", "https", "coap+tcp"])
@pytest.mark.parametrize(
    "nonsense",
    [
        b"\0" * 64,
        b"\xff" * 64,
        b"\x16\x03\x01\x00\x05hello\r\n\r\n",
        b"GET /fw/p.bin HTTP/9.9\r\n\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
        b"GET /fw/p.bin HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /fw/%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        CSM + b"\x21\x01t\xff",
        CSM + b"\x00\x20",
        CSM + b"\x31\x01t\xb2\xff",
        CSM + b"\x4f\x01" + b"t" * 15 + b"\xb2fw",
        CSM + b"\xf0\xff\xff\xff\xff\x01",
    ],
    ids=lambda data: repr(data[:18]),
)
def test_nonsense_is_no_traceback(
    clock: Clock, doors: PackageServer, shelf: Shelf, scheme: str, nonsense: bytes
) -> None:
    async def attack() -> None:
        reader, writer = await opened(doors, scheme)
        writer.write(nonsense)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await until_closed(reader)
        writer.close()
        await asyncio.sleep(0.1)

    for _ in range(3):
        clock.run(attack(), timeout=60, reason="nonsense")
    assert shelf.packages["p.bin"].sent == 0


# ---- coap+tcp


WALL = pytest.mark.parametrize("clock", ["wall"], indirect=True)
"""TCP between two ends in one process takes wall time, over which simulated time would jump."""


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Whole messages: code, and what follows the token."""
    found = []
    while len(data) > 3:
        length, token = data[0] >> 4, data[0] & 15
        width = {13: 1, 14: 2}.get(length, 0)
        if width:
            length = int.from_bytes(data[1 : 1 + width], "big") + {13: 13, 14: 269}[length]
        start = 2 + width + token
        if len(data) < start + length:
            break
        found.append((data[1 + width], data[start : start + length]))
        data = data[start + length :]
    return found


def tcp(clock: Clock, doors: PackageServer, sent: bytes, count: int = 1) -> list[tuple[int, bytes]]:
    """What the server says after its CSM, until there are so many messages or it has closed."""

    async def talk() -> bytes:
        reader, writer = await opened(doors, "coap+tcp")
        writer.write(sent)
        data = b""
        while len(messages(data)) <= count and (piece := await reader.read(65536)):
            data += piece
        writer.close()
        return data

    first, *others = messages(clock.run(talk(), timeout=30, reason="talk"))
    assert first[0] == 0xE1, "a CSM comes first (RFC 8323, 5.3)"
    return others


def request(options: bytes, token: bytes = b"t") -> bytes:
    assert len(options) < 13 + 256
    if len(options) < 13:
        return bytes([len(options) << 4 | len(token), 1]) + token + options
    return bytes([0xD0 | len(token), len(options) - 13, 1]) + token + options


@WALL
def test_an_empty_message_is_ignored(clock: Clock, doors: PackageServer) -> None:
    """RFC 8323, 3.4."""
    said = tcp(clock, doors, CSM + b"\x00\x00" * 5 + request(GET_FW))
    assert [code for code, _ in said] == [0x45]


@WALL
def test_a_critical_option_that_is_unknown_is_refused(clock: Clock, doors: PackageServer) -> None:
    unknown = b"\xe0" + (65001 - 11 - 269).to_bytes(2, "big")
    both = request(GET_FW + unknown, b"a") + request(GET_FW, b"b")
    assert [code for code, _ in tcp(clock, doors, CSM + both, 2)] == [0x82, 0x45]


@WALL
def test_a_request_before_the_csm_is_served(clock: Clock, doors: PackageServer) -> None:
    """RFC 8323, 3.3, is the device's to break and a testcase's to judge; the door loses nothing by it."""
    assert [code for code, _ in tcp(clock, doors, request(GET_FW), 1)] == [0x45]


@WALL
@pytest.mark.parametrize(("size", "block"), [(1152, 1024), (1000, 512), (300, 128), (128, 64), (80, 16)])
def test_no_message_is_longer_than_the_peer_takes(
    clock: Clock, doors: PackageServer, size: int, block: int
) -> None:
    """RFC 8323, 5.3.1; its Max-Message-Size counts the whole message."""
    limit = size.to_bytes(2, "big")
    ((_, answer),) = tcp(clock, doors, b"\x30\xe1\x22" + limit + request(GET_FW))
    assert len(answer.partition(b"\xff")[2]) == block
    assert len(answer) + 6 <= size


def test_who_reads_nothing_is_not_served_without_end(
    clock: Clock, doors: PackageServer, shelf: Shelf
) -> None:
    async def attack() -> None:
        _, writer = await opened(doors, "coap+tcp")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(CSM)
        for _ in range(200):
            writer.write(request(GET_FW) * 100)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)
        writer.transport.abort()

    clock.run(attack(), timeout=120, reason="a client that does not read")
    assert shelf.packages["p.bin"].sent < 8 << 20


def test_tls_that_ends_half_way_leaves_nothing(clock: Clock, doors: PackageServer, shelf: Shelf) -> None:
    async def attack() -> None:
        for _ in range(50):
            reader, writer = await opened(doors, "https")
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100))
            await asyncio.sleep(0.01)
            writer.transport.abort()
        await asyncio.sleep(1)
        trusting = ssl.create_default_context(cadata=doors.ca.decode())
        reader, writer = await asyncio.open_connection("127.0.0.1", doors._open["https"].port, ssl=trusting)
        writer.write(b"GET /fw/p.bin HTTP/1.0\r\nHost: x\r\n\r\n")
        assert (await reader.read()).endswith(BODY)
        writer.close()

    clock.run(attack(), timeout=120, reason="half of TLS")
