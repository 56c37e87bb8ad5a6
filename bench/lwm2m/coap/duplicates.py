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

    def __len__(self) -> int:
        return sum(map(len, self._peers.values()))

    def find(self, remote: Any, mid: int) -> Recent | None:
        held = self._peers.get(remote)
        recent = held.get(mid) if held is not None else None
        return None if recent is None or self._now() - recent.at > LIFETIME else recent

    def add(self, remote: Any, mid: int, token: bytes) -> None:
        held = self._peers.setdefault(remote, OrderedDict())
        held.pop(mid, None)
        held[mid] = Recent(token, self._now())
        if len(held) > PER_PEER:
            held.popitem(last=False)
        self._peers.move_to_end(remote)
        if len(self._peers) > PEERS:
            self._peers.popitem(last=False)

    def forget(self, remote: Any) -> None:
        """The peer has restarted: a message ID that it used before may belong to another message now."""
        self._peers.pop(remote, None)

    def drop(self, remote: Any, mid: int) -> None:
        held = self._peers.get(remote)
        if held is not None:
            held.pop(mid, None)
            if not held:
                del self._peers[remote]
