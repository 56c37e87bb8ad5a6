"""Work that goes on while the test thread does something else: polling a meter, driving an attenuator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from bench.clock import Clock
from bench.errors import BenchError


class Background:
    """A coroutine on the bench's loop, from now on. Its fault is raised by `check`, `wait` and `end`."""

    def __init__(self, clock: Clock, work: Coroutine[Any, Any, None]) -> None:
        self._clock = clock
        self._future = asyncio.run_coroutine_threadsafe(work, clock.loop)

    @property
    def done(self) -> bool:
        """Whether it has come to its end, well or not."""
        return self._future.done()

    def check(self) -> None:
        """Raise what ended it early, if anything did."""
        if self._future.done() and not self._future.cancelled():
            self._future.result()

    def wait(self, timeout: float, reason: str) -> None:
        """Until it has come to its end; raises `WaitTimeout` after `timeout` bench seconds."""
        self._clock.run(self._joined(), timeout=timeout, reason=reason)

    def end(self) -> None:
        """Stop it where it stands, and raise what had ended it before."""
        self._future.cancel()
        self._clock.run(asyncio.sleep(0), reason="a background task ends")
        self.check()

    def abandon(self) -> None:
        """Stop it; for closing after a fault. Never raises a fault of the bench."""
        with contextlib.suppress(BenchError):
            self.end()

    async def _joined(self) -> None:
        if not self._future.cancelled():
            await asyncio.shield(asyncio.wrap_future(self._future))
