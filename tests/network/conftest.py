from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from udp_post import Post

from bench.clock import Clock, WallClock
from bench.network.path import NetworkPath
from bench.timeline import Timeline
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler


@pytest.fixture
def clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    made = WallClock() if getattr(request, "param", "virtual") == "wall" else VirtualClock(Scheduler(1))
    yield made
    made.close()


@pytest.fixture
def timeline(clock: Clock) -> Timeline:
    return Timeline(clock)


@pytest.fixture
def post(clock: Clock) -> Iterator[Callable[..., Post]]:
    """Opens sockets on loopback."""
    made: list[Post] = []

    def open_post(*, echo: bool = False) -> Post:
        async def start() -> Post:
            loop = asyncio.get_running_loop()
            _, opened = await loop.create_datagram_endpoint(
                lambda: Post(clock, echo), local_addr=("127.0.0.1", 0)
            )
            return opened

        made.append(clock.run(start(), reason="open a socket"))
        return made[-1]

    yield open_post

    async def close() -> None:
        for one in made:
            one.transport.close()

    clock.run(close(), reason="close the sockets")


@pytest.fixture
def path(clock: Clock, timeline: Timeline) -> Iterator[NetworkPath]:
    made = NetworkPath("dev", clock, timeline, seed=7)
    yield made
    made.close()
