"""A pytest plugin: virtual devices that answer Discover with 4.05, as clients do that have only Read."""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.data_model import Path


def discover(self: Client, request: Request, path: Path) -> None:
    request.respond(coap.NOT_ALLOWED)


Client._discover = discover  # type: ignore[method-assign]
