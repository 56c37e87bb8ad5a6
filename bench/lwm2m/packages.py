"""Packages for PULL: firmware served block by block, without a copy and without a cache (RFC 7959)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiocoap import CONTENT, GET, Message, error
from aiocoap.pipe import Pipe
from aiocoap.resource import PathCapable, Resource

OCTET_STREAM = 42


@dataclass
class Package:
    """One file on offer.

    `served` is the end of the furthest block sent, `sent` the sum of all blocks sent, in bytes.
    """

    name: str
    data: bytes
    served: int = 0
    sent: int = 0

    def __post_init__(self) -> None:
        self.etag = hashlib.sha256(self.data).digest()[:8]


class PackageShelf(Resource, PathCapable):
    """Serves each block statelessly with ETag and Size2, whatever block size is asked for."""

    def __init__(self, on_block: Callable[[Package], None]) -> None:
        super().__init__()
        self.packages: dict[str, Package] = {}
        self._on_block = on_block

    async def render_to_pipe(self, pipe: Pipe) -> None:
        request: Message = pipe.request
        if request.code is not GET:
            raise error.UnallowedMethod
        package = self.packages.get("/".join(request.opt.uri_path))
        if package is None:
            raise error.NotFound
        pipe.add_response(self._block(package, request), is_last=True)

    def _block(self, package: Package, request: Message) -> Message:
        block = request.opt.block2
        number, exponent = (block.block_number, min(block.size_exponent, 6)) if block else (0, 6)
        size = 1 << (exponent + 4)
        start = number * size
        if start >= len(package.data) and number:
            raise error.BadRequest(f"block {number} of {size} bytes is beyond {len(package.data)} bytes")
        end = min(start + size, len(package.data))
        options: dict[str, Any] = {"etag": package.etag, "content_format": OCTET_STREAM}
        if number == 0:
            options["size2"] = len(package.data)
        more = end < len(package.data)
        if more or number or block is not None:
            options["block2"] = (number, more, exponent)
        package.served = max(package.served, end)
        package.sent += end - start
        self._on_block(package)
        return Message(code=CONTENT, payload=package.data[start:end], **options)
