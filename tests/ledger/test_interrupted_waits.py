"""A wait of the clock can be ended from another thread, which is told what it was for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from bench.clock import Clock, WallClock
from bench.errors import TestTimeout
from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler


@pytest.fixture(params=["wall", "virtual"])
def clock(request: pytest.FixtureRequest) -> Iterator[Clock]:
    made: Clock = WallClock() if request.param == "wall" else VirtualClock(Scheduler(0))
    yield made
    made.close()


def interrupting(clock: Clock, begun: threading.Event) -> threading.Thread:
    """Ends the wait once what is waited for has `begun`, and keeps what it was for."""

    def run() -> None:
        begun.wait(10)
        thread.name = clock.waiting_for or ""
        assert clock.interrupt(TestTimeout("too long"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_wait_is_ended_with_the_fault_and_the_clock_goes_on(clock: Clock) -> None:
    ended = []
    begun = threading.Event()

    async def never() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    thread = interrupting(clock, begun)
    with pytest.raises(TestTimeout, match="too long"):
        clock.run(never(), reason="the moon to be full")
    thread.join(5)
    assert thread.name == "the moon to be full"
    assert ended == [True]
    assert clock.waiting_for is None
    assert clock.run(asyncio.sleep(0, "on"), reason="next") == "on"


def test_nothing_to_interrupt(clock: Clock) -> None:
    assert not clock.interrupt(TestTimeout("x"))
    assert clock.run(asyncio.sleep(0, 1), reason="next") == 1
