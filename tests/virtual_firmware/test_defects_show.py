"""Each seeded defect of these areas changes what the device does, as its peer sees it.

No testcase runs here: a scenario drives the healthy device and the defective one alike, and what came
back must differ. A patch that never takes effect would otherwise count as a defect that survives.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import aiocoap
import pytest
from aiocoap import Message
from aiocoap.numbers import types
from firmware_rig import ENDPOINT, Rig, Server, image

from bench.lwm2m.interfaces.bootstrap import Account, Plan
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline
from bench.virtual.boot.mcuboot.application import McubootSlots
from bench.virtual.boot.mcuboot.area import SECTOR
from bench.virtual.clock import VirtualClock
from bench.virtual.component_images import bundle, package
from bench.virtual.defects import (
    coap_layer,
    components,
    observing,
    operations,
    push_transfer,
    registering,
    updating,
    versions,
)
from bench.virtual.defects.defect import Defect, seeded
from bench.virtual.firmware.bootstrap import Bootstrap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_message import Block
from bench.virtual.firmware.update.component import NRF9160_COMPONENTS
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.firmware.update.store import Heap, PackageStore
from bench.virtual.process import Steps
from bench.virtual.scheduler import Scheduler

GET, PUT, POST, DELETE = aiocoap.GET, aiocoap.PUT, aiocoap.POST, aiocoap.DELETE
TEXT, OPAQUE, SENML, TLV = 0, 42, 112, 11542
DOWNLOADED = 2


class Scene:
    """A registered device of versions 1.1, its server, and what was seen."""

    def __init__(self, clock: VirtualClock, server: Server) -> None:
        self.clock, self.server = clock, server
        self.seen: list[Any] = []
        self.rig = Rig(clock, stack=Stack(object5="1.1"), components=NRF9160_COMPONENTS)
        self.rig.power_on()
        self.rig.wait_line("lwm2m: not provisioned")

    def register(self) -> None:
        since = len(self.rig.lines)
        self.rig.type(
            f"provision server=coap://127.0.0.1:{self.server.port} endpoint={ENDPOINT} lifetime=300"
        )
        self.rig.wait_line("lwm2m: registered at", timeout=600, since=since)

    def ask(self, code: Any, path: str, payload: bytes = b"", **options: Any) -> None:
        answer = self.server.request(code, path, payload, **options)
        opt = answer.opt
        self.seen.append((path, answer.code.dotted, answer.payload, opt.content_format, opt.observe))

    def note(self) -> None:
        self.seen.append(self.server.fota())

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds, "the scenario")

    def deliver(self, version: str = "2.0.0", **how: Any) -> None:
        self.seen.append(self.server.push(image(version), **how).code.dotted)
        self.sleep(2)
        self.note()

    def registered_again(self, action: Callable[[], None]) -> None:
        since = len(self.rig.lines)
        action()
        self.rig.wait_line("lwm2m: registered at", timeout=400, since=since)
        self.sleep(3)


@contextmanager
def scene(registered: bool = True) -> Iterator[Scene]:
    random.seed(1)
    clock = VirtualClock(Scheduler(1))
    server = Server(clock)
    made = Scene(clock, server)
    try:
        if registered:
            made.register()
        yield made
    finally:
        made.rig.power_off()
        server.close()
        clock.close()


# ---- scenarios


def while_updating(s: Scene) -> None:
    for code, path, payload, form in (
        (POST, "/5/0/2", b"", None),
        (PUT, "/5/0/1", b"coap://127.0.0.1:9/fw", TEXT),
        (PUT, "/5/0/1", b"", TEXT),
        (PUT, "/5/0/0", b"\0", OPAQUE),
        (PUT, "/5/0/0", image()[:700], OPAQUE),
        (POST, "/5/0/10", b"", None),
    ):
        s.deliver()
        s.ask(POST, "/5/0/2")
        s.registered_again(lambda c=code, p=path, b=payload, f=form: s.ask(c, p, b, content_format=f))
        s.note()


def reboots(s: Scene) -> None:
    for prepare in (lambda: None, s.deliver):
        prepare()
        boots = s.rig.boots
        s.ask(POST, "/3/0/4")
        s.sleep(30)
        s.note()
        s.seen.append((s.rig.boots - boots, s.rig.running.version, s.rig.slot(64)))


def restarts_after_updates(s: Scene) -> None:
    s.deliver()
    s.registered_again(lambda: s.ask(POST, "/5/0/2"))
    for _ in range(2):
        s.note()
        s.registered_again(lambda: s.rig.type("reboot"))
    s.rig.installs = False
    s.deliver()
    s.registered_again(lambda: s.ask(POST, "/5/0/2"))
    s.note()
    s.registered_again(lambda: s.rig.type("reboot"))
    s.note()


def values_of_object_5(s: Scene) -> None:
    s.ask(PUT, "/5/0/1", b"gopher://host/fw", content_format=TEXT)
    s.sleep(1)
    s.ask(PUT, "/5/0/1", b"", content_format=TEXT)
    s.sleep(1)
    s.ask(GET, "/5/0/1")
    s.sleep(5)
    s.deliver()
    s.ask(GET, "/5/0/12")
    s.ask(PUT, "/5/0/11", b"0", content_format=TEXT)
    s.ask(GET, "/5/0/11")
    s.ask(PUT, "/5/0/13", b"300", content_format=TEXT)
    s.ask(GET, "/5/0/13")


def deferral(s: Scene) -> None:
    s.ask(PUT, "/5/0/13", b"100", content_format=TEXT)
    s.rig.type("user defers")
    s.deliver()
    s.ask(POST, "/5/0/2")
    s.ask(POST, "/5/0/10")
    s.sleep(2)
    s.deliver()
    s.sleep(120)
    s.note()


def deferral_without_limit(s: Scene) -> None:
    s.rig.type("user defers")
    s.deliver()
    s.ask(POST, "/5/0/2")
    s.sleep(1)
    s.rig.type("user accepts")
    s.sleep(30)
    s.note()


def downloads_that_fail(s: Scene) -> None:
    for _ in range(3):
        s.server.push(image()[:5000])
        s.sleep(2)
        s.seen.append(s.rig.application._update.heap.free)


def downloads_given_up(s: Scene) -> None:
    for _ in range(3):
        s.server.request(PUT, "/5/0/0", image()[:1024], content_format=OPAQUE, block1=(0, True, 6))
        s.server.request(POST, "/5/0/10")
        s.sleep(2)
        s.seen.append(s.rig.application._update.heap.free)


def later_versions(s: Scene) -> None:
    for version in ("1.9.0", "1.10.0"):
        s.deliver(version)
        s.ask(GET, "/3/0/3")
        s.registered_again(lambda: s.ask(POST, "/5/0/2"))
        s.ask(GET, "/3/0/3")
    boots = s.rig.boots
    s.deliver("1.10.0")
    s.ask(POST, "/5/0/2")
    s.sleep(30)
    s.seen.append(s.rig.boots - boots)


def sizes(s: Scene) -> None:
    s.deliver(size1=None)
    s.ask(PUT, "/5/0/0", b"\0", content_format=OPAQUE)
    s.deliver(exponent=0)
    s.ask(PUT, "/5/0/0", b"\0", content_format=OPAQUE)
    s.deliver(size1=10_000)
    s.ask(PUT, "/5/0/0", b"\0", content_format=OPAQUE)
    s.ask(PUT, "/5/0/0", b"x" * 1024, content_format=OPAQUE, block1=(0, True, 7))
    s.ask(PUT, "/5/0/0", b"\0", content_format=OPAQUE)
    for size in (4096, 4099):
        s.seen.append(s.server.push(image(size=size)).code.dotted)
        s.sleep(3)
        s.note()
        s.seen.append(s.rig.slot(size) == image(size=size))
        s.ask(PUT, "/5/0/0", b"\0", content_format=OPAQUE)


def size_changes(s: Scene) -> None:
    data = image(size=4000)
    for number, exponent in ((0, 6), (1, 6), (4, 5), (5, 5), (6, 5), (7, 5)):
        size = 16 << exponent
        part = data[number * size : (number + 1) * size]
        s.ask(
            PUT, "/5/0/0", part, content_format=OPAQUE, block1=(number, (number + 1) * size < 4000, exponent)
        )
    s.sleep(2)
    s.note()


def tlv_package(s: Scene) -> None:
    data = b"\xd0\0" + (600).to_bytes(2, "big") + image(size=600)
    s.ask(PUT, "/5/0/0", data, content_format=TLV)
    s.sleep(2)
    s.note()


def slow_push(s: Scene) -> None:
    data = image(size=10 * 1024)
    for number in range(10):
        part = data[number * 1024 :][:1024]
        s.ask(PUT, "/5/0/0", part, content_format=OPAQUE, block1=(number, number < 9, 6))
        s.sleep(25)
        s.note()


class _Place:
    """As much of a slot as is to be had: it notes where it is written."""

    capacity = 1 << 20

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []

    def write(self, offset: int, data: bytes) -> Steps:
        self.written.append((offset, len(data)))
        yield 0.0


class _Slot:
    """As much of MCUboot's secondary slot as its erasing needs."""

    sectors = 100

    def __init__(self) -> None:
        self.erased: list[int] = []

    def is_erased(self, number: int) -> bool:
        return False

    def erase(self, offset: int, length: int) -> Steps:
        self.erased.append(offset // SECTOR)
        yield 0.0


def large(s: Scene) -> None:
    slots = object.__new__(McubootSlots)
    slots._other, slots._start = _Slot(), 0  # type: ignore[assignment]
    s.seen.append([list(slots.erase()), slots._other.erased])  # type: ignore[attr-defined]
    place = _Place()
    store = PackageStore(s.rig, place, Heap())  # type: ignore[arg-type]
    for _ in range(300):
        for _step in store.append(b"x" * 1024):
            pass
    s.seen += [place.written[-1], store.received, Block(512, True, 6).offset]


# ---- a peer that keeps no rules of its own


class Peer:
    """Datagrams to the device, from the socket of a stranger."""

    def __init__(self, s: Scene) -> None:
        self.s = s
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, ("127.0.0.1", self.s.rig.port))

    def request(self, mid: int, code: Any, path: str, payload: bytes = b"", **how: Any) -> bytes:
        message = Message(code=code, payload=payload)
        message.mtype, message.mid = how.pop("kind", types.CON), mid
        message.token = how.pop("token", b"T")
        message.opt.uri_path = path.strip("/").split("/")
        for name, value in how.items():
            setattr(message.opt, name, value)
        self.send(message.encode())
        return bytes(message.encode())

    def heard(self, seconds: float) -> None:
        """What came, and when."""
        until = self.s.clock.now() + seconds
        while self.s.clock.now() < until:
            self.s.clock.run(asyncio.sleep(0.1), timeout=None, reason="the peer")
            while True:
                try:
                    data = self.socket.recv(2048)
                except BlockingIOError:
                    break
                self.s.seen.append((round(until - self.s.clock.now(), 1), data))

    def acknowledge(self, seconds: float) -> None:
        """What comes, and is confirmable: the device sends no more before."""
        before = len(self.s.seen)
        self.heard(seconds)
        for _, data in self.s.seen[before:]:
            if data[0] >> 4 == 4:
                self.send(b"\x60\0" + data[2:4])


@contextmanager
def served() -> Iterator[None]:
    """The peer counts as the server."""
    healthy = Client.__dict__["_knows"]
    Client._knows = lambda self, source: True  # type: ignore[method-assign]
    try:
        yield
    finally:
        Client._knows = healthy  # type: ignore[method-assign]


def messages(s: Scene) -> None:
    peer = Peer(s)
    with served():
        peer.send(b"\x40\0\x12\x34")
        peer.heard(1)
        peer.send(
            bytes.fromhex("41010001aa") + bytes.fromhex("b1 33 01 30 01 33 d1 00 2c 00".replace(" ", ""))
        )
        peer.send(bytes.fromhex("41010002aa") + bytes.fromhex("b1330130 0133 e1 ff00 00".replace(" ", "")))
        peer.send(bytes.fromhex("41010003aa") + bytes.fromhex("b1330130 0133 e1 ff01 00".replace(" ", "")))
        peer.request(4, GET, "/3/0/3", kind=types.NON)
        copy = peer.request(5, GET, "/3/0/3")
        peer.heard(1)
        peer.send(copy)
        peer.send(bytes.fromhex("41050006aa") + bytes.fromhex("b13301300133"))
        peer.request(7, GET, "/3/0/3", token=b"12345678")
        peer.request(8, GET, "/3/0/3", token=b"")
        peer.heard(3)
        s.deliver()
        twice = peer.request(9, POST, "/5/0/10")
        peer.heard(1)
        peer.request(10, GET, "/3/0/3")
        peer.heard(1)
        peer.send(twice)
        peer.heard(3)


def retransmissions(s: Scene) -> None:
    peer = Peer(s)
    with served():
        peer.request(1, GET, "/5/0/3", observe=0)
        peer.heard(1)
        s.server.push(image()[:1024])
        peer.heard(100)


def message_ids(s: Scene) -> None:
    peer = Peer(s)
    with served():
        s.seen.append(s.rig.application._client.engine._mid >> 8)
        for mid in range(300):
            peer.request(mid, GET, "/3/0/3", kind=types.NON)
            peer.heard(0.1)
        s.seen.append(s.rig.application._client.engine._mid >> 8)


def observations(s: Scene) -> None:
    peer = Peer(s)
    with served():
        s.ask(PUT, "/5/0?pmin=5", b"")
        mids = iter(range(1, 100))

        def observe(path: str, **how: Any) -> None:
            peer.request(next(mids), GET, path, observe=0, **how)
            peer.heard(0.3)

        def acknowledge() -> None:
            """Take what comes until all is quiet."""
            for _ in range(80):
                peer.acknowledge(0.3)

        observe("/1/0", token=b"I")
        observe("/5/0/3", accept=SENML)
        observe("/5/0/3", accept=SENML)
        observe("/5/0/5", token=b"R")
        s.server.request(PUT, "/5/0/0", image()[:1024], content_format=OPAQUE, block1=(0, True, 6))
        s.server.request(PUT, "/1/0/1", b"400", content_format=TEXT)
        acknowledge()
        s.server.request(POST, "/1/0/8")
        s.server.request(POST, "/5/0/10")
        acknowledge()
        s.ask(PUT, "/5/0?pmin", b"")
        s.ask(GET, "/5/0", accept=40)
        s.ask(PUT, "/5/0/5?pmax=7", b"")
        acknowledge()
        peer.request(90, GET, "/5/0/3", observe=1)
        acknowledge()


def many_notifications(s: Scene) -> None:
    peer = Peer(s)
    with served():
        peer.request(1, GET, "/5/0/3", observe=0)
        peer.heard(0.3)
        observer = next(iter(s.rig.application._client.observations._observers.values()))
        observer.sequence = 250
        for number in range(8):
            s.rig.application._update.fota.become(number % 2, 0)
            peer.acknowledge(0.3)


def sends(s: Scene) -> None:
    sent: list[int] = []
    rows = Client.__dict__["report"]

    def report(self: Client, paths: Any) -> None:
        exchange = self.engine.request
        self.engine.request = lambda message, to, answered: sent.append(len(message.payload))  # type: ignore
        rows(self, paths)
        self.engine.request = exchange  # type: ignore[method-assign]

    Client.report = report  # type: ignore[method-assign]
    try:
        s.rig.type("report send")
        s.deliver()
    finally:
        Client.report = rows  # type: ignore[method-assign]
    s.seen.append(sent)


def all_operations(s: Scene) -> None:
    s.ask(PUT, "/1/0/1", (200).to_bytes(1, "big", signed=False), content_format=TEXT)
    for value in (200, 40000):
        s.ask(PUT, "/1/0/1", str(value).encode(), content_format=TEXT)
        s.sleep(2)
        s.ask(GET, "/1/0/1", accept=TLV)
    s.ask(PUT, "/1/0/1", b"\xc8\x01\x08" + (300).to_bytes(8, "big"), content_format=TLV)
    s.ask(PUT, "/5/0/13", b"\xc1\x0d\xff", content_format=TLV)
    s.ask(GET, "/5/0", accept=SENML)
    s.ask(GET, "/3/0/3", accept=60)
    s.ask(PUT, "/5/0/11", b"1", content_format=60)
    s.ask(PUT, "/5/0/11", b"\xc1\x0d\x01", content_format=TLV)
    s.ask(GET, "/5/0", accept=TLV)
    s.ask(GET, "/5/0", accept=40)
    s.ask(GET, "/5/0/0")
    s.ask(GET, "/5/0/99")
    s.ask(POST, "/5/0")
    s.ask(POST, "/5/0/3")
    s.ask(PUT, "/5/0/5", b"1", content_format=TEXT)
    s.ask(PUT, "/5/0/3", b"2", content_format=TEXT)
    s.note()


def registration(s: Scene) -> None:
    seen: list[tuple[str, list[str], list[str], bytes]] = []

    def watch(request: aiocoap.Message) -> None:
        path = list(request.opt.uri_path)
        query = [item for item in request.opt.uri_query if not item.startswith("ep=")]
        seen.append((request.code.dotted, path, query, request.payload))

    class Watching(aiocoap.resource.Site):
        async def render(self, request: Any) -> Any:
            watch(request)
            return await super().render(request)

        async def render_to_pipe(self, pipe: Any) -> Any:
            watch(pipe.request)
            return await super().render_to_pipe(pipe)

    s.server.site.__class__ = Watching
    s.ask(POST, "/1/0/8")
    s.sleep(5)
    s.ask(PUT, "/1/0/1", b"500", content_format=TEXT)
    s.sleep(5)
    s.server.known = False
    s.ask(POST, "/1/0/8")
    s.sleep(5)
    s.ask(POST, "/1/0/8")
    s.sleep(60)
    s.registered_again(lambda: s.rig.type("reboot"))
    s.seen += seen


def refused_register(s: Scene) -> None:
    tries = 0
    register = s.server._register

    def refuse(request: Any) -> Any:
        nonlocal tries
        tries += 1
        return aiocoap.Message(code=aiocoap.BAD_REQUEST) if tries < 5 else register(request)

    s.server.site.add_resource(["rd"], type("R", (aiocoap.resource.Resource,), {"render": _async(refuse)})())
    s.rig.type("reboot")
    s.sleep(100)
    s.seen.append(tries)


def _async(answer: Callable[[Any], Any]) -> Any:
    async def render(self: Any, request: Any) -> Any:
        return answer(request)

    return render


def bootstrapped(s: Scene) -> None:
    bench_server = LwM2mServer(s.clock, Timeline(s.clock), seed=1)
    bench_server.start()
    try:
        account = Account(bench_server.uri, lifetime=777)
        bench_server.plan_bootstrap(ENDPOINT, Plan((account,)))
        s.rig.type(f"provision bootstrap={bench_server.uri} endpoint={ENDPOINT}")
        client = bench_server.wait_registered(ENDPOINT, timeout=200)
        s.seen.append(client.registration.lifetime)
        asked = sum("bootstrap begins" in line for line in s.rig.lines)
        s.rig.running = s.rig.running.__class__("slot0", "1.1.0", {}, True, "normal")
        before = s.clock.now()
        s.rig.type("reboot")
        bench_server.wait_registered(ENDPOINT, timeout=200, after=before)
        s.seen.append(sum("bootstrap begins" in line for line in s.rig.lines) - asked)
    finally:
        bench_server.close()


def accounts(s: Scene) -> None:
    s.register()
    made = Bootstrap(s.rig, s.rig.application._client.engine, ("127.0.0.1", 1), ENDPOINT)
    made._written = {
        0: {
            0: {0: "coap://127.0.0.1:1", 1: True, 2: 3, 10: 1},
            1: {0: "coap://127.0.0.1:2", 1: False, 2: 3, 10: 2},
            2: {0: "coap://127.0.0.1:3", 1: False, 2: 3, 10: 1},
        },
        1: {0: {0: 1, 1: 100, 7: "U"}, 1: {0: 2, 1: 200, 7: "U"}},
    }
    s.seen.append(made._server_of_accounts())


def strangers(s: Scene) -> None:
    peer = Peer(s)
    peer.request(1, GET, "/3/0/3")
    peer.heard(2)
    client = s.rig.application._client
    client._server = None
    s.seen.append(client._knows(client.account.server))
    client._server = client.account.server
    s.rig.application._link._secured.add(client.account.server)
    s.seen.append(client._knows(("127.0.0.1", 9)))
    heard: list[bytes] = []
    s.rig.application._link._heard = lambda data, address: heard.append(data)
    s.rig.application._link._receive(b"\x40\1\0\1", client.account.server)
    s.seen.append(heard)


SENSORS, DISPLAY, POSITIONING = "/33629/1", "/33629/2", "/33629/3"


def several(s: Scene) -> None:
    def shown() -> None:
        for instance in (SENSORS, DISPLAY, POSITIONING):
            s.seen.append(s.server.fota(instance))
            for number in (15, 16, 17):
                s.ask(GET, f"{instance}/{number}", accept=SENML)

    def give(instance: str, data: bytes) -> None:
        s.server.push(data, instance=instance)
        s.sleep(3)

    s.ask(POST, "/33629", b"")
    give(SENSORS, package("display", "2.0.0"))
    shown()
    give(SENSORS, package("sensors", "1.10.0"))
    give(POSITIONING, package("positioning", "2.0.0", {"sensors": "1.9.0"}))
    shown()
    s.ask(POST, f"{SENSORS}/10")
    s.sleep(2)
    shown()
    give(SENSORS, package("sensors", "1.10.0"))
    s.registered_again(lambda: s.ask(POST, f"{SENSORS}/2", b"0"))
    shown()
    s.ask(POST, f"{POSITIONING}/2", b"0='</33629/1>'")
    s.sleep(3)
    shown()
    s.ask(POST, f"{POSITIONING}/10")
    s.sleep(2)
    give(SENSORS, bundle([package("sensors", "3.0.0"), package("display", "3.0.0")]))
    shown()
    s.registered_again(lambda: s.ask(POST, f"{SENSORS}/2", b"0"))
    shown()
    s.ask(DELETE, POSITIONING)
    s.ask(GET, f"{POSITIONING}/14")


def required_along(s: Scene) -> None:
    s.server.push(package("sensors", "2.0.0"), instance=SENSORS)
    s.server.push(package("positioning", "2.0.0", {"sensors": "2.0.0"}), instance=POSITIONING)
    s.sleep(3)
    s.ask(POST, f"{POSITIONING}/2", b"0='</33629/1>'")
    s.sleep(40)
    s.seen.append([s.server.fota(i) for i in (SENSORS, POSITIONING)])


def required_as_a_later_version(s: Scene) -> None:
    s.server.push(package("sensors", "1.10.0"), instance=SENSORS)
    s.sleep(3)
    s.registered_again(lambda: s.ask(POST, f"{SENSORS}/2"))
    s.server.push(package("positioning", "2.0.0", {"sensors": "1.9.0"}), instance=POSITIONING)
    s.sleep(3)
    s.ask(POST, f"{POSITIONING}/2")
    s.sleep(40)
    s.seen.append(s.server.fota(POSITIONING))


def one_of_two_damaged(s: Scene) -> None:
    s.server.push(package("sensors", "2.0.0"), instance=SENSORS)
    s.server.push(package("display", "2.0.0"), instance=DISPLAY)
    s.sleep(3)
    place = next(at for at in range(0x8000, 0x10000, 4096) if b"display" in s.rig.flash.read(at, 200))
    s.rig.flash.write_now(place + 300, bytes(16))
    s.registered_again(lambda: s.ask(POST, f"{SENSORS}/2"))
    s.seen.append([s.server.fota(i) for i in (SENSORS, DISPLAY)])
    s.ask(GET, f"{SENSORS}/15")


SCENARIOS: dict[str, tuple[Callable[[Scene], None], ...]] = {
    updating.UPDATING_AND_AFTER.name: (
        while_updating,
        reboots,
        restarts_after_updates,
        values_of_object_5,
        deferral,
        deferral_without_limit,
        downloads_that_fail,
        downloads_given_up,
    ),
    versions.VERSIONS.name: (later_versions, required_as_a_later_version),
    push_transfer.TRANSFER.name: (sizes, size_changes, tlv_package, slow_push, large, messages),
    observing.OBSERVING.name: (observations, many_notifications, sends),
    operations.OPERATIONS.name: (all_operations,),
    coap_layer.MESSAGES.name: (messages, retransmissions, message_ids),
    registering.REGISTERING.name: (registration, refused_register, strangers, accounts, bootstrapped),
    components.COMPONENTS.name: (several, required_along, one_of_two_damaged),
}
UNPROVISIONED = (accounts, bootstrapped)
AREAS = (
    updating.UPDATING_AND_AFTER,
    versions.VERSIONS,
    push_transfer.TRANSFER,
    observing.OBSERVING,
    operations.OPERATIONS,
    coap_layer.MESSAGES,
    registering.REGISTERING,
    components.COMPONENTS,
)
DEFECTS = [defect for area in AREAS for defect in area.defects]
_healthy: dict[str, list[Any]] = {}


def driven(scenario: Callable[[Scene], None]) -> list[Any]:
    """What was seen, up to where the device no longer did what the scenario waits for."""
    with scene(registered=scenario not in UNPROVISIONED) as made:
        try:
            scenario(made)
        except Exception as error:
            made.seen.append(type(error).__name__)
        return made.seen


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_the_device_behaves_otherwise(defect: Defect) -> None:
    for scenario in SCENARIOS[defect.area]:
        name = scenario.__name__
        if name not in _healthy:
            _healthy[name] = driven(scenario)
        with seeded(defect):
            seen = driven(scenario)
        if seen != _healthy[name]:
            return
    pytest.fail(
        f"{defect.name} changes nothing that {', '.join(s.__name__ for s in SCENARIOS[defect.area])} show"
    )


@pytest.mark.parametrize("scenario", sorted({s for all_of in SCENARIOS.values() for s in all_of}, key=str))
def test_a_scenario_is_the_same_each_time_and_ends(scenario: Callable[[Scene], None]) -> None:
    first, second = driven(scenario), driven(scenario)
    assert first == second
    assert not isinstance(first[-1], str)
