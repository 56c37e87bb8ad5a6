"""PUSH over a bad link, to every kind of receiver that real clients are (RFC 7959)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from coap_peer import (
    ACK,
    BLOCK1,
    CON,
    RST,
    SIZE1,
    Answer,
    Device,
    PackageSink,
    Packet,
    block,
    code,
    uint,
)

from bench.lwm2m.management.push import (
    MAX_BUSY,
    MAX_HALVINGS,
    MAX_RESTARTS,
    BlockPush,
    Form,
    Outcome,
    PushResult,
)
from bench.lwm2m.model.content import TLV
from bench.lwm2m.server import LwM2mServer

IMAGE = bytes(range(256)) * 20 + b"end"
LARGE = b"".join(number.to_bytes(4, "big") for number in range(64 * 1024))
MAX_AGE = 14
LONG = "&lwm2m=1.0&lt=86400"

Connect = Callable[..., Device]


@pytest.fixture
def device(connect: Connect) -> Device:
    """Registered for longer than any transfer takes."""
    made = connect(register=False)
    made.register(LONG)
    return made


def push(server: LwM2mServer, data: bytes = IMAGE, *, timeout: float = 20_000, **how: Any) -> PushResult:
    transfer = server.client("dev").push("/5/0/0", data, **how)
    return server.clock.run(transfer.run(), timeout=timeout, reason="push")


class ForgetfulDevice(Device):
    """Knows no repeated request: each copy is judged anew (RFC 7252 asks for better)."""

    def hear(self, packet: Packet) -> None:
        self._done.clear()
        super().hear(packet)


class RepeatingSink(PackageSink):
    """What a client without de-duplication says to a block that it has already taken."""

    def __init__(self, again: str, final_again: str) -> None:
        super().__init__()
        self.again, self.final_again = again, final_again
        self.taken = -1

    def __call__(self, request: Packet) -> Answer:
        found = request.block(BLOCK1)
        assert found is not None
        number, more, _ = found
        if number == self.taken:
            said = self.again if more else self.final_again
            if said in ("2.31", "2.04"):
                return Answer(said, options=[(BLOCK1, block(*found))])
            return Answer(said)
        answer = super().__call__(request)
        if answer.code in ("2.31", "2.04"):
            self.taken = number
        return answer


# ---- loss


@pytest.mark.parametrize("seed", range(10))
def test_a_256_kib_push_completes_at_20_percent_loss(
    connect: Connect, server: LwM2mServer, seed: int
) -> None:
    device = connect(register=False, seed=seed)
    device.register(LONG)
    sink = device.on["/5/0/0"] = PackageSink()
    device.loss = 0.2
    result = push(server, LARGE)
    assert result.outcome is Outcome.COMPLETE
    assert bytes(sink.data) == LARGE
    assert result.restarts == 0


def test_a_256_kib_push_completes_at_30_percent_loss_in_9_of_10(
    connect: Connect, server: LwM2mServer
) -> None:
    completed = 0
    for seed in range(10):
        device = connect(register=False, seed=100 + seed)
        device.register(LONG)
        sink = device.on["/5/0/0"] = PackageSink()
        device.loss = 0.3
        result = push(server, LARGE)
        assert not result.complete or bytes(sink.data) == LARGE
        completed += result.complete
        device.loss = 0.0
    assert completed >= 9


@pytest.mark.parametrize("again", ["2.31", "4.08", "5.03"])
@pytest.mark.parametrize("final_again", ["2.04", "2.31", "4.08", "5.03"])
def test_loss_with_a_device_that_knows_no_duplicates(
    connect: Connect, server: LwM2mServer, again: str, final_again: str
) -> None:
    """Whatever it says to repetitions: what is called complete is, what arrived is never called refused."""
    outcomes = []
    for seed in range(4):
        device = ForgetfulDevice(server.clock, server.uri, "dev", seed=seed)
        try:
            device.register(LONG)
            sink = device.on["/5/0/0"] = RepeatingSink(again, final_again)
            device.loss = 0.25
            result = push(server)
            outcomes.append(result.outcome)
            if result.complete:
                assert result.code is not None
                assert result.code.dotted == "2.04"
                assert sink.complete
            else:
                assert result.outcome is Outcome.UNKNOWN, result
                assert result.reason
            if sink.complete:
                assert bytes(sink.data) == IMAGE
        finally:
            device.close()
    assert Outcome.COMPLETE in outcomes


@pytest.mark.parametrize("final", ["2.31", "4.08", "5.03", "reset"])
def test_a_lost_last_response_leaves_the_outcome_unknown(
    connect: Connect, server: LwM2mServer, final: str
) -> None:
    device = ForgetfulDevice(server.clock, server.uri, "dev")
    try:
        device.register(LONG)
        sink = PackageSink()

        def answer(request: Packet) -> Answer:
            if not sink.complete:
                given = sink(request)
                return Answer(None) if sink.complete else given  # the last response is lost
            if final == "reset":
                device.send(Packet(RST, 0, request.mid))
                return Answer(None)
            return Answer(final, options=[(BLOCK1, block(*request.block(BLOCK1)))])  # type: ignore[misc]

        device.on["/5/0/0"] = answer
        result = push(server)
        assert result.outcome is Outcome.UNKNOWN
        assert not result.complete
        assert bytes(sink.data) == IMAGE
        assert ("reset" if final == "reset" else final) in result.reason
    finally:
        device.close()


def test_a_last_block_refused_at_once_is_refused(device: Device, server: LwM2mServer) -> None:
    """The reverse: without a repetition there is no doubt."""
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        given = sink(request)
        return Answer("5.00") if given.code == "2.04" else given

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.reason == "5.00 to the block at 5120"


def test_no_response_to_the_last_block_is_unknown_and_to_another_is_lost(
    device: Device, server: LwM2mServer
) -> None:
    for at, expected in ((2, Outcome.LOST), (5, Outcome.UNKNOWN)):
        sink = PackageSink()

        def answer(request: Packet, sink: PackageSink = sink, at: int = at) -> Answer:
            return Answer(None) if request.block(BLOCK1)[0] == at else sink(request)  # type: ignore[index]

        device.on["/5/0/0"] = answer
        result = push(server)
        assert result.outcome is expected
        assert result.sent == at * 1024
        assert "no response to the block" in result.reason


def test_a_transfer_that_got_lost_goes_on_where_it_was(device: Device, server: LwM2mServer) -> None:
    sink = PackageSink()
    away = {"for": 3}

    def answer(request: Packet) -> Answer:
        return Answer(None) if request.block(BLOCK1)[0] == away["for"] else sink(request)  # type: ignore[index]

    device.on["/5/0/0"] = answer
    transfer = server.client("dev").push("/5/0/0", IMAGE)
    assert server.clock.run(transfer.run(), timeout=3000, reason="push").outcome is Outcome.LOST
    away.clear()
    away["for"] = -1
    assert server.clock.run(transfer.run(), timeout=3000, reason="push").complete
    assert bytes(sink.data) == IMAGE
    assert server.clock.run(transfer.run(), timeout=3000, reason="push").complete  # and nothing is sent
    assert len(sink.requests) == 6


# ---- sizes


@pytest.mark.parametrize("exponent", range(7))
def test_every_first_block_size(device: Device, server: LwM2mServer, exponent: int) -> None:
    sink = device.on["/5/0/0"] = PackageSink()
    result = push(server, IMAGE[:2000], exponent=exponent)
    assert result.complete
    assert bytes(sink.data) == IMAGE[:2000]
    assert {e for _, _, e in sink.requests} == {exponent}
    assert sink.size1 == 2000


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 2048])
def test_lengths_around_a_block(device: Device, server: LwM2mServer, length: int) -> None:
    sink = device.on["/5/0/0"] = PackageSink()
    assert push(server, LARGE[:length]).complete
    assert bytes(sink.data) == LARGE[:length]
    assert len(sink.requests) == max(1, -(-length // 1024))


@pytest.mark.parametrize("exponent", range(6))
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_smaller_block_size_at_any_moment(
    device: Device, server: LwM2mServer, exponent: int, at: int
) -> None:
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        if request.block(BLOCK1)[0] >= at:  # type: ignore[index]
            sink.limit = exponent
        return sink(request)

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert result.restarts == 0
    sizes = [e for _, _, e in sink.requests]
    assert sizes[: at + 1] == [6] * (at + 1)
    assert set(sizes[at + 1 :]) == {exponent}


def test_a_size_that_shrinks_with_every_block(device: Device, server: LwM2mServer) -> None:
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        sink.limit = max(0, sink.limit - 1)
        return sink(request)

    device.on["/5/0/0"] = answer
    assert push(server).complete
    assert bytes(sink.data) == IMAGE
    assert [e for _, _, e in sink.requests][:8] == [6, 5, 4, 3, 2, 1, 0, 0]


def test_4_13_may_ask_for_smaller_blocks_step_by_step(device: Device, server: LwM2mServer) -> None:
    sink = PackageSink(refuse_first_size=True)
    limit = 0

    def answer(request: Packet) -> Answer:
        exponent = request.block(BLOCK1)[2]  # type: ignore[index]
        sink.limit = max(limit, exponent - 1) if request.block(BLOCK1)[0] == 0 else limit  # type: ignore[index]
        return sink(request)

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert result.restarts == 6


def test_4_13_without_a_smaller_size_is_a_refusal_that_names_the_limit(
    device: Device, server: LwM2mServer
) -> None:
    device.on["/5/0/0"] = lambda request: Answer("4.13", options=[(SIZE1, uint(2048))])
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.reason == "4.13 to the block at 0 (the device takes 2048 bytes)"


# ---- answers of all kinds


def test_4_08_restarts_from_zero_with_size1(device: Device, server: LwM2mServer) -> None:
    sink = PackageSink()
    sizes: list[int | None] = []
    lost = []

    def answer(request: Packet) -> Answer:
        found = request.block(BLOCK1)
        assert found is not None
        if found[0] == 0:
            sizes.append(request.number(SIZE1))
        if found[0] == 3 and not lost:
            lost.append(True)
            sink.data.clear()
            return Answer("4.08")
        return sink(request)

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.complete
    assert result.restarts == 1
    assert sizes == [len(IMAGE)] * 2
    assert bytes(sink.data) == IMAGE


def test_endless_4_08_ends(device: Device, server: LwM2mServer) -> None:
    sink = PackageSink()
    device.on["/5/0/0"] = lambda request: (
        Answer("4.08") if request.block(BLOCK1)[0] == 2 else sink(request)  # type: ignore[index]
    )
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.restarts == MAX_RESTARTS
    assert "4.08" in result.reason


@pytest.mark.parametrize(("max_age", "wait"), [(None, 2.0), (7, 7.0), (2**32 - 1, 60.0)])
def test_5_03_waits_as_long_as_the_device_says(
    device: Device, server: LwM2mServer, max_age: int | None, wait: float
) -> None:
    sink = PackageSink()
    refused: list[float] = []

    def answer(request: Packet) -> Answer:
        if request.block(BLOCK1)[0] == 2 and not refused:  # type: ignore[index]
            refused.append(server.clock.now())
            return Answer("5.03", options=[] if max_age is None else [(MAX_AGE, uint(max_age))])
        if request.block(BLOCK1)[0] == 2:  # type: ignore[index]
            refused.append(server.clock.now())
        return sink(request)

    device.on["/5/0/0"] = answer
    assert push(server).complete
    assert bytes(sink.data) == IMAGE
    assert refused[1] - refused[0] == pytest.approx(wait, abs=0.1)


def test_endless_5_03_ends(device: Device, server: LwM2mServer) -> None:
    device.on["/5/0/0"] = lambda request: Answer("5.03")
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert device.count(lambda p: p.path == "/5/0/0") == MAX_BUSY + 1


def test_a_reset_is_a_refusal(device: Device, server: LwM2mServer) -> None:
    def answer(request: Packet) -> Answer:
        device.send(Packet(RST, 0, request.mid))
        return Answer(None)

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.reason == "a reset to the block at 0"


@pytest.mark.parametrize("loss", [0.0, 0.2])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_separate_responses(connect: Connect, server: LwM2mServer, acknowledged: bool, loss: float) -> None:
    """Also without the empty acknowledgement, which the response stands for (RFC 7252, 5.2.2)."""
    device = connect(register=False, seed=3)
    device.register(LONG)
    sink = PackageSink()
    waiting: dict[int, Packet] = {}

    def later(request: Packet) -> Answer:
        given = sink(request)
        reply = Packet(CON, code(given.code or "2.31"), device.mid(), request.token, given.options)
        waiting[reply.mid] = reply

        def repeat(tries: int = 8) -> None:
            if reply.mid in waiting and tries:
                device.send(reply)
                server.clock.loop.call_later(3.0, repeat, tries - 1)

        server.clock.loop.call_later(1.5, repeat)
        return Answer("empty" if acknowledged else None)

    ordinary = device.hear

    def hear(packet: Packet) -> None:
        if packet.type in (ACK, RST):
            assert packet.type == ACK, "a separate response was reset"
            waiting.pop(packet.mid, None)
        ordinary(packet)

    device.hear = hear  # type: ignore[method-assign]
    device.on["/5/0/0"] = later
    device.loss = loss
    begin = server.clock.now()
    assert push(server).complete
    assert bytes(sink.data) == IMAGE
    if not loss:
        assert server.clock.now() - begin < 6 * 2.0  # nothing waited for a repetition


def test_a_lost_separate_response_is_asked_for_again(device: Device, server: LwM2mServer) -> None:
    """Sent as a non-confirmable message it may get lost for good."""
    sink = PackageSink()
    swallowed: list[int] = []

    def answer(request: Packet) -> Answer:
        if request.block(BLOCK1)[0] == 1 and not swallowed:  # type: ignore[index]
            swallowed.append(request.mid)
            return Answer("empty")
        return sink(request)

    device.on["/5/0/0"] = answer
    assert push(server).complete
    assert bytes(sink.data) == IMAGE


@pytest.mark.parametrize(
    ("echo", "shown"),
    [
        ((2, True, 6), "block 2+ of 1024"),
        ((1, False, 6), "block 1. of 1024"),
        ((1, True, 7), "block size 7 is reserved"),
    ],
)
def test_a_wrong_block1_in_a_response_is_named(
    device: Device, server: LwM2mServer, echo: tuple[int, bool, int], shown: str
) -> None:
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        given = sink(request)
        return Answer("2.31", options=[(BLOCK1, block(*echo))]) if request.block(BLOCK1)[0] == 1 else given  # type: ignore[index]

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.sent == 1024
    assert shown in result.reason
    assert "block 1+ of 1024" in result.reason


def test_a_larger_block_size_in_a_response_is_an_error(device: Device, server: LwM2mServer) -> None:
    device.on["/5/0/0"] = lambda request: Answer("2.31", options=[(BLOCK1, block(0, True, 6))])
    result = push(server, exponent=4)
    assert result.outcome is Outcome.REFUSED
    assert result.reason == "2.31 for block 0+ of 1024 to block 0+ of 256"


@pytest.mark.parametrize("echo", [(4, False, 6), (5, True, 6)])
def test_a_last_response_for_another_block_is_no_success(
    device: Device, server: LwM2mServer, echo: tuple[int, bool, int]
) -> None:
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        given = sink(request)
        return Answer("2.04", options=[(BLOCK1, block(*echo))]) if given.code == "2.04" else given

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert "to block 5. of 1024" in result.reason


# ---- a large one


def test_a_16_mib_push_holds_one_block_at_a_time(device: Device, server: LwM2mServer) -> None:
    """Memory: only the record of it grows. Time: the same number of messages a block, from first to last."""
    size = 16 * 1024 * 1024
    body = LARGE * (size // len(LARGE))
    received = {"bytes": 0}

    def answer(request: Packet) -> Answer:
        device.heard.clear()
        device._done.clear()
        number, more, exponent = request.block(BLOCK1)  # type: ignore[misc]
        assert number << (exponent + 4) == received["bytes"]
        received["bytes"] += len(request.payload)
        return Answer("2.31" if more else "2.04", options=[(BLOCK1, block(number, more, exponent))])

    device.on["/5/0/0"] = answer
    server.timeline.record = lambda *a, **k: None  # type: ignore[method-assign, assignment, return-value]
    server.capture.add = lambda *a: None  # type: ignore[method-assign]
    transfer: BlockPush = server.client("dev").push("/5/0/0", body)
    peaks = []
    for begin, end in ((0, 1), (15, 16)):  # the first and the last MiB of 16
        server.clock.run(transfer.run(begin << 20), timeout=20_000, reason="push")
        tracemalloc.start()
        try:
            server.clock.run(transfer.run(end << 20), timeout=20_000, reason="push")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    server.clock.run(transfer.run(), timeout=20_000, reason="push")
    assert transfer.result.complete
    assert received["bytes"] == size
    assert max(peaks) < 1_000_000


# ---- smaller blocks that nobody has named


@pytest.mark.parametrize("code", ["4.13", "4.08"])
@pytest.mark.parametrize("exponent", [5, 4, 3])
def test_a_refused_first_block_is_halved_without_a_hint(
    device: Device, server: LwM2mServer, code: str, exponent: int
) -> None:
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        return Answer(code) if request.block(BLOCK1)[2] > exponent else sink(request)  # type: ignore[index]

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert result.restarts == 6 - exponent


def test_a_later_block_refused_again_and_again_is_halved(device: Device, server: LwM2mServer) -> None:
    """A device that keeps the half of each block says so only at the next one."""
    sink = PackageSink()

    def answer(request: Packet) -> Answer:
        number, _, exponent = request.block(BLOCK1)  # type: ignore[misc]
        return Answer("4.08") if exponent == 6 and number > 0 else sink(request)

    device.on["/5/0/0"] = answer
    result = push(server)
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert result.restarts == 2


def test_halving_ends(device: Device, server: LwM2mServer) -> None:
    device.on["/5/0/0"] = lambda request: Answer("4.13")
    result = push(server)
    assert result.outcome is Outcome.REFUSED
    assert result.restarts == MAX_HALVINGS


# ---- other forms


def test_blocks_become_smaller_where_they_are_to(device: Device, server: LwM2mServer) -> None:
    sink = device.on["/5/0/0"] = PackageSink()
    result = push(server, form=Form(smaller=((2048, 5), (3000, 2))))
    assert result.outcome is Outcome.COMPLETE
    assert bytes(sink.data) == IMAGE
    assert [(number, exponent) for number, _, exponent in sink.requests][:6] == [
        *((0, 6), (1, 6), (4, 5), (5, 5)),
        *((48, 2), (49, 2)),
    ]


@pytest.mark.parametrize(("announced", "told"), [(lambda size: None, None), (lambda size: size // 2, 2561)])
def test_the_size_is_announced_as_asked_for(
    device: Device, server: LwM2mServer, announced: Callable[[int], int | None], told: int | None
) -> None:
    sink = device.on["/5/0/0"] = PackageSink()
    assert push(server, form=Form(announced=announced)).complete
    assert bytes(sink.data) == IMAGE
    assert sink.size1 == told


def test_a_package_in_tlv_has_its_header(device: Device, server: LwM2mServer) -> None:
    sink = device.on["/5/0/0"] = PackageSink()
    assert push(server, form=Form(content_format=TLV)).complete
    size = len(IMAGE).to_bytes(2, "big")
    assert bytes(sink.data) == b"\xd0\x00" + size + IMAGE  # resource 0, length of 16 bits (LwM2M 1.0, 6.4.3)
