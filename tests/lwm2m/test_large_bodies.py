"""Answers and requests of more than one block (RFC 7959): whole, of one version, in linear time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiocoap import CONTENT, GET, Message
from coap_peer import (
    BLOCK1,
    BLOCK2,
    CON,
    CONTENT_FORMAT,
    ETAG,
    OBSERVE,
    SIZE1,
    Answer,
    Device,
    Packet,
    block,
    code,
    uint,
)

from bench.clock import Clock
from bench.errors import ServerError
from bench.lwm2m.client import CoapError
from bench.lwm2m.coap import bodies
from bench.lwm2m.server import LwM2mServer

TEXT = "0123456789abcdef" * 4096
"""64 KiB."""


class Served:
    """A resource read in blocks. `versions` are bodies; `at(number)` may change which one is served."""

    def __init__(self, body: bytes, *, exponent: int = 6, etag: bytes = b"", content_format: int = 0) -> None:
        self.body, self.exponent, self.etag, self.content_format = body, exponent, etag, content_format
        self.asked: list[tuple[int, bool, int] | None] = []
        self.before: Callable[[int], None] = lambda number: None

    def __call__(self, request: Packet) -> Answer:
        asked = request.block(BLOCK2)
        self.asked.append(asked)
        number, exponent = (0, self.exponent) if asked is None else (asked[0], min(asked[2], self.exponent))
        self.before(number)
        size = 16 << exponent
        start = number * size
        more = start + size < len(self.body)
        options = [(CONTENT_FORMAT, uint(self.content_format)), (BLOCK2, block(number, more, exponent))]
        if self.etag:
            options.append((ETAG, self.etag))
        return Answer("2.05", self.body[start : start + size], options)


@pytest.mark.parametrize("exponent", [0, 3, 6])
@pytest.mark.parametrize("length", [1, 16, 1024, 1025, 3000])
def test_answers_of_every_size(device: Device, server: LwM2mServer, exponent: int, length: int) -> None:
    served = Served(TEXT[:length].encode(), exponent=exponent, etag=b"v1")
    device.on["/3/0/0"] = served
    assert server.client("dev").read("/3/0/0") == TEXT[:length]
    size = 16 << exponent
    assert served.asked == [None] + [(n, False, exponent) for n in range(1, -(-length // size))]


def test_a_change_on_the_way_begins_anew(device: Device, server: LwM2mServer) -> None:
    served = Served(b"a" * 5000, etag=b"v1")
    device.on["/3/0/0"] = served

    def change(number: int) -> None:
        if number == 3 and served.etag == b"v1":
            served.body, served.etag = b"b" * 4000, b"v2"

    served.before = change
    assert server.client("dev").read("/3/0/0") == "b" * 4000
    numbers = [0 if asked is None else asked[0] for asked in served.asked]
    assert numbers == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_resource_that_never_stands_still(device: Device, server: LwM2mServer) -> None:
    served = Served(b"a" * 3000, etag=b"0")
    device.on["/3/0/0"] = served
    served.before = lambda number: setattr(served, "etag", uint(len(served.asked)))
    with pytest.raises(ServerError, match="changed 4 times"):
        server.client("dev").read("/3/0/0")
    assert len(served.asked) == 8


@pytest.mark.parametrize(
    ("options", "payload", "reason"),
    [
        ([(BLOCK2, block(2, True, 6))], b"x" * 1024, "the answer to the block at 1024 is another one"),
        ([], b"x" * 1024, "the answer to the block at 1024 is another one"),
        ([(BLOCK2, block(1, True, 6))], b"x" * 1000, "1000 bytes in a block of 1024"),
    ],
)
def test_blocks_that_do_not_fit(
    device: Device, server: LwM2mServer, options: list[tuple[int, bytes]], payload: bytes, reason: str
) -> None:
    first = Answer("2.05", b"x" * 1024, [(CONTENT_FORMAT, b""), (BLOCK2, block(0, True, 6))])
    other = Answer("2.05", payload, [(CONTENT_FORMAT, b""), *options])
    device.on["/3/0/0"] = lambda request: first if request.option(BLOCK2) is None else other
    with pytest.raises(ServerError, match=reason):
        server.client("dev").read("/3/0/0")


def test_an_answer_that_begins_in_the_middle(device: Device, server: LwM2mServer) -> None:
    device.on["/3/0/0"] = lambda r: Answer("2.05", b"x" * 1024, [(BLOCK2, block(3, True, 6))])
    with pytest.raises(ServerError, match="block 3 of an answer came first"):
        server.client("dev").read("/3/0/0")


def test_an_answer_without_end(device: Device, server: LwM2mServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MAX_ANSWER", 100 * 1024)
    served = Served(b"x" * 200 * 1024)
    device.on["/3/0/0"] = served
    with pytest.raises(ServerError, match="more than 102400 bytes"):
        server.client("dev").read("/3/0/0")
    assert len(served.asked) == 101


def test_a_block_that_is_refused(device: Device, server: LwM2mServer) -> None:
    served = Served(b"x" * 3000)
    device.on["/3/0/0"] = lambda r: Answer("5.03") if r.block(BLOCK2) == (2, False, 6) else served(r)
    with pytest.raises(ServerError, match=r"5\.03 to the block at 2048"):
        server.client("dev").read("/3/0/0")


def test_a_body_of_two_mebibytes() -> None:
    """2048 blocks, each of other bytes, come together in their order."""
    body = b"".join(number.to_bytes(4, "big") for number in range(512 * 1024))

    async def ask(request: Any) -> Any:
        number = 0 if request.opt.block2 is None else request.opt.block2.block_number
        answer = Message(code=CONTENT, payload=body[number * 1024 : (number + 1) * 1024])
        answer.opt.block2 = (number, (number + 1) * 1024 < len(body), 6)
        return answer

    assert asyncio.run(bodies.whole_exchange(ask, Message(code=GET))).payload == body


# ---- observations


def test_a_large_first_value_and_a_large_notification(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    served = Served(b"a" * 2500, etag=b"v1")
    device.on["/3/0/0"] = served
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/3/0/0", heard.append), timeout=30, reason="observe")
    assert heard == ["a" * 2500]
    served.body, served.etag = b"b" * 2500, b"v2"
    notify(device, served)
    clock.wait_for(lambda: len(heard) > 1, timeout=30, reason="the notification")
    assert heard[1:] == ["b" * 2500]
    assert [asked and asked[0] for asked in served.asked] == [None, 1, 2, 1, 2]


def test_a_newer_notification_ends_the_fetching_of_an_older_one(
    device: Device, server: LwM2mServer, clock: Clock
) -> None:
    served = Served(b"a" * 2500, etag=b"v1")
    device.on["/3/0/0"] = served
    heard: list[Any] = []
    clock.run(server.client("dev").observe("/3/0/0", heard.append), timeout=30, reason="observe")
    served.body, served.etag = b"b" * 2500, b"v2"
    device.on["/3/0/0"] = lambda request: Answer(None)  # the rest never comes
    notify(device, served)
    device.notify("/3/0/0", "c")
    clock.wait_for(lambda: len(heard) > 1, timeout=600, reason="the notification")
    assert heard == ["a" * 2500, "c"]


def notify(device: Device, served: Served) -> None:
    """The first block of what is served, as a notification."""
    device.sequence += 1
    options = [
        (OBSERVE, uint(device.sequence)),
        (CONTENT_FORMAT, b""),
        (BLOCK2, block(0, True, 6)),
        (ETAG, served.etag),
    ]
    token = device.observers["/3/0/0"]
    device.send(Packet(CON, code("2.05"), device.mid(), token, options, served.body[:1024]))


# ---- requests


class Taker:
    """Takes a request in blocks of at most 16 << `limit` bytes; `refuse` answers one block otherwise."""

    def __init__(self, *, limit: int = 6, refuse: dict[int, str] | None = None, final: str = "2.04") -> None:
        self.limit, self.refuse, self.final = limit, refuse or {}, final
        self.body = b""
        self.blocks: list[tuple[int, bool, int]] = []
        self.size1: int | None = None

    def __call__(self, request: Packet) -> Answer:
        found = request.block(BLOCK1)
        assert found is not None
        number, more, exponent = found
        self.blocks.append(found)
        offset = number << (exponent + 4)
        if offset == 0:
            self.body, self.size1 = b"", request.number(SIZE1)
        if offset in self.refuse:
            limited = [(BLOCK1, block(number, more, min(exponent, self.limit)))]
            return Answer(self.refuse.pop(offset), options=limited)
        assert len(self.body) == offset
        self.body += request.payload
        granted = [(BLOCK1, block(number, more, min(exponent, self.limit)))]
        return Answer("2.31" if more else self.final, options=granted)


VALUE = "ß" * 1500
"""3,000 bytes."""


@pytest.mark.parametrize(
    ("taker", "blocks"),
    [
        (Taker(), [(0, True, 6), (1, True, 6), (2, False, 6)]),
        (Taker(limit=5), [(0, True, 6), (2, True, 5), (3, True, 5), (4, True, 5), (5, False, 5)]),
        (
            Taker(limit=5, refuse={0: "4.13"}),
            [
                (0, True, 6),
                (0, True, 5),
                (1, True, 5),
                (2, True, 5),
                (3, True, 5),
                (4, True, 5),
                (5, False, 5),
            ],
        ),
        (
            Taker(refuse={1024: "4.08"}),
            [(0, True, 6), (1, True, 6), (0, True, 6), (1, True, 6), (2, False, 6)],
        ),
    ],
)
def test_large_requests(
    device: Device, server: LwM2mServer, taker: Taker, blocks: list[tuple[int, bool, int]]
) -> None:
    device.on["/3/0/14"] = taker
    server.client("dev").write("/3/0/14", VALUE)
    assert taker.body == VALUE.encode()
    assert taker.blocks == blocks
    assert taker.size1 == 3000


def test_a_large_request_that_is_refused(device: Device, server: LwM2mServer) -> None:
    device.on["/3/0/14"] = Taker(final="4.05")
    with pytest.raises(CoapError) as refusal:
        server.client("dev").write("/3/0/14", VALUE)
    assert refusal.value.dotted == "4.05"


def test_success_in_the_middle_of_a_request_is_none(device: Device, server: LwM2mServer) -> None:
    device.on["/3/0/14"] = Taker(refuse={1024: "2.04"})
    with pytest.raises(ServerError, match=r"2\.04 to a block in the middle of the request"):
        server.client("dev").write("/3/0/14", VALUE)
