"""A CoAP peer of plain bytes on one UDP socket: everything a library would forbid can be sent.

It shares no code with the server. `Peer` sends and hears packets; `Device` is a peer that registers
and answers requests by functions of its own, with de-duplication by message ID.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bench.clock import Clock

CON, NON, ACK, RST = range(4)
GET, POST, PUT, DELETE, FETCH, IPATCH = 1, 2, 3, 4, 5, 7
OBSERVE, URI_PATH, CONTENT_FORMAT, URI_QUERY, ACCEPT = 6, 11, 12, 15, 17
ETAG, LOCATION_PATH, BLOCK2, BLOCK1, SIZE2, SIZE1 = 4, 8, 23, 27, 28, 60


def code(dotted: str) -> int:
    """ "2.05" -> 0x45"""
    return int(dotted[0]) << 5 | int(dotted[2:])


def uint(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def block(number: int, more: bool, exponent: int) -> bytes:
    return uint(number << 4 | more << 3 | exponent)


@dataclass
class Packet:
    """One message (RFC 7252, section 3). `at` is bench seconds, `source` the sender's address."""

    type: int
    code: int
    mid: int
    token: bytes = b""
    options: list[tuple[int, bytes]] = field(default_factory=list)
    payload: bytes = b""
    at: float = 0.0
    source: tuple[str, int] = ("", 0)

    def encode(self) -> bytes:
        out = bytearray([0x40 | self.type << 4 | len(self.token), self.code])
        out += self.mid.to_bytes(2, "big") + self.token
        last = 0
        for number, value in sorted(self.options, key=lambda option: option[0]):
            nibbles, extended = [], b""
            for quantity in (number - last, len(value)):
                if quantity < 13:
                    nibbles.append(quantity)
                elif quantity < 269:
                    nibbles.append(13)
                    extended += bytes([quantity - 13])
                else:
                    nibbles.append(14)
                    extended += (quantity - 269).to_bytes(2, "big")
            out += bytes([nibbles[0] << 4 | nibbles[1]]) + extended + value
            last = number
        return bytes(out) + (b"\xff" + self.payload if self.payload else b"")

    @classmethod
    def decode(cls, data: bytes) -> Packet:
        length = data[0] & 15
        packet = cls(data[0] >> 4 & 3, data[1], int.from_bytes(data[2:4], "big"), data[4 : 4 + length])
        position, number = 4 + length, 0
        while position < len(data):
            if data[position] == 0xFF:
                packet.payload = data[position + 1 :]
                break
            quantities = [data[position] >> 4, data[position] & 15]
            position += 1
            for index, quantity in enumerate(quantities):
                if quantity == 13:
                    quantities[index] = data[position] + 13
                    position += 1
                elif quantity == 14:
                    quantities[index] = int.from_bytes(data[position : position + 2], "big") + 269
                    position += 2
            number += quantities[0]
            packet.options.append((number, data[position : position + quantities[1]]))
            position += quantities[1]
        return packet

    @property
    def dotted(self) -> str:
        return f"{self.code >> 5}.{self.code & 31:02d}"

    @property
    def is_request(self) -> bool:
        return 1 <= self.code < 32

    @property
    def path(self) -> str:
        return "/" + "/".join(value.decode() for number, value in self.options if number == URI_PATH)

    @property
    def location(self) -> str:
        return "/" + "/".join(value.decode() for number, value in self.options if number == LOCATION_PATH)

    def option(self, wanted: int) -> bytes | None:
        return next((value for number, value in self.options if number == wanted), None)

    def number(self, wanted: int) -> int | None:
        value = self.option(wanted)
        return None if value is None else int.from_bytes(value, "big")

    def block(self, wanted: int) -> tuple[int, bool, int] | None:
        value = self.number(wanted)
        return None if value is None else (value >> 4, bool(value & 8), value & 7)


def path_options(path: str) -> list[tuple[int, bytes]]:
    """Uri-Path and Uri-Query options of "/a/b?c&d"."""
    path, _, query = path.partition("?")
    options = [(URI_PATH, part.encode()) for part in path.split("/") if part]
    return options + [(URI_QUERY, item.encode()) for item in query.split("&") if item]


class Peer(asyncio.DatagramProtocol):
    """One UDP socket on the clock's loop. `loss` drops datagrams of both directions, by a seed."""

    def __init__(self, clock: Clock, server: str, *, loss: float = 0.0, seed: int = 0) -> None:
        host, port = server.removeprefix("coap://").rsplit(":", 1)
        self.clock = clock
        self.server = (host.strip("[]"), int(port))
        self.heard: list[Packet] = []
        self.loss, self._chance = loss, random.Random(seed)
        self.next_mid, self.next_token = 1, 0x10
        self._transport: asyncio.DatagramTransport | None = None
        self.open()

    def open(self, port: int = 0) -> None:
        local = "::1" if ":" in self.server[0] else "127.0.0.1"
        self._transport, _ = self.clock.run(
            self.clock.loop.create_datagram_endpoint(lambda: self, local_addr=(local, port)),
            timeout=5,
            reason="open the peer's socket",
        )

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    def close(self) -> None:
        async def closed() -> None:
            assert self._transport is not None
            self._transport.close()
            await asyncio.sleep(0)

        self.clock.run(closed(), timeout=5, reason="close the peer's socket")

    def move(self) -> None:
        """Speak from another port from now on, as behind a NAT that has forgotten the old one."""
        self.close()
        self.open()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        if self._chance.random() < self.loss:
            return
        packet = Packet.decode(data)
        packet.at, packet.source = self.clock.now(), (addr[0], addr[1])
        self.heard.append(packet)
        self.hear(packet)
        self.clock.changed()

    def hear(self, packet: Packet) -> None:
        """For those who answer."""

    def raw(self, data: bytes) -> None:
        """Send bytes, from any thread."""
        if self._chance.random() >= self.loss:
            assert self._transport is not None
            self.clock.loop.call_soon_threadsafe(self._transport.sendto, data, self.server)

    def send(self, packet: Packet) -> None:
        self.raw(packet.encode())

    def mid(self) -> int:
        self.next_mid += 1
        return self.next_mid

    def request(
        self,
        method: int,
        path: str,
        payload: bytes = b"",
        options: list[tuple[int, bytes]] | None = None,
        *,
        mid: int | None = None,
        token: bytes | None = None,
        timeout: float = 5.0,
    ) -> Packet:
        """Send a confirmable request once and wait for the response with its token."""
        if token is None:
            self.next_token += 1
            token = uint(self.next_token)
        since = len(self.heard)
        used = self.mid() if mid is None else mid
        self.send(Packet(CON, method, used, token, path_options(path) + (options or []), payload))

        def answer() -> Packet | None:
            return next((p for p in self.heard[since:] if p.token == token and p.code >= 64), None)

        found = self.clock.wait_for(answer, timeout=timeout, reason=f"an answer to {path}")
        assert found is not None
        return found

    def wait(self, wanted: Callable[[Packet], bool], timeout: float = 5.0, since: int = 0) -> Packet:
        def found() -> Packet | None:
            return next((p for p in self.heard[since:] if wanted(p)), None)

        packet = self.clock.wait_for(found, timeout=timeout, reason="a packet")
        assert packet is not None
        return packet

    def count(self, wanted: Callable[[Packet], bool]) -> int:
        return sum(1 for p in self.heard if wanted(p))


@dataclass
class Answer:
    """What a device says to a request. `code` None says nothing at all, "empty" acknowledges only."""

    code: str | None
    payload: bytes = b""
    options: list[tuple[int, bytes]] = field(default_factory=list)


def text(value: object) -> Answer:
    return Answer("2.05", str(value).encode(), [(CONTENT_FORMAT, b"")])


LINKS = b'</>;rt="oma.lwm2m";ct="0 42 11542",</1/0>,</3/0>,</5/0>'


class Device(Peer):
    """A client with resources: `on[path](request) -> Answer`, and observers by path."""

    def __init__(self, clock: Clock, server: str, endpoint: str = "dev", **options: Any) -> None:
        self.endpoint = endpoint
        self.on: dict[str, Callable[[Packet], Answer]] = {}
        self.observers: dict[str, bytes] = {}
        self.sequence = 1
        self.silent = False
        """Hears nothing: asleep, or switched off."""
        self._done: dict[int, Packet | None] = {}
        super().__init__(clock, server, **options)

    def register(self, query: str = "&lwm2m=1.0&lt=600&b=U", links: bytes = LINKS, **how: Any) -> Packet:
        answer = self.request(
            POST, f"/rd?ep={self.endpoint}{query}", links, [(CONTENT_FORMAT, uint(40))], **how
        )
        assert answer.dotted == "2.01", answer
        self.location = answer.location
        return answer

    def restart(self) -> None:
        """Lose everything that does not survive a reset; the socket stays."""
        self.observers.clear()
        self._done.clear()

    def hear(self, packet: Packet) -> None:
        if self.silent or not packet.is_request:
            return
        if packet.mid in self._done:
            before = self._done[packet.mid]
            if before is not None:
                self.send(before)
            return
        self._done[packet.mid] = None
        handler = self.on.get(packet.path)
        answer = handler(packet) if handler is not None else Answer("4.04")
        if answer.code is None:
            return
        if answer.code == "empty":
            reply = Packet(ACK, 0, packet.mid)
        else:
            options = list(answer.options)
            observes = packet.code in (GET, FETCH) and packet.option(OBSERVE) is not None
            if observes and answer.code == "2.05":
                if packet.number(OBSERVE) == 0:
                    self.observers[packet.path] = packet.token
                    options.append((OBSERVE, uint(self.sequence)))
                elif self.observers.get(packet.path) == packet.token:
                    del self.observers[packet.path]  # RFC 7641, 3.6: by the same token only
            reply = Packet(ACK, code(answer.code), packet.mid, packet.token, options, answer.payload)
        self._done[packet.mid] = reply
        self.send(reply)

    def notify(self, path: str, value: object, *, type: int = CON) -> int | None:
        """Tell the observer of `path`, if there is one. Returns the message ID."""
        token = self.observers.get(path)
        if token is None:
            return None
        self.sequence += 1
        options = [(OBSERVE, uint(self.sequence)), (CONTENT_FORMAT, b"")]
        mid = self.mid()
        self.send(Packet(type, code("2.05"), mid, token, options, str(value).encode()))
        return mid


class PackageSink:
    """A conforming Block1 receiver: blocks in order, 4.08 at a gap, 2.04 for the last (RFC 7959).

    `limit` is the largest block exponent it takes; `refuse_first_size` has it say so by 4.13 instead
    of in its 2.31.
    """

    def __init__(self, *, limit: int = 6, refuse_first_size: bool = False) -> None:
        self.data = bytearray()
        self.size1: int | None = None
        self.requests: list[tuple[int, bool, int]] = []
        self.complete = False
        self.limit, self.refuse = limit, refuse_first_size

    def __call__(self, request: Packet) -> Answer:
        found = request.block(BLOCK1)
        assert found is not None
        number, more, exponent = found
        self.requests.append(found)
        offset = number << (exponent + 4)
        if offset == 0:
            self.data.clear()
            self.size1 = request.number(SIZE1)
        if self.refuse and exponent > self.limit:
            return Answer("4.13", options=[(BLOCK1, block(number, more, self.limit))])
        if offset != len(self.data):
            return Answer("4.08")
        self.data += request.payload
        self.complete = not more
        granted = min(exponent, self.limit)
        return Answer("2.31" if more else "2.04", options=[(BLOCK1, block(number, more, granted))])
