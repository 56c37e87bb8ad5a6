"""The CoAP door: each block stateless, without a copy and without a cache (RFC 7959)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiocoap import CONTENT, GET, NOT_FOUND, SERVICE_UNAVAILABLE, VALID, Message, error
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption
from aiocoap.pipe import Pipe
from aiocoap.resource import PathCapable, Resource

from bench.packages.address import PackageAddress
from bench.packages.misbehaviour import Forgery
from bench.packages.shelf import Asked, Package, Shelf

OCTET_STREAM = 42
CRITICAL = 2039
"""An option number that nobody has assigned; odd ones are critical (RFC 7252 section 5.4.6)."""
WITH_OPTION = f"with critical option {CRITICAL}"
LARGEST = 6
"""Exponent of the largest block; 7 asks for several of them at once (RFC 8323, section 6), and gets one."""
CODES = {"4.04": NOT_FOUND, "5.03": SERVICE_UNAVAILABLE}


class CoapDoor(Resource, PathCapable):
    """Serves each block with ETag and Size2, whatever block size is asked for; 2.03 to who has it all.

    `unheard(request)` makes a request as good as lost on its way, where the transport can lose one;
    `forge(request, answer, how)` has somebody answer it who should not be believed, where that can be.
    """

    def __init__(
        self,
        shelf: Shelf,
        name: str = "coap",
        unheard: Callable[[Message], None] = lambda request: None,
        forge: Callable[[Message, Message, Forgery], None] = lambda request, answer, how: None,
    ) -> None:
        super().__init__()
        self._shelf = shelf
        self._name = name
        self._unheard = unheard
        self._forge = forge

    async def render_to_pipe(self, pipe: Pipe) -> None:
        request: Message = pipe.request
        if request.code is not GET:
            raise error.UnallowedMethod
        asked = PackageAddress(tuple(request.opt.uri_path), tuple(request.opt.uri_query))
        package = self._shelf.find(self._name, asked)
        if package is None:
            raise error.NotFound
        package.asked.append(_asked(request))
        refusal = package.refusal()
        if refusal is not None:
            options = {} if refusal.retry_after is None else {"max_age": refusal.retry_after}
            package.note(self._name, 0, 0, refusal.code)
            pipe.add_response(Message(code=CODES[refusal.code], **options), is_last=True)
            return
        if request.opt.accept not in (None, OCTET_STREAM):
            raise error.NotAcceptable
        message = await self._block(package, request)
        if message is not None:
            pipe.add_response(message, is_last=True)

    async def _block(self, package: Package, request: Message) -> Message | None:
        block, largest = request.opt.block2, min(LARGEST, request.remote.maximum_block_size_exp)
        exponent = min(block.size_exponent, largest) if block else largest
        # a smaller block than was asked for begins where that one does (RFC 7959, 2.4)
        start = block.block_number * (16 << min(block.size_exponent, LARGEST)) if block else 0
        number = start // (16 << exponent)
        if start >= len(package.data) and number:
            size = 1 << (exponent + 4)
            raise error.BadRequest(f"block {number} of {size} bytes is beyond {len(package.data)} bytes")
        if package.largest_block is not None:
            exponent = min(exponent, package.largest_block.bit_length() - 5)
        size = 16 << exponent
        number = start // size
        if number == 0 and package.etag in request.opt.etags:
            package.note(self._name, 0, 0, "2.03")
            return Message(code=VALID, etag=package.etag)
        end = min(start + size, len(package.data))
        if package.room(end - 1) == 0 and package.cuts_at(end - 1):
            package.note(self._name, start, 0, "cut")
            self._break_off(request)
            return None
        await package.pause(end - 1, end - start)
        options: dict[str, Any] = {"etag": package.etag, "content_format": OCTET_STREAM}
        if number == 0:
            options["size2"] = package.announced
        more = end < len(package.data)
        if more or number or block is not None:
            options["block2"] = (number, more, exponent)
        payload = package.data[start:end]
        for how in package.forgeries(start):
            package.note(self._name, start, 0, f"forged {how.value}")
            self._forge(request, Message(code=CONTENT, payload=_other(payload), **options), how)
        answer = Message(code=CONTENT, payload=payload, **options)
        hidden = package.hides_an_option(start)
        if hidden:
            answer.opt.add_option(OpaqueOption(OptionNumber(CRITICAL), b"?"))
        package.note(self._name, start, end - start, WITH_OPTION if hidden else "")
        package.pass_on(end)
        return answer

    def _break_off(self, request: Message) -> None:
        """A cut: over UDP there is no connection, so the request stays without even an acknowledgement.

        An acknowledged request is not repeated, and how long its response may take is left open (RFC 7252
        sections 4.2 and 5.2.2): that would be a server that thinks, not a path that is gone.
        """
        self._unheard(request)


def _asked(request: Message) -> Asked:
    block = request.opt.block2
    size = None if block is None else 1 << (min(block.size_exponent, 6) + 4)
    return Asked(tuple(request.opt.uri_path), tuple(request.opt.uri_query), size)


def _other(payload: bytes) -> bytes:
    """As many bytes, and none of them the same."""
    return bytes(byte ^ 0xFF for byte in payload)
