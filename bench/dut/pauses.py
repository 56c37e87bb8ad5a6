"""Pauses that pyOCD and esptool make, passed on the bench's clock.

They hold a reset line, or wait for a chip to come up, by `time.sleep`. On a virtual bench that would hold
up the wall clock while no simulated time passes; there the chip is to be held as long as a real one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

Pause = Callable[[float], None]
"""Lets so many seconds pass."""


class _Time:
    """The module `time`, but for `sleep`."""

    def __init__(self, pause: Pause) -> None:
        self.sleep = pause

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@contextlib.contextmanager
def pausing_by(pause: Pause, modules: Iterable[ModuleType]) -> Iterator[None]:
    """Inside the block `time.sleep`, as these modules know it, is `pause`."""
    with contextlib.ExitStack() as ending:
        for module in modules:
            for name, instead in (("sleep", pause), ("time", _Time(pause))):
                known = vars(module).get(name)
                if known is time.sleep or known is time:
                    setattr(module, name, instead)
                    ending.callback(setattr, module, name, known)
        yield
