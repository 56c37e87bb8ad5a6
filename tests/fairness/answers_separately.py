"""A pytest plugin: virtual devices that acknowledge every request first, and answer it half a second later.

A separate response is as good as a piggybacked one (RFC 7252 section 5.2.2); clients with a queue between
their network and their objects send nothing else.
"""

from __future__ import annotations

from bench.virtual.firmware.coap_engine import Request

LATER = 0.5
respond = Request.respond


def separately(
    self: Request, code: int, payload: bytes = b"", options: list[tuple[int, bytes]] | None = None
) -> None:
    if self._timer is not None and not self._acknowledged:
        self._timer.cancel()
        self._acknowledge()
    self._engine.machine.cpu.after(LATER, lambda: respond(self, code, payload, options))


Request.respond = separately  # type: ignore[method-assign]
