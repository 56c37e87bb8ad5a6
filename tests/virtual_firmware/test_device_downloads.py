"""The device's downloads over every scheme, from the bench's package server when it misbehaves."""

from __future__ import annotations

import asyncio
import base64
import gc
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import aiocoap
import pytest
from firmware_rig import Rig, Server, image

from bench.packages.certificates import Shown
from bench.packages.coap import CoapDoor
from bench.packages.misbehaviour import (
    Chunked,
    Cut,
    Misbehaviour,
    Redirect,
    Refuse,
    Replace,
    Slow,
    Stall,
    WrongSize,
)
from bench.packages.server import PackageServer
from bench.packages.shelf import Package, Shelf
from bench.virtual.clock import VirtualClock
from bench.virtual.firmware.downloads.chunked import Dechunker
from bench.virtual.firmware.downloads.http import _retry_after
from bench.virtual.firmware.downloads.stream import Broken
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.radio.technology import WIFI
from bench.virtual.scheduler import Scheduler

TCP = ("http", "https", "coap+tcp")
ALL = ("coap", *TCP)
BODY = image(size=120_000)
LONG = image(size=250_000)
HELD = {"http": 20_480, "https": 90_112, "coap+tcp": 1024}
"""Bytes that a connection holds between the door and a device that takes nothing."""
OTHER = image("3.0.0", size=110_000)
DONE, LOST, NO_SUCH = (2, 0), (0, 4), (0, 7)


class Doors:
    """Every door of one shelf."""

    def __init__(self, clock: VirtualClock, server: Server) -> None:
        self.clock, self._server = clock, server
        self.shelf = Shelf(clock.changed)
        server.site.add_resource(["fw"], CoapDoor(self.shelf))
        self.packages = PackageServer(clock, self.shelf, host="127.0.0.1", doors={}, schemes=TCP)
        self.packages.start()
        self.log: list[tuple[float, int, int]] = []

    def offer(self, *faults: Misbehaviour, data: bytes = BODY) -> Package:
        package = self.shelf.publish("p.bin", data)
        package.misbehave(*faults)

        def changed() -> None:
            self.log.append((self.clock.now(), package.served, package.sent))
            self.clock.changed()

        package.on_change = changed
        return package

    def uri(self, scheme: str) -> str:
        if scheme == "coap":
            return f"coap://127.0.0.1:{self._server.port}/fw/p.bin"
        return self.packages.uri_of("p.bin", scheme)

    def trusted_by(self, rig: Rig) -> None:
        rig.type("trust " + base64.b64encode(ssl.PEM_cert_to_DER_cert(self.packages.ca.decode())).decode())
        rig.wait_line("trust: ok")


@pytest.fixture
def doors(clock: VirtualClock, server: Server) -> Iterator[Doors]:
    made = Doors(clock, server)
    yield made
    made.packages.close()


@pytest.fixture
def device(start: Callable[..., Rig], doors: Doors) -> Rig:
    rig = start(WIFI, lifetime=86_400, stack=Stack(resumes=True))
    doors.trusted_by(rig)
    return rig


def begin(server: Server, uri: str) -> None:
    assert server.request(aiocoap.PUT, "/5/0/1", uri.encode()).code is aiocoap.CHANGED


def pull(server: Server, uri: str, outcome: tuple[int, int]) -> None:
    begin(server, uri)
    server.wait_fota(*outcome, timeout=4000)


@pytest.mark.parametrize("scheme", ALL)
def test_whole(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    package = doors.offer()
    pull(server, doors.uri(scheme), DONE)
    assert device.slot(len(BODY)) == BODY
    assert package.sent == len(BODY)
    assert {served.door for served in package.log} == {scheme}


@pytest.mark.parametrize("scheme", TCP)
def test_a_broken_connection_is_resumed(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    package = doors.offer(Cut(after=60_000, times=2))
    pull(server, doors.uri(scheme), DONE)
    assert device.slot(len(BODY)) == BODY
    assert [served.note for served in package.log].count("cut") == 2
    assert len({served.offset for served in package.log if served.offset}) > 1
    assert package.sent < 2.5 * len(BODY)


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("fault", [Cut(after=60_000, times=1000), Stall(after=60_000), Refuse("5.03")])
def test_the_device_gives_up(
    device: Rig, server: Server, doors: Doors, scheme: str, fault: Misbehaviour
) -> None:
    package = doors.offer(fault)
    pull(server, doors.uri(scheme), LOST)
    assert package.served <= 60_000


@pytest.mark.parametrize("scheme", ALL)
def test_what_is_not_there(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    pull(server, doors.uri(scheme), NO_SUCH)


@pytest.mark.parametrize("scheme", ALL)
def test_patience(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    """A pause, a slow server and one that is busy at first cost only time."""
    doors.offer(Stall(after=60_000, seconds=25), Slow(rate=8000), Refuse("5.03", times=2, retry_after=4))
    before = doors.clock.now()
    pull(server, doors.uri(scheme), DONE)
    assert device.slot(len(BODY)) == BODY
    assert doors.clock.now() - before >= 25 + len(BODY) / 8000


@pytest.mark.parametrize("scheme", TCP)
def test_never_a_mixture_of_two_packages(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    doors.offer(Replace(after=60_000, data=OTHER), Cut(after=60_000))
    pull(server, doors.uri(scheme), DONE)
    assert device.slot(len(OTHER)) == OTHER


@pytest.mark.parametrize("by", [-5000, 5000])
@pytest.mark.parametrize("scheme", TCP)
def test_wrong_size_never_hangs(device: Rig, server: Server, doors: Doors, scheme: str, by: int) -> None:
    doors.offer(WrongSize(by))
    begin(server, doors.uri(scheme))
    doors.clock.wait_for(
        lambda: any(f"fota: state {s}" in line for line in device.lines for s in (0, 2)),
        timeout=2000,
        reason="an outcome",
    )
    if server.fota() == DONE:
        assert device.slot(len(BODY)) == BODY


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("times", "outcome"), [(3, DONE), (4, LOST)])
def test_three_redirects_are_followed(
    device: Rig, server: Server, doors: Doors, scheme: str, times: int, outcome: tuple[int, int]
) -> None:
    package = doors.offer(Redirect(times=times, status=302))
    pull(server, doors.uri(scheme), outcome)
    assert [served.note for served in package.log].count("redirect") == times


@pytest.mark.parametrize("to", ["p.bin", "/fw/p.bin", "?build=7", "//127.0.0.1:{port}/fw/p.bin#part"])
def test_a_location_may_be_relative(device: Rig, server: Server, doors: Doors, to: str) -> None:
    uri = doors.uri("http")
    port = uri.split(":")[2].partition("/")[0]
    package = doors.offer(Redirect(to=to.format(port=port)))
    pull(server, uri, DONE)
    assert [served.note for served in package.log].count("redirect") == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_body_in_chunks(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    """Its length is not told; a connection that breaks before the last chunk is no end of it."""
    package = doors.offer(Chunked(), Cut(after=60_000))
    pull(server, doors.uri(scheme), DONE)
    assert device.slot(len(BODY)) == BODY
    assert package.sent < 2 * len(BODY)


def test_a_body_in_chunks_that_never_ends(device: Rig, server: Server, doors: Doors) -> None:
    doors.offer(Chunked(), Cut(after=60_000, times=1000))
    pull(server, doors.uri("http"), LOST)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_however_they_arrive(size: int) -> None:
    plain = b"4;name=value\r\nWiki\r\n5 \r\npedia\r\n0B\r\n in\r\nchunks\r\n0\r\nTrailer: x\r\n\r\nmore"
    made, body = Dechunker(), b""
    for start in range(0, len(plain), size):
        body += made.take(plain[start : start + size])
    assert body == b"Wikipedia in\r\nchunks"
    assert made.complete


@pytest.mark.parametrize("wrong", [b"xyz\r\n", b"-1\r\n", b"2\r\nabc\r\n0\r\n\r\n", b"1" * 5000])
def test_what_is_no_chunk(wrong: bytes) -> None:
    with pytest.raises(Broken):
        Dechunker().take(wrong)


@pytest.mark.parametrize("scheme", ALL)
@pytest.mark.parametrize("seconds", [3, 200])
def test_a_busy_server_says_when(
    device: Rig, server: Server, doors: Doors, scheme: str, seconds: int
) -> None:
    """Retry-After, or Max-Age: not sooner, and not much later."""
    package = doors.offer(Refuse("5.03", times=2, retry_after=seconds))
    asked: list[float] = []
    package.on_change = lambda: asked.append(doors.clock.now())
    pull(server, doors.uri(scheme), DONE)
    waited = [asked[1] - asked[0], asked[2] - asked[1]]
    assert all(seconds <= one < seconds + 3 for one in waited), waited


@pytest.mark.parametrize("scheme", ALL)
def test_a_server_that_is_busy_for_a_day(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    package = doors.offer(Refuse("5.03", retry_after=86_400))
    pull(server, doors.uri(scheme), LOST)
    assert len(package.log) == 1


def test_retry_after_as_a_date() -> None:
    said = {"date": "Fri, 31 Dec 1999 23:59:00 GMT", "retry-after": "Sat, 01 Jan 2000 00:00:30 GMT"}
    assert _retry_after(said) == 90
    assert _retry_after({**said, "retry-after": "Fri, 31 Dec 1999 23:00:00 GMT"}) == 0
    assert _retry_after({"retry-after": said["retry-after"]}) is None
    assert _retry_after({"retry-after": "soon", "date": said["date"]}) is None
    assert _retry_after({}) is None


@pytest.mark.parametrize("shown", list(Shown)[1:])
def test_a_server_that_cannot_prove_itself_is_told_nothing(
    device: Rig, server: Server, doors: Doors, shown: Shown
) -> None:
    package = doors.offer()
    doors.packages.show_certificate(shown)
    pull(server, doors.uri("https"), LOST)
    assert package.log == []
    doors.packages.show_certificate(Shown.GOOD)
    pull(server, doors.uri("https"), DONE)


def half_way(doors: Doors, package: Package) -> None:
    doors.clock.wait_for(lambda: package.served > 50_000, timeout=300, reason="half of it")


@pytest.mark.parametrize("scheme", TCP)
@pytest.mark.parametrize("seconds", [20, 90])
def test_out_of_coverage_the_stream_stands_still(
    device: Rig, server: Server, doors: Doors, scheme: str, seconds: float
) -> None:
    """Shorter than the device's patience nothing is fetched twice; longer, it resumes."""
    package = doors.offer(Slow(rate=8000), data=LONG)
    begin(server, doors.uri(scheme))
    half_way(doors, package)
    device.path.attenuation = 60.0  # -140 dBm
    doors.clock.sleep(2, "what is on its way")
    before, writes = package.sent, len(device.writes)
    doors.clock.sleep(seconds, "out of coverage")
    assert package.sent - before <= HELD[scheme]
    assert len(device.writes) == writes
    device.path.attenuation = 0.0
    server.wait_fota(*DONE, timeout=2000)
    assert device.slot(len(LONG)) == LONG
    if seconds == 20:
        assert package.sent == len(LONG)
    else:
        assert package.sent - len(LONG) <= HELD[scheme] + 65_536


@pytest.mark.parametrize("scheme", TCP)
def test_power_off_with_an_open_connection(device: Rig, server: Server, doors: Doors, scheme: str) -> None:
    """The server notices; after the restart the device goes on where it was."""
    package = doors.offer(Slow(rate=8000))
    begin(server, doors.uri(scheme))
    half_way(doors, package)
    device.power_off()
    doors.clock.sleep(5, "the server notices")
    before = package.sent
    doors.clock.sleep(60, "nobody is there")
    assert package.sent == before
    assert doors.clock.loop.streams.ends == []
    known = len(server.registrations)
    device.power_on()
    doors.clock.wait_for(lambda: len(server.registrations) > known, timeout=60, reason="it registers")
    server.wait_fota(*DONE, timeout=2000)
    assert device.slot(len(BODY)) == BODY
    assert package.sent < 1.5 * len(BODY)


@pytest.mark.parametrize("etag", ["", 'ETag: W/"weak"\r\n'])
def test_without_a_strong_etag_it_starts_over(device: Rig, server: Server, etag: str) -> None:
    """A server may give the rest of another package: nothing proves that it is the same one."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(f"HTTP/1.1 200 OK\r\n{etag}Content-Length: {len(BODY)}\r\n\r\n".encode())
        writer.write(BODY if len(asked) > 1 else OTHER[:50_000])
        await writer.drain()
        writer.close()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(answer, "127.0.0.1", 0)

    opened = server.run(serve())
    pull(server, f"http://127.0.0.1:{opened.sockets[0].getsockname()[1]}/p.bin", DONE)
    opened.close()
    assert device.slot(len(BODY)) == BODY
    assert len(asked) == 2
    assert "range" not in asked[1].lower()


def trace(scheme: str, *faults: Misbehaviour, pace: float | None = None) -> list[object]:
    """One update from a new bench with the same seed: all that the device and the server did, and when."""
    random.seed(1)
    clock = VirtualClock(Scheduler(1), pace)
    server = Server(clock)
    doors = Doors(clock, server)
    rig = Rig(clock, WIFI, Stack(resumes=True))
    try:
        rig.power_on()
        rig.wait_line("lwm2m: not provisioned")
        rig.type(f"provision server=coap://127.0.0.1:{server.port} endpoint=same lifetime=86400")
        rig.wait_line("lwm2m: registered at", timeout=600)
        doors.trusted_by(rig)
        doors.offer(*faults)
        pull(server, doors.uri(scheme), DONE)
        return [clock.now(), *doors.log, *rig.writes, *rig.lines]
    finally:
        rig.power_off()
        doors.packages.close()
        server.close()
        clock.close()
        gc.collect()


@pytest.mark.parametrize("scheme", TCP)
def test_equal_seeds_give_equal_runs(scheme: str) -> None:
    faults = (Slow(rate=20_000), Cut(after=50_000), Stall(after=90_000, seconds=30))
    first = trace(scheme, *faults)
    assert len(first) > 50
    for _ in range(3):
        assert trace(scheme, *faults) == first


@pytest.mark.parametrize("scheme", TCP)
def test_equal_runs_while_the_machine_is_busy(scheme: str) -> None:
    first = trace(scheme, Cut(after=50_000))
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert [trace(scheme, Cut(after=50_000)) for _ in range(2)] == [first, first]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_on_a_paced_clock() -> None:
    """A stream that waits for the device must not let the loop spin through the time."""
    assert trace("http", pace=200)[-1] == "fota: state 2 result 0"


@pytest.mark.parametrize("early_end", [False, True])
def test_a_server_of_another_program(device: Rig, server: Server, early_end: bool) -> None:
    """It is on no loop of ours, so nothing is known of what is in flight; its bytes arrive all the same."""
    head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {len(BODY)}\r\n\r\n'.encode()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in ([head + BODY[:40_000]] if early_end else []) + [b""]:
            opened, _ = listener.accept()
            with opened:
                asked = opened.recv(4096).decode()
                start = int(asked.partition("bytes=")[2].partition("-")[0] or 0)
                part = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
                rest = f'HTTP/1.1 206 OK\r\nETag: "1"\r\nContent-Range: {part}\r\n\r\n'.encode()
                opened.sendall(answer or (rest if start else head) + BODY[start:])
                opened.shutdown(socket.SHUT_WR)
                opened.recv(1)  # until the device has gone

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        pull(server, f"http://127.0.0.1:{listener.getsockname()[1]}/p.bin", DONE)
    finally:
        listener.close()
    thread.join(5)
    assert device.slot(len(BODY)) == BODY
