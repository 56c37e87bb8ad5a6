"""Information reporting by LwM2M Send (1.1 and later): POST /dp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiocoap import CHANGED, Message, error
from aiocoap.resource import Resource

from bench.lwm2m.assembly import RepeatableSpool
from bench.lwm2m.codecs import senml
from bench.lwm2m.codecs.error import CodecError

SENML_JSON, SENML_CBOR = 110, 112
DECODERS: dict[int, Callable[[bytes], dict[str, Any]]] = {
    SENML_JSON: senml.decode_json,
    SENML_CBOR: senml.decode_cbor,
}


class ReportInterface(Resource):
    """`reported(remote, {path: value})` hears every Send of a registered device."""

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
        decode = DECODERS.get(-1 if content_format is None else int(content_format))
        if decode is None:
            raise error.UnsupportedContentFormat
        try:
            values = decode(request.payload)
        except CodecError as reason:
            raise error.BadRequest(str(reason)) from None
        self._reported(request.remote, values)
        return Message(code=CHANGED)
