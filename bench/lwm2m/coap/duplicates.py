"""Which messages each peer sent lately, in bounded memory (RFC 7252, section 4.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LIFETIME = 247.0
"""EXCHANGE_LIFETIME, in seconds: how long a message ID belongs to one message."""
PER_PEER = 32
"""A peer has one request under way at a time (NSTART), so its older ones are not repeated any more."""
PEERS = 2048
MESSAGES = 4096
"""Of all peers together; each is kept with its answer."""


@dataclass(slots=True)
class Recent:
    """One message: its token tells a repetition from a restarted peer; `answer` is what it was told."""

    token: bytes
    at: float
    answer: Any = None


class RecentMessages:
    """The latest messages of the latest peers; who floods displaces what is his own first."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._peers: OrderedDict[Any, OrderedDict[int, Recent]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, remote: Any, mid: int) -> Recent | None:
        held = self._peers.get(remote)
        recent = held.get(mid) if held is not None else None
        return None if recent is None or self._now() - recent.at > LIFETIME else recent

    def add(self, remote: Any, mid: int, token: bytes) -> None:
        held = self._peers.setdefault(remote, OrderedDict())
        self._count += mid not in held
        held.pop(mid, None)
        held[mid] = Recent(token, self._now())
        if len(held) > PER_PEER:
            held.popitem(last=False)
            self._count -= 1
        self._peers.move_to_end(remote)
        while len(self._peers) > PEERS or self._count > MESSAGES:
            self._count -= len(self._peers.popitem(last=False)[1])

    def forget(self, remote: Any) -> None:
        """The peer has restarted: a message ID that it used before may belong to another message now."""
        self._count -= len(self._peers.pop(remote, ()))

    def drop(self, remote: Any, mid: int) -> None:
        held = self._peers.get(remote)
        if held is not None:
            self._count -= held.pop(mid, None) is not None
            if not held:
                del self._peers[remote]
