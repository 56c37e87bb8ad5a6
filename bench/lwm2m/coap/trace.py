"""CoAP messages as timeline entries.

Message IDs, tokens and ports are left out: they differ from run to run and say nothing to a reader.
"""

from __future__ import annotations

from typing import Any

from aiocoap import Message
from aiocoap.numbers.codes import EMPTY

from bench.lwm2m.coap.capture import Capture
from bench.timeline import Timeline

SHOWN_PAYLOAD = 48
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
        parts.append("/" + "/".join(message.opt.uri_path) + (f"?{query}" if query else ""))
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
    """Writes every message to the timeline, under the endpoint name where it is known, and to the capture."""

    def __init__(self, timeline: Timeline, capture: Capture) -> None:
        self._timeline = timeline
        self._capture = capture
        self.names: dict[Any, str] = {}

    def received(self, address: Any, message: Message, data: bytes) -> None:
        """`data` is the message as it came, after decryption."""
        self._capture.add(address, True, data)
        self._timeline.record(self.names.get(address, "?"), "coap", "-> " + describe(message))

    def sent(self, address: Any, message: Message, data: bytes) -> None:
        if getattr(message, "secret", False):  # credentials: their length is told, no more
            data = data[: len(data) - len(message.payload)] + bytes(len(message.payload))
        self._capture.add(address, False, data)
        self._timeline.record(self.names.get(address, "?"), "coap", "<- " + describe(message))

    def junk(self, address: Any, size: int, why: str) -> None:
        self._timeline.record(
            self.names.get(address, "?"), "coap", f"-> {size} bytes that are no CoAP: {why}"
        )
