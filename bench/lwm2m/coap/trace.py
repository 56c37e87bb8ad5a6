"""CoAP messages as timeline entries.

Message IDs, tokens and ports are left out: they differ from run to run and say nothing to a reader.
"""

from __future__ import annotations

from typing import Any

from aiocoap import Message
from aiocoap.numbers.codes import EMPTY

from bench.allowance import Allowance
from bench.lwm2m.coap.capture import Capture
from bench.timeline import Timeline

SHOWN_PAYLOAD = 48
SHOWN_PATH = 200
BURST, RATE = 10_000, 100.0
"""Messages of other clients than the bench's, at once and a second: a download is many, a flood is more."""
_TEXT_FORMATS = {None, 0, 40}


def describe(message: Message) -> str:
    """One line: type, code, path or options that matter, payload in short."""
    flaw = getattr(message, "flaw", "")
    if flaw:
        return f"{message.mtype.name} with a format error: {flaw}"
    if message.code is EMPTY:
        return str(message.mtype.name)
    parts = [message.mtype.name]
    if message.code.is_request():
        parts.append(message.code.name)
        query = "&".join(message.opt.uri_query)
        path = "/" + "/".join(message.opt.uri_path) + (f"?{query}" if query else "")
        parts.append(path if len(path) <= SHOWN_PATH else path[:SHOWN_PATH] + "…")
    else:
        parts.append(message.code.dotted)
        if message.opt.location_path:
            parts.append("at /" + "/".join(message.opt.location_path))
    if message.opt.observe is not None:
        parts.append(f"observe {message.opt.observe}")
    for name in ("block1", "block2"):
        block = getattr(message.opt, name)
        if block is not None:
            more = "+" if block.more else "."
            parts.append(f"{name} {block.block_number}{more}{1 << (block.size_exponent + 4)}")
    if message.opt.content_format is not None:
        parts.append(f"ct {int(message.opt.content_format)}")
    if message.payload:
        parts.append(_payload(message))
    return " ".join(parts)


def _payload(message: Message) -> str:
    data = message.payload
    kind = message.opt.content_format
    if (kind is None or int(kind) in _TEXT_FORMATS) and len(data) <= 400:
        text = data.decode("utf-8", "backslashreplace")
        if text.isprintable():
            return text if len(text) <= SHOWN_PAYLOAD * 3 else text[: SHOWN_PAYLOAD * 3] + "…"
    return f"({len(data)} bytes)"


class Trace:
    """Writes every message to the timeline, under the endpoint name where it is known, and to the capture.

    Of those that belong to no device of the bench only so many are put down; how many were not is told by
    the next that is, and by `tell_missed`.
    """

    def __init__(self, timeline: Timeline, capture: Capture) -> None:
        self._timeline = timeline
        self._capture = capture
        self._strangers = Allowance(timeline.now, BURST, RATE)
        self._told = 0
        self.names: dict[Any, str] = {}
        """Endpoint name by peer: who was heard, and what he had proved, not only from where."""
        self.awaited: frozenset[str] = frozenset()
        """Endpoints of which everything is put down."""

    def received(self, peer: Any, message: Message, data: bytes) -> None:
        """`data` is the message as it came, after decryption."""
        if self._is_put_down(peer):
            self._capture.add(peer.address, True, data)
            self.note(peer, "coap", "-> " + describe(message))

    def sent(self, peer: Any, message: Message, data: bytes) -> None:
        if not self._is_put_down(peer):
            return
        if getattr(message, "secret", False):  # credentials: their length is told, no more
            data = data[: len(data) - len(message.payload)] + bytes(len(message.payload))
        self._capture.add(peer.address, False, data)
        self.note(peer, "coap", "<- " + describe(message))

    def junk(self, peer: Any, size: int, why: str) -> None:
        if self._is_put_down(peer):
            self.note(peer, "coap", f"-> {size} bytes that are no CoAP: {why}")

    def refused(self, kind: str, text: str) -> None:
        """What somebody unknown wanted, and was not given."""
        if self._is_put_down(None):
            self.note(None, kind, text)

    def admits(self, endpoint: str) -> bool:
        """Whether what concerns this endpoint is to be put down once more."""
        return endpoint in self.awaited or self._strangers.take()

    def note(self, peer: Any, kind: str, text: str) -> None:
        self._timeline.record(self.names.get(peer, "?"), kind, text)

    def _is_put_down(self, peer: Any) -> bool:
        if self.names.get(peer) in self.awaited:
            return True
        if not self._strangers.take():
            return False
        self.tell_missed()
        return True

    @property
    def missed(self) -> int:
        """Messages of strangers that were not put down."""
        return self._strangers.missed

    def tell_missed(self) -> None:
        """Put down how many were not, since it was last told."""
        if self.missed > self._told:
            self._timeline.record(
                "server",
                "dropped",
                f"{self.missed - self._told} messages of other clients were not recorded",
                dropped=self.missed - self._told,
            )
            self._told = self.missed
