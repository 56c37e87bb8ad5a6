"""Queue mode: the server speaks only while the device listens (OMA LwM2M 1.1 Core, section 6.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from coap_peer import (
    ACK,
    CON,
    POST,
    RST,
    Answer,
    Device,
    PackageSink,
    Packet,
    path_options,
    text,
)

from bench.clock import Clock
from bench.config import UpdateProfile
from bench.errors import WaitTimeout
from bench.firmware_update.judge import rules_for
from bench.firmware_update.states import Delivery, Result, State, Transport
from bench.firmware_update.update import Cycle, Update
from bench.lwm2m.client import NotReachable
from bench.lwm2m.coap.queue_mode import AWAKE_WINDOW
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

Connect = Callable[..., Device]
QUEUE = "&lwm2m=1.1&lt=3600&b=U&Q"
IMAGE = bytes(range(256)) * 24


class Sleepy(Device):
    """Hears nothing from `window` seconds after its last message on, until it sends again."""

    window = AWAKE_WINDOW

    def __init__(self, *args: object, **options: object) -> None:
        self.spoke = -1e9
        self.missed: list[Packet] = []
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def raw(self, data: bytes) -> None:
        self.spoke = self.clock.now()
        super().raw(data)

    def datagram_received(self, data: bytes, addr: tuple[object, ...]) -> None:
        if self.clock.now() - self.spoke > self.window + 0.5:
            self.missed.append(Packet.decode(data))
            return
        super().datagram_received(data, addr)

    def wake(self) -> Packet:
        """Send an Update, as a device does when it wakes."""
        return self.request(POST, self.location)


@pytest.fixture
def sleepy(server: LwM2mServer) -> object:
    device = Sleepy(server.clock, server.uri, "dev")
    device.register(QUEUE)
    yield device
    device.close()


def fall_asleep(clock: Clock, seconds: float = AWAKE_WINDOW + 1) -> None:
    clock.sleep(seconds, "the device's sleep")


@pytest.mark.parametrize(
    ("query", "queues"),
    [
        ("&lwm2m=1.0&b=UQ", True),
        ("&lwm2m=1.0&b=U", False),
        ("&lwm2m=1.0&b=UQS", True),
        ("&lwm2m=1.1&b=U&Q", True),
        ("&lwm2m=1.1&b=UN&Q", True),
        ("&lwm2m=1.2&Q", True),
        ("&lwm2m=1.2&b=M", False),
    ],
)
def test_who_uses_queue_mode(connect: Connect, server: LwM2mServer, query: str, queues: bool) -> None:
    connect(register=False).register("&lt=3600" + query)
    registration = server.registration("dev")
    assert registration is not None
    assert registration.queue_mode is queues
    fall_asleep(server.clock)
    assert (server.asleep_since("dev") is not None) is queues


def test_a_request_waits_for_the_device_to_wake(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    sleepy.on["/3/0/9"] = lambda request: text(50)
    fall_asleep(clock)
    asleep = server.asleep_since("dev")
    assert asleep == pytest.approx(AWAKE_WINDOW, abs=0.1)
    clock.loop.call_later(
        900, lambda: sleepy.send(Packet(CON, POST, 77, b"u", path_options(sleepy.location)))
    )
    assert server.client("dev").read("/3/0/9") == 50
    assert clock.now() == pytest.approx(900 + AWAKE_WINDOW + 1, abs=1)
    assert sleepy.missed == []
    requests = [p for p in sleepy.heard if p.path == "/3/0/9"]
    assert len(requests) == 1
    answer = next(p for p in sleepy.heard if p.token == b"u")
    assert sleepy.heard.index(answer) < sleepy.heard.index(requests[0])  # the Update is answered first


def test_requests_keep_their_order(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    for number in range(5):
        sleepy.on[f"/3/0/{number}"] = lambda request: text(1)
    fall_asleep(clock)
    client = server.client("dev")

    async def ask() -> None:
        reads = [asyncio.ensure_future(client.read_async(f"/3/0/{number}")) for number in range(5)]
        await asyncio.sleep(200)
        assert not any(read.done() for read in reads)
        sleepy.send(Packet(CON, POST, 77, b"u", path_options(sleepy.location)))
        await asyncio.gather(*reads)

    clock.run(ask(), timeout=1000, reason="five reads")
    assert [p.path for p in sleepy.heard if p.is_request] == [f"/3/0/{number}" for number in range(5)]
    assert sleepy.missed == []


@pytest.mark.parametrize("how", ["update", "send", "notify"])
def test_any_message_wakes(sleepy: Sleepy, server: LwM2mServer, clock: Clock, how: str) -> None:
    sleepy.on["/5/0/3"] = lambda request: text(0)
    sleepy.on["/3/0/9"] = lambda request: text(50)
    heard: list[object] = []
    client = server.client("dev")
    clock.run(client.observe("/5/0/3", heard.append), timeout=30, reason="observe")
    fall_asleep(clock)

    def wake() -> None:
        if how == "update":
            sleepy.send(Packet(CON, POST, 77, b"u", path_options(sleepy.location)))
        elif how == "send":
            sleepy.send(Packet(CON, POST, 77, b"u", [*path_options("/dp"), (12, b"\x6e")], b"[]"))
        else:
            sleepy.notify("/5/0/3", 1)

    clock.loop.call_later(50, wake)
    assert client.read("/3/0/9") == 50
    assert sleepy.missed == []
    if how == "notify":
        assert heard == [0, 1]


def test_each_message_renews_the_window(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    sleepy.on["/3/0/9"] = lambda request: text(50)
    for _ in range(4):
        clock.sleep(AWAKE_WINDOW - 5, "nearly asleep")
        assert server.client("dev").read("/3/0/9") == 50
    assert server.asleep_since("dev") is None
    assert sleepy.missed == []


def test_the_window_can_be_set(clock: Clock, timeline: Timeline) -> None:
    server = LwM2mServer(clock, timeline, seed=1, awake_window=10)
    server.start()
    device = Sleepy(clock, server.uri, "dev")
    device.window = 10
    try:
        device.register(QUEUE)
        clock.sleep(9, "awake")
        assert server.asleep_since("dev") is None
        clock.sleep(2, "asleep")
        assert server.asleep_since("dev") == pytest.approx(10, abs=0.1)
    finally:
        device.close()
        server.close()


def test_observations_survive_sleep(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    sleepy.on["/5/0/3"] = lambda request: text(0)
    heard: list[object] = []
    clock.run(server.client("dev").observe("/5/0/3", heard.append), timeout=30, reason="observe")
    for value in range(1, 4):
        fall_asleep(clock, 800)
        mid = sleepy.notify("/5/0/3", value)
        assert sleepy.wait(lambda p, mid=mid: p.mid == mid and p.type in (ACK, RST)).type == ACK
    assert heard == [0, 1, 2, 3]


def test_a_request_in_flight_is_kept_for_the_next_wake_up(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    """Under its message ID: the device may have heard it, and only its answer got lost."""
    answers = {"text": False}
    sleepy.on["/5/0/2"] = lambda request: Answer("2.04") if answers["text"] else Answer(None)
    client = server.client("dev")

    async def ask() -> float:
        executing = asyncio.ensure_future(client.execute_async("/5/0/2"))
        await asyncio.sleep(1500)
        assert not executing.done()
        answers["text"] = True
        sleepy._done.clear()
        sleepy.send(Packet(CON, POST, 77, b"u", path_options(sleepy.location)))
        await executing
        return clock.now()

    assert clock.run(ask(), timeout=3000, reason="execute") == pytest.approx(1500, abs=3)
    requests = [p for p in sleepy.heard if p.path == "/5/0/2"]
    assert len({p.mid for p in requests}) == 1
    assert all(p.at < AWAKE_WINDOW + 1 or p.at > 1499 for p in requests)
    assert sleepy.missed == []


def test_a_device_that_never_answers_is_given_up_after_its_waking_time(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    sleepy.on["/3/0/9"] = lambda request: Answer(None)

    def wake_often() -> None:
        sleepy.send(Packet(CON, POST, sleepy.mid(), b"u", path_options(sleepy.location)))
        clock.loop.call_later(600, wake_often)

    clock.loop.call_later(600, wake_often)
    with pytest.raises(NotReachable, match=r"silent for 150 s, not counting its sleep since \d+\.\d s"):
        server.client("dev").read("/3/0/9")
    assert clock.now() > 600
    assert sleepy.missed == []


def test_a_registration_that_expires_in_its_sleep_ends_what_waits(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    fall_asleep(clock)
    with pytest.raises(NotReachable, match=r"the registration is expired, asleep since 93\.\d s"):
        server.client("dev").read("/3/0/9")
    assert server.registration("dev") is None
    assert 3600 < clock.now() < 3600 + 100


def test_a_wake_up_from_another_port_gets_what_waits(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    """The address translation has forgotten it; message IDs go on where they were."""
    sleepy.on["/3/0/9"] = lambda request: text(50)
    client = server.client("dev")
    client.read("/3/0/9")
    before = [p.mid for p in sleepy.heard if p.is_request][-1]
    fall_asleep(clock)
    reading = clock.run(start(client.read_async("/3/0/9")), timeout=5, reason="start")
    sleepy.move()
    sleepy.wake()
    assert clock.run(finish(reading), timeout=10, reason="read") == 50
    assert [p.mid for p in sleepy.heard if p.is_request][-1] == (before + 1) & 0xFFFF
    assert sleepy.missed == []


def test_a_wake_up_by_registering_anew_gets_what_was_not_sent(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    sleepy.on["/3/0/9"] = lambda request: text(50)
    fall_asleep(clock)
    reading = clock.run(start(server.client("dev").read_async("/3/0/9")), timeout=5, reason="start")
    sleepy.move()
    sleepy.register(QUEUE)
    assert clock.run(finish(reading), timeout=10, reason="read") == 50
    requests = [p for p in sleepy.heard if p.path == "/3/0/9"]
    assert len(requests) == 1


def test_a_request_given_up_is_not_sent_at_the_wake_up(
    sleepy: Sleepy, server: LwM2mServer, clock: Clock
) -> None:
    fall_asleep(clock)
    client = server.client("dev")
    with pytest.raises(WaitTimeout):
        clock.run(client.read_async("/3/0/9"), timeout=60, reason="read")
    sleepy.wake()
    clock.sleep(5, "what the server may send")
    assert sleepy.count(lambda p: p.path == "/3/0/9") == 0


def test_leaving_queue_mode_releases_what_waits(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    sleepy.on["/3/0/9"] = lambda request: text(50)
    fall_asleep(clock)
    reading = clock.run(start(server.client("dev").read_async("/3/0/9")), timeout=5, reason="start")
    assert sleepy.request(POST, sleepy.location + "?b=U").dotted == "2.04"
    assert clock.run(finish(reading), timeout=10, reason="read") == 50
    clock.sleep(1000, "long after its last message")
    assert server.asleep_since("dev") is None


def test_a_push_pauses_and_resumes(sleepy: Sleepy, server: LwM2mServer, clock: Clock) -> None:
    sink = sleepy.on["/5/0/0"] = PackageSink()
    pauses = {2: 600.0, 4: 1200.0}

    def answer(request: Packet) -> Answer:
        number = (request.block(23 + 4) or (0,))[0]
        pause = pauses.pop(number, None)
        if pause is None:
            return sink(request)
        # out of coverage, and then asleep: this block goes unheard
        sleepy._done.clear()
        sleepy.spoke = -1e9
        clock.loop.call_later(pause, back)
        return Answer(None)

    def back() -> None:
        sleepy._done.clear()
        sleepy.send(Packet(CON, POST, sleepy.mid(), b"u", path_options(sleepy.location)))

    sleepy.on["/5/0/0"] = answer
    transfer = server.client("dev").push("/5/0/0", IMAGE)
    result = clock.run(transfer.run(), timeout=5000, reason="push")
    assert result.complete
    assert bytes(sink.data) == IMAGE
    assert clock.now() >= 1800


class Object5Device(Sleepy):
    """As much of object /5 as an update needs; wakes every 500 s."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.state, self.result = 0, 0
        self.sink = PackageSink()
        self.on["/5/0/3"] = lambda request: text(self.state)
        self.on["/5/0/5"] = lambda request: text(self.result)
        self.on["/5/0/0"] = self._package
        self.on["/5/0/2"] = self._update

    def _package(self, request: Packet) -> Answer:
        if self.state == 0:
            self._become(1, 0)
        answer = self.sink(request)
        if self.sink.complete:
            self.clock.loop.call_later(200, self._become, 2, 0)  # verified in its sleep
        return answer

    def _update(self, request: Packet) -> Answer:
        self._become(3, 0)
        self.clock.loop.call_later(30, self._reboot)
        return Answer("2.04")

    def _become(self, state: int, result: int) -> None:
        self.state, self.result = state, result
        self.notify("/5/0/3", state)

    def _reboot(self) -> None:
        self.restart()
        self.state, self.result = 0, 1
        query = f"/rd?ep={self.endpoint}{QUEUE}"
        self.send(Packet(CON, POST, self.mid(), b"again", [*path_options(query), (12, b"\x28")], b"</5/0>"))

    def keep_waking(self) -> None:
        def wake() -> None:
            self.send(Packet(CON, POST, self.mid(), b"wake", path_options(self.location)))
            self.clock.loop.call_later(500, wake)

        self.clock.loop.call_later(500, wake)


def test_an_update_cycle_with_a_sleeping_device(
    server: LwM2mServer, clock: Clock, timeline: Timeline
) -> None:
    device = Object5Device(clock, server.uri, "dev")
    device.register(QUEUE)
    device.keep_waking()
    fall_asleep(clock, 200)
    cycle = Cycle(
        server,
        "dev",
        rules_for(UpdateProfile()),
        clock,
        timeline,
        lambda name, transport: "",
        lambda: 0,
        download_timeout=600,
        update_timeout=300,
        boot_timeout=60,
        registration_timeout=60,
        instance="/5/0",
    )
    update = Update(cycle, IMAGE, Delivery.PUSH, Transport.COAP)
    try:
        update.prepare()
        record = update.finish()
    finally:
        update.close()
        device.close()
    assert record.push is not None
    assert record.push.complete
    assert bytes(device.sink.data) == IMAGE
    assert (record.stuck, record.refused) == ("", "")
    assert record.states == [State.DOWNLOADING, State.DOWNLOADED, State.UPDATING, State.IDLE]
    assert record.result is Result.SUCCESS
    assert device.missed == []


async def start(work: object) -> asyncio.Future[object]:
    """Begin, and come back once it waits."""
    task: asyncio.Future[object] = asyncio.ensure_future(work)  # type: ignore[arg-type]
    await asyncio.sleep(1)
    assert not task.done()
    return task


async def finish(task: asyncio.Future[object]) -> object:
    return await task
