"""The server and the virtual device across the wire: reports, de-registration, restart."""

from __future__ import annotations

import asyncio
from pathlib import Path

import cbor2
import pytest
from aiocoap import CHANGED, DELETE, POST, Context, Message

from bench.clock import WallClock
from bench.config import load_bench
from bench.lwm2m.client import CoapError
from bench.lwm2m.server import LwM2mServer
from bench.station import Station
from bench.timeline import Timeline

BOARDS = Path(__file__).parents[2] / "boards"


def test_a_device_says_goodbye_before_an_ordered_restart_and_returns() -> None:
    with Station(load_bench(BOARDS / "virtual.toml", ("esp32",))) as station:
        dut = station.duts["esp32"]
        dut.install(dut.images.baseline)
        server = station.updates
        client = server.commission(dut)
        before = station.clock.now()
        client.execute("/3/0/4")
        station.server.wait_registered(dut.endpoint, timeout=60, after=before)
        events = [e.text.split()[0] for e in station.timeline.since(kind="registration")]
        assert events == ["registered", "gone", "registered"]


def test_resources_answer_by_their_operations() -> None:
    with Station(load_bench(BOARDS / "virtual.toml", ("nrf9160",))) as station:
        dut = station.duts["nrf9160"]
        dut.install(dut.images.baseline)
        server = station.updates
        client = server.commission(dut)
        assert client.read("/3/0/2") == dut.serial
        assert client.read("/5/0/8") == {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}
        assert client.read("/3/0")[3] == "1.0.0"
        assert "/5/0/3" in [link.target for link in client.discover("/5")]
        client.write("/1/0/1", 120)
        assert client.read("/1/0/1") == 120
        for call, code in (
            (lambda: client.read("/5/0/0"), "4.05"),
            (lambda: client.write("/3/0/3", "x"), "4.05"),
            (lambda: client.execute("/5/0/2"), "4.05"),
            (lambda: client.read("/3/0/99"), "4.04"),
            (lambda: client.read("/0/0/0"), "4.01"),
        ):
            with pytest.raises(CoapError) as caught:
                call()
            assert caught.value.dotted == code


def test_send_of_a_registered_device_is_heard() -> None:
    """An independent peer (aiocoap's own client) registers, sends and leaves."""
    clock = WallClock()
    server = LwM2mServer(clock, Timeline(clock))
    server.start()
    heard: list[tuple[str, dict[str, object]]] = []
    server.listen_reports(lambda endpoint, values: heard.append((endpoint, values)))

    async def device() -> list[str]:
        peer = await Context.create_client_context()

        async def ask(code: object, path: str, payload: bytes, **options: object) -> Message:
            message = Message(code=code, uri=server.uri + path, payload=payload, **options)
            return await asyncio.wait_for(peer.request(message).response, 10)

        registered = await ask(POST, "/rd?ep=peer&lt=60&lwm2m=1.1", b"</5/0>", content_format=40)
        pack = cbor2.dumps([{-2: "/5/0/", 0: "3", 2: 2}, {0: "5", 2: 0}])
        sent = await ask(POST, "/dp", pack, content_format=112)
        bad = await ask(POST, "/dp", b"\xff\xff", content_format=112)
        foreign = await ask(POST, "/dp", b"x", content_format=0)
        gone = await ask(DELETE, "/" + "/".join(registered.opt.location_path), b"")
        unknown = await ask(POST, "/dp", pack, content_format=112)
        await peer.shutdown()
        assert sent.code is CHANGED
        return [m.code.dotted for m in (registered, sent, bad, foreign, gone, unknown)]

    try:
        codes = clock.run(device(), timeout=30, reason="the peer")
        assert codes == ["2.01", "2.04", "4.00", "4.15", "2.02", "4.04"]
        assert heard == [("peer", {"/5/0/3": 2, "/5/0/5": 0})]
    finally:
        server.close()
        clock.close()
