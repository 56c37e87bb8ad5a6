"""How the server stands a flood: memory, disk, and what a healthy client notices of it.

The server runs in a process of its own, on real sockets. Another process sends it datagrams of every kind
that a stranger can send, from many ports, at a fixed rate; a client by aiocoap's own transport, which shares
nothing with the server's, updates its registration all the while, as a device does. Latency is that of this
PC as it is loaded: run it on one that does nothing else.

Run: python -m benchmarks.hostile [--quick]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiocoap
import psutil

from bench.clock import WallClock
from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.values import Path as ObjectPath
from bench.lwm2m.dtls.credentials import Credentials
from bench.lwm2m.model import content
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

RATE = 1500
"""Hostile datagrams a second."""
PORTS = 400
"""Addresses they come from."""
IDLE = 200
"""Updates of the healthy client before the flood."""
MIB = 1 << 20
FORMATS = (content.TLV, content.SENML_JSON, content.SENML_CBOR, content.LWM2M_CBOR, content.JSON)


# ---- the server's process


def serve(pipe: Any, folder: str) -> None:
    clock = WallClock()
    timeline = Timeline(clock)
    credentials = Credentials()
    credentials.add_psk("device", bytes(range(16)), "device")
    server = LwM2mServer(clock, timeline, credentials=credentials)
    server.awaited = frozenset({"device", "healthy"})
    server.start()
    server.publish("p.bin", bytes(range(256)) * 400)
    pipe.send((server.address, server.secure_address))
    pipe.recv()
    gc.collect()
    missed, entries, kept = server._trace.missed, timeline.mark(), len(server.capture.frames)
    server.close()
    timeline.dump(Path(folder) / "timeline.jsonl")  # as a run leaves it behind
    pipe.send((missed, entries, kept))
    clock.close()


# ---- the attackers' process


def datagrams(rng: random.Random) -> Callable[[], tuple[bool, bytes]]:
    """Makes one datagram after the other; True for the port of DTLS."""

    def option(number: int, value: bytes, last: int) -> bytes:
        delta, length = number - last, len(value)
        head, extended = [], b""
        for quantity in (delta, length):
            head.append(quantity if quantity < 13 else 13 if quantity < 269 else 14)
            if quantity >= 13:
                extended += bytes([quantity - 13]) if quantity < 269 else (quantity - 269).to_bytes(2, "big")
        return bytes([head[0] << 4 | head[1]]) + extended + value

    def message(kind: int, code: int, options: list[tuple[int, bytes]], payload: bytes = b"") -> bytes:
        token = rng.randbytes(rng.randrange(9))
        out = bytes([0x40 | kind << 4 | len(token), code]) + rng.randbytes(2) + token
        last = 0
        for number, value in sorted(options):
            out += option(number, value, last)
            last = number
        return out + (b"\xff" + payload if payload else b"")

    def registration() -> bytes:
        query = [(15, f"ep=squatter-{rng.randrange(1 << 30)}".encode()), (15, b"lt=86400")]
        links = b",".join(b"</3303/%d>" % n for n in range(rng.randrange(90)))
        return message(0, 2, [(11, b"rd"), (12, b"\x28"), *query], links or b"</5/0>")

    def begun_body() -> bytes:
        query = (15, f"ep=body-{rng.randrange(1 << 30)}".encode())
        return message(0, 2, [(11, b"rd"), (12, b"\x28"), query, (27, b"\x0e")], rng.randbytes(1024))

    def changed() -> bytes:
        data = bytearray(rng.choice((registration, begun_body))())
        for _ in range(rng.randrange(1, 8)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)

    def hello() -> bytes:
        body = b"\xfe\xfd" + rng.randbytes(32) + b"\0\0\0\2\xc0\xa8\1\0"
        whole = b"\1" + len(body).to_bytes(3, "big") + bytes(5) + len(body).to_bytes(3, "big") + body
        return bytes([22, 0xFE, 0xFD, *bytes(8)]) + len(whole).to_bytes(2, "big") + whole

    kinds: list[Callable[[], tuple[bool, bytes]]] = [
        lambda: (False, rng.randbytes(rng.randrange(200))),
        lambda: (False, b"\x40" + rng.randbytes(rng.randrange(3, 60))),
        lambda: (False, message(rng.randrange(4), 0, [])),
        lambda: (False, registration()),
        lambda: (False, begun_body()),
        lambda: (False, changed()),
        lambda: (False, message(rng.randrange(2), 1, [(11, b"fw"), (11, b"p.bin"), (23, rng.randbytes(2))])),
        lambda: (False, message(0, 0x45, [(6, rng.randbytes(2))], rng.randbytes(8))),
        lambda: (False, message(0, 2, [(11, b"dp"), (12, b"\x70")], rng.randbytes(60))),
        lambda: (False, message(0, 2, [(11, b"bs"), (15, b"ep=device")])),
        lambda: (True, rng.randbytes(rng.randrange(100))),
        lambda: (True, hello()),
        lambda: (True, hello()[:30]),
    ]
    return lambda: rng.choice(kinds)()


def attack(plain: tuple[str, int], secure: tuple[str, int], count: int, rate: float, seed: int) -> None:
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(PORTS)]
    rng = random.Random(seed)
    make, begin = datagrams(rng), time.monotonic()
    for number in range(count):
        to_dtls, data = make()
        with contextlib.suppress(OSError):
            sockets[number % PORTS].sendto(data, secure if to_dtls else plain)
        ahead = begin + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)


# ---- the healthy client


class Healthy:
    """Registers, and updates: seconds for each, its retransmissions included."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._base = f"coap://{address[0]}:{address[1]}"
        self.timed_out = 0

    async def __aenter__(self) -> Healthy:
        self._context = await aiocoap.Context.create_client_context()
        answer = await self._ask("/rd?ep=healthy&lt=600&lwm2m=1.1&b=U", b"</5/0>")
        self._location = "/" + "/".join(answer.opt.location_path)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._context.shutdown()

    async def _ask(self, path: str, payload: bytes = b"") -> Any:
        message = aiocoap.Message(code=aiocoap.POST, uri=self._base + path, payload=payload)
        if payload:
            message.opt.content_format = 40
        return await self._context.request(message, handle_blockwise=False).response

    async def update(self) -> float:
        begin = time.perf_counter()
        try:
            answer = await self._ask(self._location)
        except aiocoap.error.NetworkError:
            self.timed_out += 1
            return time.perf_counter() - begin
        assert answer.code.dotted == "2.04", answer.code
        return time.perf_counter() - begin


def flood(count: int) -> None:
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        os.environ["TMPDIR"] = folder
        pipe, far = spawn.Pipe()
        server = spawn.Process(target=serve, args=(far, folder))
        server.start()
        plain, secure = pipe.recv()
        watched = psutil.Process(server.pid)

        async def measured() -> None:
            async with Healthy(plain) as client:
                before = [await client.update() for _ in range(IDLE)]
                rss = peak = watched.memory_info().rss
                attacker = spawn.Process(target=attack, args=(plain, secure, count, RATE, 1))
                begin = time.monotonic()
                attacker.start()
                during = []
                while attacker.is_alive():
                    during.append(await client.update())
                    peak = max(peak, watched.memory_info().rss)
                    await asyncio.sleep(0.02)
                took = time.monotonic() - begin
                descriptors = watched.num_fds() if hasattr(watched, "num_fds") else 0
                pipe.send("end")
                missed, entries, kept = await asyncio.to_thread(pipe.recv)
            disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
            idle, busy = statistics.median(before), statistics.median(during)
            pace = f"{took:.0f} s ({count / took:,.0f} a second)"
            print(f"{count:,} hostile datagrams from {PORTS} ports in {pace}")
            print(f"memory            {(peak - rss) / MIB:+.1f} MiB at most (64 allowed)")
            print(f"disk              {disk / MIB:+.1f} MiB (32 allowed)")
            print(f"put down          {entries:,} entries, {kept:,} frames; {missed:,} not, and counted")
            print(f"descriptors       {descriptors}")
            print(
                f"healthy client    median {idle * 1e3:.2f} ms idle, {busy * 1e3:.2f} ms in the flood "
                f"({busy / idle:.2f}x, 2 allowed), {len(during):,} updates, {client.timed_out} time-outs"
            )

        asyncio.run(measured())
        server.join(60)
        if server.is_alive():
            server.kill()


# ---- codecs


def codecs(count: int) -> None:
    """Random and changed payloads: each is a value, or a `CodecError`."""
    rng = random.Random(2)
    at: ObjectPath = (3303, 0)
    values = {(3303, 0, 5700): 1.5, (3303, 0, 5701): "Cel", (3303, 0, 5850): True}
    good = [content.encode(number, at, values) for number in FORMATS]
    taken = refused = 0
    begin = time.perf_counter()
    for _ in range(count):
        whole = rng.choice(good) if rng.random() < 0.7 else rng.randbytes(rng.randrange(300))
        data = bytearray(whole)
        for _ in range(rng.randrange(6)):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        for number in FORMATS:
            try:
                content.decode(number, at, bytes(data))
                taken += 1
            except CodecError:
                refused += 1
        with contextlib.suppress(CodecError):
            link_format.decode(bytes(data))
    took = time.perf_counter() - begin
    print(
        f"codecs            {count:,} payloads for {len(FORMATS) + 1} formats in {took:.0f} s: "
        f"{taken:,} values, {refused:,} refusals, nothing else"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="100,000 datagrams in place of a million")
    quick = parser.parse_args().quick
    flood(100_000 if quick else 1_000_000)
    codecs(10_000 if quick else 200_000)


if __name__ == "__main__":
    main()
