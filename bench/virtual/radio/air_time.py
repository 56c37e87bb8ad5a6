"""When a board's radio sends and receives: each direction takes what it is given one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.virtual.machine import Machine

UP, DOWN = 0, 1


class AirTime:
    """Both directions at `bits_per_second()`; `does(activity)` is told what the radio does."""

    def __init__(
        self, machine: Machine, bits_per_second: Callable[[], float], does: Callable[[str], None]
    ) -> None:
        self._machine = machine
        self._bits_per_second = bits_per_second
        self._does = does
        self._free = [0.0, 0.0]  # when each direction has sent what it has to send
        self._busy = [False, False]

    def take(self, direction: int, size: int) -> float:
        """Queue `size` bytes; returns the seconds until they have left."""
        now = self._machine.now()
        self._free[direction] = max(now, self._free[direction]) + size * 8 / self._bits_per_second()
        if size and not self._busy[direction]:
            self._busy[direction] = True
            self._rest(direction)
            self.tell()
        return self._free[direction] - now

    def tell(self) -> None:
        """What the radio does now; it cannot listen while it sends."""
        up, down = self._busy
        self._does("tx" if up else "rx" if down else "connected")

    def _rest(self, direction: int) -> None:
        """Look again when all that waits has passed; then the direction rests."""
        left = self._free[direction] - self._machine.now()
        if left > 0:
            self._machine.cpu.after(left, partial(self._rest, direction))
        else:
            self._busy[direction] = False
            self.tell()
