"""Queue mode: which devices sleep (OMA LwM2M 1.1 Core, section 6.5).

A device in queue mode hears the server only for a while after a message of its own. This room knows
when that is; the message layer holds requests back by it, and time-outs count only waking seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

AWAKE_WINDOW = 93.0
"""Seconds a device listens after its last message: MAX_TRANSMIT_WAIT of RFC 7252, unless told otherwise."""


@dataclass
class _Sleeper:
    heard_at: float
    asleep_since: float | None = None
    timer: asyncio.TimerHandle | None = None
    turns: list[asyncio.Future[None]] = field(default_factory=list)


class Sleepers:
    """The devices in queue mode, by the address they speak from. To be used on the loop only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, window: float = AWAKE_WINDOW) -> None:
        self._loop = loop
        self._sleepers: dict[Any, _Sleeper] = {}
        self._listeners: list[tuple[Callable[[Any], None], Callable[[Any], None]]] = []
        self.window = window
        """Awake seconds after each message; a change holds from a device's next message on."""

    def listen(self, fell_asleep: Callable[[Any], None], woke: Callable[[Any], None]) -> None:
        """Both get the address."""
        self._listeners.append((fell_asleep, woke))

    # ---- who is one

    def watch(self, remote: Any) -> None:
        """The device behind this address uses queue mode, and was heard just now."""
        sleeper = self._sleepers.get(remote)
        if sleeper is None:
            sleeper = self._sleepers[remote] = _Sleeper(self._loop.time())
            self._arm(remote, sleeper)

    def forget(self, remote: Any) -> None:
        """The device behind this address is always on, or gone."""
        sleeper = self._sleepers.pop(remote, None)
        if sleeper is not None:
            if sleeper.timer is not None:
                sleeper.timer.cancel()
            self._turn(sleeper)
            if sleeper.asleep_since is not None:
                self._tell(remote, 1)

    def move(self, old: Any, new: Any) -> None:
        """The device speaks from another address now."""
        sleeper = self._sleepers.pop(old, None)
        if sleeper is not None:
            if sleeper.timer is not None:
                sleeper.timer.cancel()
            self._sleepers[new] = sleeper
            if sleeper.asleep_since is None:
                self._arm(new, sleeper)

    # ---- awake, asleep

    def heard(self, remote: Any) -> None:
        """A message came from this address."""
        sleeper = self._sleepers.get(remote)
        if sleeper is None:
            return
        sleeper.heard_at = self._loop.time()
        if sleeper.asleep_since is not None:
            sleeper.asleep_since = None
            self._arm(remote, sleeper)
            self._turn(sleeper)
            self._tell(remote, 1)

    def asleep_since(self, remote: Any) -> float | None:
        """Bench seconds; None when it is awake, or no device in queue mode."""
        sleeper = self._sleepers.get(remote)
        return None if sleeper is None else sleeper.asleep_since

    def turn(self, remote: Any) -> asyncio.Future[None] | None:
        """Done when the device falls asleep or wakes; None for a device that never sleeps."""
        sleeper = self._sleepers.get(remote)
        if sleeper is None:
            return None
        if not sleeper.turns:
            sleeper.turns.append(self._loop.create_future())
        return sleeper.turns[0]

    def doze(self, remote: Any) -> bool:
        """The device cannot hear until it speaks again; False for one that is always on."""
        sleeper = self._sleepers.get(remote)
        if sleeper is None:
            return False
        if sleeper.asleep_since is None:
            if sleeper.timer is not None:
                sleeper.timer.cancel()
            self._sleeps(remote, sleeper)
        return True

    def _arm(self, remote: Any, sleeper: _Sleeper) -> None:
        sleeper.timer = self._loop.call_at(sleeper.heard_at + self.window, self._check, remote, sleeper)

    def _check(self, remote: Any, sleeper: _Sleeper) -> None:
        if sleeper.heard_at + self.window > self._loop.time():
            self._arm(remote, sleeper)
        else:
            self._sleeps(remote, sleeper)

    def _sleeps(self, remote: Any, sleeper: _Sleeper) -> None:
        sleeper.asleep_since, sleeper.timer = self._loop.time(), None
        self._turn(sleeper)
        self._tell(remote, 0)

    def _turn(self, sleeper: _Sleeper) -> None:
        for turn in sleeper.turns:
            if not turn.done():
                turn.set_result(None)
        sleeper.turns.clear()

    def _tell(self, remote: Any, which: int) -> None:
        for listener in self._listeners:
            listener[which](remote)

    def close(self) -> None:
        for remote in tuple(self._sleepers):
            sleeper = self._sleepers.pop(remote)
            if sleeper.timer is not None:
                sleeper.timer.cancel()
            self._turn(sleeper)
