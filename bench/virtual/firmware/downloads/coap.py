"""PULL: the device fetches a package block by block (RFC 7959, Block2), patiently, minding the ETag."""

from __future__ import annotations

from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.process import Signal, Steps


class CoapDownload(CoapBlocks):
    """Asks for blocks of 512 bytes, as Zephyr's client does."""

    first_exponent = 5

    def _ask(self) -> Steps:
        if self._source.scheme == "coaps":
            self._means.link.secure(self._source.address)
        answered = Signal()
        self._means.engine.request(self._request(), self._source.address, answered.send)
        return (yield answered)
