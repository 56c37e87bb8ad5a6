"""What strangers cause is put down in bounds, and what was not is counted."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from coap_peer import CON, GET, POST, Device, Packet, Peer, path_options, text, uint

from bench import timeline as timeline_module
from bench.allowance import Allowance
from bench.clock import Clock
from bench.lwm2m.coap import trace
from bench.lwm2m.interfaces.registration import MAX_REGISTRATIONS
from bench.lwm2m.server import MAX_ENDED, LwM2mServer
from bench.network import relay, way
from bench.network.path import NetworkPath
from bench.packages import noted
from bench.packages.noted import Noted
from bench.timeline import Timeline

LINK_FORMAT = (12, uint(40))


def inject(server: LwM2mServer, clock: Clock, count: int, make: Callable[[int], bytes]) -> None:
    """Datagrams as from ever new addresses, past the socket."""

    async def feed() -> None:
        assert server._endpoint is not None
        for number in range(count):
            address = (f"127.{1 + number // 60000}.0.1", 5000 + number % 60000)
            server._endpoint.datagram_received(make(number), address)
            if number % 500 == 499:
                await asyncio.sleep(0.001)
        await asyncio.sleep(1)

    clock.run(feed(), timeout=3600, reason="the flood")


def test_an_allowance_is_a_burst_and_a_rate() -> None:
    now = {"at": 0.0}
    allowance = Allowance(lambda: now["at"], 10, 2)
    assert sum(allowance.take() for _ in range(100)) == 10
    now["at"] = 3.0
    assert sum(allowance.take() for _ in range(100)) == 6
    now["at"] = 1e6
    assert sum(allowance.take() for _ in range(100)) == 10
    assert allowance.missed == 300 - 26


def test_a_flood_of_strangers_is_told_by_its_number(
    server: LwM2mServer, clock: Clock, timeline: Timeline, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    server._trace.awaited = frozenset({"dev"})
    mark = timeline.mark()
    inject(server, clock, 30_000, lambda n: b"\x40\x01\x00\x01\xff")
    put_down = sum(e.source == "?" for e in timeline.since(mark, kind="coap"))
    assert put_down <= trace.BURST + 10 * trace.RATE
    assert server._trace.missed == 60_000 - put_down
    assert len(server.capture.frames) <= put_down + 10
    device.on["/3/0/9"] = lambda request: text(1)
    server.client("dev").read("/3/0/9")
    assert [e.source for e in timeline.latest(kind="coap")][-2:] == ["dev", "dev"], (
        "the device's are all there"
    )
    server.close()
    told = sum(e.data["dropped"] for e in timeline.since(mark, kind="dropped"))
    assert told == server._trace.missed


def test_a_long_timeline_is_whole_and_small(clock: Clock, tmp_path: Any) -> None:
    made = Timeline(clock)
    tracemalloc.start()
    try:
        for number in range(300_000):
            made.record("dev", "coap", f"-> CON GET /3/0/{number}", number=number)
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert grown < 40 << 20
    assert made.mark() == 300_000
    assert [e.data["number"] for e in made.since(299_990)] == list(range(299_990, 300_000))
    assert [e.data["number"] for e in made.since(1000)][:3] == [1000, 1001, 1002]
    assert len(made.since(0)) == 300_000
    assert made.dropped == 0


def test_a_timeline_without_room_says_what_is_missing(
    clock: Clock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline_module, "IN_MEMORY", 100 * timeline_module.OVERHEAD)
    monkeypatch.setattr(timeline_module, "PUT_AWAY", 4000)
    made = Timeline(clock)
    for number in range(5000):
        made.record("dev", "coap", os.urandom(8).hex(), number=number)
    assert 0 < made.dropped < 5000
    assert len(made.since(0)) == 5000 - made.dropped
    assert made.since(0)[0].data["number"] == made.dropped
    made.dump(tmp_path / "timeline.jsonl")
    first = (tmp_path / "timeline.jsonl").read_text().splitlines()[0]
    assert f"the first {made.dropped} entries were dropped" in first


# ---- packages


def test_who_asks_for_a_package_without_end_fills_no_memory(server: LwM2mServer, clock: Clock) -> None:
    package = server.publish("p.bin", bytes(1024))

    def wanted(number: int) -> bytes:
        path = "/fw/p.bin" if number % 2 else f"/fw/nothing-{number}"
        return Packet(
            CON, GET, number & 0xFFFF, b"t", [*path_options(path), (23, uint(number & 0x0E))]
        ).encode()

    inject(server, clock, 4000, wanted)
    assert package.answers > 1000
    assert len(package.log) == package.answers
    assert len({id(one) for one in package.log}) <= 8, "equal notes are held once"
    assert len({id(one) for one in package.asked}) <= 8
    assert len(server.shelf.missed) <= 100
    assert server.shelf.missed[-1] == "coap: /fw/nothing-3998"


def test_the_latest_notes_are_kept() -> None:
    notes: Noted[int] = Noted(10)
    for number in range(1000, 1057):
        notes.append(number)
    assert notes[-5:] == [1052, 1053, 1054, 1055, 1056]
    assert 5 <= len(notes) <= 10
    assert noted.MOST * 16 >= 3_000_000, "one whole download in the smallest blocks is there"


# ---- registrations


def test_squatters_do_not_keep_an_awaited_device_out(
    clock: Clock, timeline: Timeline, faults: list[Any]
) -> None:
    server = LwM2mServer(clock, timeline, seed=1)
    server.awaited = frozenset({"dev"})
    server.start()

    def registration(number: int) -> bytes:
        options = [*path_options(f"/rd?ep=squatter-{number}&lt=86400"), LINK_FORMAT]
        return Packet(CON, POST, number & 0xFFFF, b"t", options, b"</5/0>").encode()

    inject(server, clock, MAX_REGISTRATIONS + 50, registration)
    peer = Peer(clock, server.uri)
    assert peer.request(POST, "/rd?ep=one-more", b"</5/0>", [LINK_FORMAT]).dotted == "5.03"
    assert peer.request(POST, "/rd?ep=dev", b"</5/0>", [LINK_FORMAT]).dotted == "2.01"
    assert server.registration("squatter-0") is None, "the one heard least lately gave way"
    assert server._directory is not None
    assert len(server._directory.by_endpoint) == MAX_REGISTRATIONS
    peer.close()
    server.close()


def test_registrations_that_come_and_go_leave_nothing(server: LwM2mServer, clock: Clock) -> None:
    def registration(number: int) -> bytes:
        options = [*path_options(f"/rd?ep=guest-{number // 2}&lt=1"), LINK_FORMAT]
        return Packet(CON, POST, number & 0xFFFF, b"t", options, b"</5/0>").encode()

    inject(server, clock, 2000, registration)
    clock.sleep(200, "they expire")
    assert server._directory is not None
    assert (len(server._directory.by_endpoint), len(server._trace.names)) == (0, 0)
    assert len(server._ended) == MAX_ENDED


# ---- the relay


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts descriptors by /proc")
def test_a_spray_of_addresses_exhausts_no_descriptors(clock: Clock, server: LwM2mServer) -> None:
    path = NetworkPath("dev", clock, server.timeline)
    bound = path.open(server.address)
    device = Device(clock, f"coap://127.0.0.1:{bound[1]}", "dev")
    device.register()
    device.on["/3/0/9"] = lambda request: text(4)
    for _ in range(relay.SETTLED):
        server.client("dev").read("/3/0/9")
    before = descriptors()
    front = path._relays[0]
    for number in range(1400):
        binding = front._bind(("127.0.0.2", 2000 + number))
        binding.heard = 1
    assert descriptors() - before <= relay.MAX_CLIENTS
    assert front.displaced >= 1400 - relay.MAX_CLIENTS
    assert server.client("dev").read("/3/0/9") == 4, "who is no passer-by keeps its place"
    device.close()
    path.close()


def test_no_descriptor_left_is_a_lost_datagram(
    clock: Clock, server: LwM2mServer, monkeypatch: pytest.MonkeyPatch, faults: list[Any]
) -> None:
    path = NetworkPath("dev", clock, server.timeline)
    bound = path.open(server.address)

    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files")

    front = path._relays[0]
    monkeypatch.setattr(front, "towards_server", exhausted)
    peer = Peer(clock, f"coap://127.0.0.1:{bound[1]}")
    peer.send(Packet(CON, GET, 1, b"t"))
    clock.sleep(1, "the datagram")
    assert path.up.counters.dropped == 1
    monkeypatch.undo()
    assert peer.request(GET, "/nothing").dotted == "4.04"
    peer.close()
    path.close()


def test_what_a_path_holds_back_is_bounded(clock: Clock, server: LwM2mServer) -> None:
    path = NetworkPath("dev", clock, server.timeline)
    path.up.delay = 60.0
    heard: list[bytes] = []
    stream = way.Stream("s", heard.append)

    async def flood() -> None:
        for _ in range(10_000):
            path.up.carry(stream, bytes(1400))

    clock.run(flood(), timeout=5, reason="the flood")
    held = path.up.counters.offered - path.up.counters.dropped
    assert held * 1400 <= way.MAX_UNDERWAY + 2800
    clock.sleep(61, "they arrive")
    assert len(heard) == held
    assert path.up._underway == 0
    path.close()
