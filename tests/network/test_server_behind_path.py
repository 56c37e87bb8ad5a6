"""The LwM2M server behind a path: it is found again where it was."""

from __future__ import annotations

from bench.clock import Clock
from bench.lwm2m.server import LwM2mServer
from bench.network.path import NetworkPath
from bench.timeline import Timeline


def test_a_server_on_any_port_returns_to_the_same_one(
    clock: Clock, timeline: Timeline, path: NetworkPath
) -> None:
    server = LwM2mServer(clock, timeline)
    server.start()
    first = server.address
    path.open(first)
    for _ in range(3):
        server.close()
        server.start()
        assert server.address == first
    server.close()
