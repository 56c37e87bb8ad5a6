"""A pytest plugin: virtual devices that answer a request to observe with the value alone.

A server that is unable or unwilling to add an observer treats it as a plain GET (RFC 7641 section 4.1).
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.data_model import Path

get = Client._get


def without_observe(self: Client, request: Request, path: Path) -> None:
    message = request.message
    message.options = [option for option in message.options if option[0] != coap.OBSERVE]
    get(self, request, path)


Client._get = without_observe  # type: ignore[method-assign]
