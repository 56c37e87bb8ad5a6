"""A path between one device and the server, which testcases may make bad.

    path.loss = 0.2                     # both directions
    path.down.delay = 1.5               # server to device only
    path.set(delay=0.1, bandwidth=30_000)
    with path.outage():
        ...
    path.rebind()                       # the server sees the device at a new port

It carries UDP (CoAP and CoAP over DTLS); downloads over TCP go round it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from bench.clock import Clock
from bench.errors import NetworkError
from bench.network.address import Address, reachable
from bench.network.impairment import Counters, Impairment
from bench.network.relay import Relay
from bench.network.way import Impaired, Way
from bench.timeline import Timeline


class NetworkPath(Impaired):
    """`up` is from the device to the server, `down` the other way; settings of the path are both's.

    One entry of the timeline per change (source "NAME.network", kind "network"). Methods are for the
    test thread.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        timeline: Timeline,
        *,
        seed: int = 0,
        impairment: Impairment | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._timeline = timeline
        self._seed = f"{seed}/network/{name}"
        begin = impairment or Impairment()
        self.up = Way("up", clock.loop, begin, self._way_changed)
        self.down = Way("down", clock.loop, begin, self._way_changed)
        self._relays: list[Relay] = []
        self._quiet = False
        if begin != Impairment():
            self._record(begin.differences(Impairment()), "")

    # ---- life

    def open(self, server: Address, listen: Address = ("127.0.0.1", 0)) -> Address:
        """Carry between `listen` (port 0: a free one) and `server`; returns the address as bound.

        May be called for several ports of a server: they share the path. Raises `NetworkError`.
        """

        async def open() -> Address:
            relay = Relay(
                self._clock.loop,
                f"{self._seed}/{len(self._relays)}",
                self.up,
                self.down,
                reachable(server),
            )
            try:
                bound = relay.open(listen)
            except OSError as error:
                relay.close()
                raise NetworkError(
                    f"{self.name}: the network path cannot listen on {listen[0]}:{listen[1]}: "
                    f"{error.strerror or error}",
                    help="stop the program that uses the port, or give another `port` in [boards.X.network]",
                ) from None
            self._relays.append(relay)
            return bound

        return self._clock.run(open(), timeout=10, reason=f"open the network path of {self.name}")

    def close(self) -> None:
        """Idempotent."""
        relays, self._relays = self._relays, []

        async def close() -> None:
            for relay in relays:
                relay.close()

        if relays and not self._clock.loop.is_closed():
            self._clock.run(close(), timeout=10, reason=f"close the network path of {self.name}")

    # ---- settings

    @property
    def impairment(self) -> Impairment:
        """Of both directions. Raises `NetworkError` while they differ."""
        if self.up.impairment != self.down.impairment:
            raise NetworkError(
                f"{self.name}: the network path is not the same in both directions",
                help="ask path.up or path.down",
            )
        return self.up.impairment

    def set(self, **settings: Any) -> None:
        before = self.up.impairment, self.down.impairment
        self._quiet = True
        try:
            self.up.set(**settings)
            self.down.set(**settings)
        finally:
            self._quiet = False
        if before != (self.up.impairment, self.down.impairment):
            self._record(settings, "")

    @contextlib.contextmanager
    def outage(self) -> Iterator[None]:
        """Nothing gets through inside the block, in neither direction. May be nested."""
        before = self.up.impairment.outage, self.down.impairment.outage
        self.set(outage=True)
        try:
            yield
        finally:
            if before == (False, False):
                self.set(outage=False)
            else:
                self.up.set(outage=before[0])
                self.down.set(outage=before[1])

    def rebind(self) -> None:
        """From now on the server sees the device at a new address, as after a NAT has forgotten it."""

        async def rebind() -> None:
            for relay in self._relays:
                relay.rebind()

        self._timeline.record(f"{self.name}.network", "network", "rebind")
        self._clock.run(rebind(), timeout=10, reason=f"rebind {self.name}")

    @property
    def device(self) -> Address | None:
        """Where the device itself was heard last, on its own side of the path; None before that."""
        heard = [relay.last_client for relay in self._relays]
        return next((address for address in reversed(heard) if address is not None), None)

    @property
    def counters(self) -> dict[str, Counters]:
        """What has happened so far, by direction."""
        return {way.name: Counters(**asdict(way.counters)) for way in (self.up, self.down)}

    def _way_changed(self, way: Way, before: Impairment) -> None:
        if not self._quiet:
            self._record(way.impairment.differences(before), f"{way.name}: ")

    def _record(self, settings: dict[str, Any], where: str) -> None:
        text = ", ".join(f"{name} {_shown(value)}" for name, value in settings.items())
        self._timeline.record(f"{self.name}.network", "network", where + text)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "begins" if value else "ends"
    return "unlimited" if value is None else f"{value:g}"
