"""A wait in simulated time ends at its moment, not before, however short it is."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest

from bench.virtual.clock import VirtualClock
from bench.virtual.scheduler import Scheduler


@pytest.fixture
def clock() -> Iterator[VirtualClock]:
    made = VirtualClock(Scheduler(0))
    yield made
    made.close()


def begins() -> list[float]:
    rng = random.Random(1)
    return [0.0, 60.3, 1.7e9, *(rng.uniform(0, 10 ** rng.randint(-3, 6)) for _ in range(300))]


def test_waiting_for_what_is_left_ends(clock: VirtualClock) -> None:
    """As loops do that poll until a limit: none may find time left that no wait can fill."""
    for begin in begins():
        clock.scheduler.run_to(clock.now() + begin)
        start, limit, pause, turns = clock.now(), 10.0, 0.001, 0
        while (left := limit - (clock.now() - start)) > 0:
            clock.sleep(min(pause, left), "what is left")
            pause = min(2 * pause, 0.5)
            turns += 1
            assert turns < 100, f"{left!r} s are left at {clock.now()!r}"


@pytest.mark.parametrize("seconds", [5e-324, 1e-18, 1e-12, 1e-8, 0.1])
def test_every_wait_takes_time(clock: VirtualClock, seconds: float) -> None:
    for begin in begins()[:20]:
        clock.scheduler.run_to(clock.now() + begin)
        before = clock.now()
        clock.sleep(seconds, "a wait")
        assert before < clock.now() <= before + 2 * max(seconds, 1e-6)


def test_nobody_is_called_before_its_moment(clock: VirtualClock) -> None:
    async def early(delay: float) -> float:
        when = clock.now() + delay
        called = clock.loop.create_future()
        clock.loop.call_at(when, lambda: called.set_result(clock.now() - when))
        return float(await called)

    async def together() -> list[float]:
        return await asyncio.gather(*(early(1 + step * 3e-8) for step in range(50)))

    assert clock.run(together(), reason="timers close to each other") == [0.0] * 50
