"""The virtual device's application on a bare board, and aiocoap as its independent peer.

The board is real flash, a real processor and a real modem on the scheduler. Only the bootloader is
replaced: its marks are plain attributes here, so that a test can say what the bootloader did.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

import aiocoap
import aiocoap.resource
from aiocoap.numbers.constants import TransportTuning

from bench.virtual.boot import slots as checks
from bench.virtual.clock import VirtualClock
from bench.virtual.firmware.application import Application, DeviceIdentity
from bench.virtual.firmware.update.component import ComponentType
from bench.virtual.firmware.update.machine import Stack
from bench.virtual.flash import Flash, FlashTiming
from bench.virtual.machine import Region, RunningImage
from bench.virtual.process import Cpu, Steps
from bench.virtual.radio.modem import Modem, Routes
from bench.virtual.radio.path import RfPath
from bench.virtual.radio.reception import Reception
from bench.virtual.radio.technology import LTE_M, Technology

SETTINGS = Region(0x0, 0x4000)
STORAGE = Region(0x8000, 0x8000)
SLOT = Region(0x10000, 0x40000)
TIMING = FlashTiming(page_erase=0.087, word_write=43e-6)
MAGIC = b"RIG1"
ENDPOINT = "rig-device"


def image(version: str = "2.0.0", size: int = 20_000, board: bytes = b"R") -> bytes:
    """A package the rig's slots accept: magic, board, version, length and SHA-256 of what follows."""
    body = random.Random(version).randbytes(size - 61)
    return (
        MAGIC
        + board
        + version.encode().ljust(16, b"\0")
        + struct.pack("<II", size, 0)
        + (hashlib.sha256(body).digest() + body)
    )


class RigSlots:
    """`UpdateSlots` over a region of real flash."""

    region = "slot1"
    capacity = SLOT.size

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    @property
    def confirmed(self) -> bool:
        return self._rig.confirmed

    def erase(self, start: int = 0) -> Steps:
        yield from self._rig.flash.erase(SLOT.offset + start, SLOT.size - start, self._rig.now)

    def package(self) -> tuple[str, str]:
        return "rig", self.version()

    def write(self, offset: int, data: bytes) -> Steps:
        self._rig.writes.append((offset, len(data)))
        yield from self._rig.flash.write(SLOT.offset + offset, data, self._rig.now)

    def check(self, length: int) -> Steps:
        yield 0.2
        data = self._rig.slot(length)
        if data[:4] != MAGIC:
            return checks.UNSUPPORTED
        (declared,) = struct.unpack_from("<I", data, 21)
        if declared != length or hashlib.sha256(data[61:]).digest() != data[29:61]:
            return checks.INTEGRITY
        return checks.OK if data[4:5] == b"R" else checks.WRONG_BOARD

    def version(self) -> str:
        head = self._rig.slot(21)
        return head[5:21].rstrip(b"\0").decode() if head[:4] == MAGIC else ""

    def request_upgrade(self) -> Steps:
        yield 0.01
        self._rig.upgrade_requested = True

    def confirm(self) -> Steps:
        yield 0.01
        self._rig.confirmed = True

    def invalidate(self) -> Steps:
        self._rig.upgrade_requested = False
        yield from self._rig.flash.erase(SLOT.offset, 4096, self._rig.now)


class Rig:
    """A board with the application on it. It is the `Machine` the application runs on."""

    name = "rig"

    def __init__(
        self,
        clock: VirtualClock,
        technology: Technology = LTE_M,
        stack: Stack | None = None,
        components: tuple[ComponentType, ...] = (),
    ) -> None:
        scheduler = clock.scheduler
        self.components = components
        self.clock, self.stack = clock, stack or Stack()
        self.regions = {"settings": SETTINGS, "storage": STORAGE, "slot1": SLOT}
        self.cpu = Cpu(scheduler)
        self.flash = Flash(0x50000, 4096, TIMING, scheduler.rng("rig/flash"))
        self.rng = scheduler.rng("rig/software")
        self.lines: list[str] = []
        self.activities: list[str] = []
        self.writes: list[tuple[int, int]] = []
        self.running = RunningImage("slot0", "1.0.0", {}, confirmed=True, arrival="normal")
        self.confirmed = True
        self.upgrade_requested = False
        self.installs = True
        """Whether the rig's bootloader carries out a requested upgrade."""
        self.boots = 0
        self.path = RfPath()
        self.reception = Reception(self.path, technology, scheduler.rng("rig/reception"))
        self.application: Application | None = None
        self.modem: Modem | None = None

    # ---- the Machine

    def now(self) -> float:
        return self.clock.now()

    def print(self, text: str) -> None:
        self.lines.append(text)
        self.clock.changed()

    def activity(self, name: str) -> None:
        self.activities.append(name)

    def reset(self, reason: str) -> None:
        self._die()
        self.cpu.scheduler.after(0.1, self._boot)

    # ---- the test's hands

    def power_on(self) -> None:
        self._boot()

    def power_off(self) -> None:
        """Cut the supply now."""
        self.flash.interrupt(self.now())
        self._die()

    def slot(self, length: int) -> bytes:
        return self.flash.read(SLOT.offset, length)

    def type(self, line: str) -> None:
        assert self.application is not None
        self.application.receive(line.encode() + b"\r\n")

    @property
    def port(self) -> int:
        """The UDP port the device speaks from."""
        assert self.modem is not None
        assert self.modem._socket is not None
        return int(self.modem._socket.getsockname()[1])

    def wait_line(self, text: str, timeout: float = 60.0, since: int = 0) -> None:
        self.clock.wait_for(
            lambda: any(text in line for line in self.lines[since:]), timeout=timeout, reason=f"line {text!r}"
        )

    # ---- life and death

    def _die(self) -> None:
        self.cpu.kill()
        if self.modem is not None:
            self.modem.close()
        self.application = self.modem = None

    def _boot(self) -> None:
        self._die()
        self.boots += 1
        if self.upgrade_requested:
            self.upgrade_requested = False
            if self.installs:
                version = RigSlots(self).version()
                self.previous = self.running
                self.running = replace(self.running, version=version, confirmed=False, arrival="test")
                self.confirmed = False
        elif not self.confirmed:
            self.running = replace(self.previous, arrival="revert", confirmed=True)
            self.confirmed = True
        elif self.running.arrival != "normal":
            self.running = replace(self.running, arrival="normal", confirmed=True)
        self.modem = Modem(
            self,
            self.clock.loop,
            self.cpu.scheduler.rng(f"rig/link/{self.boots}"),
            self.reception,
            Routes(),
        )
        identity = DeviceIdentity("Rig Works", "nRF9160", "SN1", self.stack, self.components)
        self.application = Application(self, self.running, RigSlots(self), self.modem, identity)
        self.cpu.spawn(self.application.run())


async def _getaddrinfo(host: Any, port: Any, **how: Any) -> Any:
    return socket.getaddrinfo(host, port, **how)


class Persistent(TransportTuning):
    """More retransmissions than the default, for links that lose much."""

    MAX_RETRANSMIT = 8
    ACK_TIMEOUT = 1.0


class _Registration(aiocoap.resource.Resource):
    """/rd, and below it one for each registration, as much of the interface as a peer needs."""

    def __init__(self, answer: Callable[[aiocoap.Message], aiocoap.Message]) -> None:
        super().__init__()
        self._answer = answer

    async def render(self, request: aiocoap.Message) -> aiocoap.Message:
        return self._answer(request)


class Package(aiocoap.resource.Resource):
    """A package served block by block; `answer(request, offset)` may answer something else instead."""

    def __init__(self, body: bytes, etag: bytes = b"v1") -> None:
        super().__init__()
        self.body, self.etag = body, etag
        self.asked: list[tuple[int, int]] = []
        self.answer: Callable[[int], aiocoap.Message | None] = lambda offset: None
        self.largest_exponent = 6

    async def needs_blockwise_assembly(self, request: aiocoap.Message) -> bool:
        return False

    async def render_get(self, request: aiocoap.Message) -> aiocoap.Message:
        block = request.opt.block2
        number, exponent = (block.block_number, block.size_exponent) if block else (0, 6)
        offset = number << (exponent + 4)
        self.asked.append((offset, exponent))
        special = self.answer(offset)
        if special is not None:
            return special
        exponent = min(exponent, self.largest_exponent)
        size = 16 << exponent
        response = aiocoap.Message(code=aiocoap.CONTENT, payload=self.body[offset : offset + size])
        response.opt.block2 = (offset // size, offset + size < len(self.body), exponent)
        response.opt.etag = self.etag
        response.opt.size2 = len(self.body)
        return response


@dataclass
class Registered:
    """One registration as the server saw it."""

    time: float
    port: int
    query: dict[str, str]
    links: str


class Server:
    """aiocoap as the LwM2M server, on the virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.registrations: list[Registered] = []
        self.keep: list[asyncio.Task[None]] = []  # that listen to observations
        self.updates: list[tuple[float, dict[str, str]]] = []
        self.gone: list[float] = []
        self.known = True
        """False: has forgotten its registrations and answers an Update with 4.04."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        # asyncio looks names up in a thread, which jumping time does not wait for
        clock.loop.getaddrinfo = _getaddrinfo  # type: ignore[method-assign]
        self.site = aiocoap.resource.Site()
        self.site.add_resource(["rd"], _Registration(self._register))
        self.context: aiocoap.Context = self.run(
            aiocoap.Context.create_server_context(
                self.site, bind=("127.0.0.1", self.port), transports=["udp6"]
            )
        )

    def run(self, coro: Coroutine[Any, Any, Any], timeout: float = 600.0) -> Any:
        return self.clock.run(coro, timeout=timeout, reason="the peer")

    def close(self) -> None:
        for task in self.keep:
            task.cancel()
        self.run(self.context.shutdown())

    def _register(self, request: aiocoap.Message) -> aiocoap.Message:
        query = dict(item.partition("=")[::2] for item in request.opt.uri_query)
        port = request.remote.sockaddr[1]
        self.known = True
        self.registrations.append(Registered(self.clock.now(), port, query, request.payload.decode()))
        self.clock.changed()
        location = ["rd", f"r{len(self.registrations)}"]
        self.site.add_resource(location, _Registration(self._renew))
        response = aiocoap.Message(code=aiocoap.CREATED)
        response.opt.location_path = location
        return response

    def _renew(self, request: aiocoap.Message) -> aiocoap.Message:
        if request.code == aiocoap.DELETE:
            self.gone.append(self.clock.now())
            self.clock.changed()
            return aiocoap.Message(code=aiocoap.DELETED)
        if not self.known:
            return aiocoap.Message(code=aiocoap.NOT_FOUND)
        query = dict(item.partition("=")[::2] for item in request.opt.uri_query)
        self.updates.append((self.clock.now(), query))
        self.clock.changed()
        return aiocoap.Message(code=aiocoap.CHANGED)

    async def ask(
        self,
        code: Any,
        path: str,
        payload: bytes = b"",
        *,
        tuning: type[TransportTuning] | None = None,
        **options: Any,
    ) -> aiocoap.Message:
        """One request to the device registered last, without the library's block-wise layer."""
        message = aiocoap.Message(code=code, payload=payload, transport_tuning=tuning and tuning())
        message.set_request_uri(f"coap://127.0.0.1:{self.registrations[-1].port}{path}")
        for name, value in options.items():
            setattr(message.opt, name, value)
        return await self.context.request(message, handle_blockwise=False).response

    def request(self, code: Any, path: str, payload: bytes = b"", **options: Any) -> aiocoap.Message:
        return self.run(self.ask(code, path, payload, **options))

    def get(self, path: str, **options: Any) -> aiocoap.Message:
        return self.request(aiocoap.GET, path, **options)

    def fota(self, instance: str = "/5/0") -> tuple[int, int]:
        """State and result, read."""
        return int(self.get(f"{instance}/3").payload), int(self.get(f"{instance}/5").payload)

    async def _push(
        self,
        package: bytes,
        exponent: int,
        size1: int | None,
        content_format: int,
        persistent: bool,
        instance: str,
    ) -> aiocoap.Message:
        size = 16 << exponent
        for number in range(-(-len(package) // size)):
            part = package[number * size : (number + 1) * size]
            more = (number + 1) * size < len(package)
            options: dict[str, Any] = {"content_format": content_format, "block1": (number, more, exponent)}
            if number == 0 and size1 is not None:
                options["size1"] = size1
            response = await self.ask(
                aiocoap.PUT, f"{instance}/0", part, tuning=Persistent if persistent else None, **options
            )
            if response.code != (aiocoap.CONTINUE if more else aiocoap.CHANGED):
                return response
            assert response.opt.block1.block_number == number
        return response

    def push(
        self,
        package: bytes,
        *,
        exponent: int = 6,
        size1: int | None = -1,
        content_format: int = 42,
        persistent: bool = False,
        instance: str = "/5/0",
    ) -> aiocoap.Message:
        """Write a package block by block; returns the last response."""
        announced = len(package) if size1 == -1 else size1
        return self.run(self._push(package, exponent, announced, content_format, persistent, instance))

    def wait_fota(self, state: int, result: int, timeout: float = 300.0, instance: str = "/5/0") -> None:
        """Poll until the instance shows that state and result."""

        async def poll() -> None:
            while True:
                held = [
                    int((await self.ask(aiocoap.GET, p)).payload) for p in (f"{instance}/3", f"{instance}/5")
                ]
                if held == [state, result]:
                    return
                await asyncio.sleep(1.0)

        self.clock.run(poll(), timeout=timeout, reason=f"state {state} result {result}")
