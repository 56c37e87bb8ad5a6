"""A server in simulated time, and peers that know it: fixtures."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from coap_peer import Device, Peer

from bench.clock import Clock, WallClock
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    """Simulated time; `@pytest.mark.parametrize("clock", ["wall"], indirect=True)` for real time."""
    random.seed(1)  # aiocoap draws retransmission times from the global stream
    made = WallClock() if getattr(request, "param", "virtual") == "wall" else VirtualClock(Scheduler(1))
    yield made
    made.close()
    gc.collect()  # unfinished exchanges end here, not in somebody else's test


@pytest.fixture
def timeline(clock: Clock) -> Timeline:
    return Timeline(clock)


@pytest.fixture
def faults(clock: Clock) -> Iterator[list[dict[str, Any]]]:
    """Exceptions that reached the loop. There must be none."""
    found: list[dict[str, Any]] = []
    clock.loop.set_exception_handler(lambda loop, context: found.append(context))
    yield found
    assert found == []


@pytest.fixture
def server(clock: Clock, timeline: Timeline, faults: list[Any]) -> Iterator[LwM2mServer]:
    made = LwM2mServer(clock, timeline, seed=1)
    made.start()
    yield made
    made.close()


@pytest.fixture
def peer(clock: Clock, server: LwM2mServer) -> Iterator[Peer]:
    made = Peer(clock, server.uri)
    yield made
    made.close()


@pytest.fixture
def connect(clock: Clock, server: LwM2mServer) -> Iterator[Callable[..., Device]]:
    """Makes devices that know the server; `register=False` leaves them unregistered."""
    made: list[Device] = []

    def make(endpoint: str = "dev", *, register: bool = True, **options: Any) -> Device:
        device = Device(clock, server.uri, endpoint, **options)
        made.append(device)
        if register:
            device.register()
        return device

    yield make
    for device in made:
        device.close()


@pytest.fixture
def device(connect: Callable[..., Device]) -> Device:
    return connect()
