"""What one direction of a path does to datagrams, as data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from bench.errors import NetworkError


@dataclass(frozen=True, slots=True)
class Impairment:
    """`loss`, `duplicate`, `reorder`: probabilities. `delay`, `jitter`, `hold`: seconds.

    Each datagram arrives `delay` plus up to `jitter` (evenly distributed) later; jitter alone never
    changes the order of one client's datagrams. A reordered one is held back by `hold` more, and what
    follows within that time overtakes it. `bandwidth` is in bits a second of IP packets (None: no
    limit), shared by all clients; beyond `queue` waiting bytes datagrams are dropped. `outage`:
    nothing arrives, datagrams under way included.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    hold: float = 0.25
    delay: float = 0.0
    jitter: float = 0.0
    bandwidth: float | None = None
    queue: int = 65536
    outage: bool = False

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            self._require(name, 0 <= getattr(self, name) <= 1, "a probability from 0 to 1")
        for name in ("hold", "delay", "jitter"):
            value = getattr(self, name)
            self._require(name, value >= 0 and math.isfinite(value), "seconds, not negative")
        self._require("bandwidth", self.bandwidth is None or self.bandwidth > 0, "bits a second, or None")
        self._require("queue", self.queue >= 0, "bytes, not negative")

    def _require(self, name: str, right: bool, what: str) -> None:
        if not right:
            raise NetworkError(
                f"network: {name} = {getattr(self, name)!r} is impossible", help=f"{name} is {what}"
            )

    def but(self, **settings: Any) -> Impairment:
        """These settings with some changed. Raises `NetworkError` for unknown names and impossible values."""
        known = [field.name for field in fields(self)]
        for name in settings:
            if name not in known:
                raise NetworkError(
                    f"network: there is no setting {name!r}", help=f"settings are {', '.join(known)}"
                )
        return replace(self, **settings)

    def differences(self, before: Impairment) -> dict[str, object]:
        """The settings that differ from `before`."""
        old = asdict(before)
        return {name: value for name, value in asdict(self).items() if value != old[name]}


@dataclass
class Counters:
    """Datagrams of one direction since the path was opened.

    `offered` were sent into it, `delivered` came out (duplicates included); `bytes` are the payload
    of what was delivered. `lost` by chance, `blocked` by an outage, `dropped` by a full queue, `stale`
    sent to an address that a rebinding has taken away.
    """

    offered: int = 0
    delivered: int = 0
    bytes: int = 0
    lost: int = 0
    blocked: int = 0
    dropped: int = 0
    duplicated: int = 0
    reordered: int = 0
    stale: int = 0

    @property
    def not_carried(self) -> int:
        """Datagrams that went into the path and never came out."""
        return self.lost + self.blocked + self.dropped + self.stale
