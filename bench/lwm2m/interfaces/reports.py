"""Information reporting by LwM2M Send (1.1 and later): POST /dp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiocoap import CHANGED, Message, error
from aiocoap.resource import Resource

from bench.lwm2m.coap.assembly import RepeatableSpool
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of
from bench.lwm2m.model import content

FORMATS = (content.SENML_JSON, content.SENML_CBOR, content.LWM2M_CBOR)


class ReportInterface(Resource):
    """`reported(remote, {path: value})` hears every Send of a registered device.

    Values of several times in one Send are heard one after the other, oldest first.
    """

    def __init__(
        self, is_known: Callable[[Any], bool], reported: Callable[[Any, dict[str, Any]], None]
    ) -> None:
        super().__init__()
        self._block1 = RepeatableSpool()
        self._is_known = is_known
        self._reported = reported

    async def render_post(self, request: Message) -> Message:
        if not self._is_known(request.remote):
            raise error.NotFound
        content_format = request.opt.content_format
        if content_format is None or int(content_format) not in FORMATS:
            raise error.UnsupportedContentFormat
        try:
            found = content.history(int(content_format), (), request.payload)
        except CodecError as reason:
            raise error.BadRequest(str(reason)) from None
        for _, values in found:
            self._reported(request.remote, {name_of(path): value for path, value in values.items()})
        return Message(code=CHANGED)
