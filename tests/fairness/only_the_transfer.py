"""A pytest plugin: virtual devices that serve nothing but the transfer while a package is pushed to them.

Every other request is answered 5.03, as Anjay's streaming server does until the transfer is complete or was
idle for EXCHANGE_LIFETIME (avs_coap, `avs_coap_streaming_server.c`); 5.03 says "later" (RFC 7252 section
5.9.3.4), and RFC 7959 section 2.5 lets a server keep the partial body that long.
"""

from __future__ import annotations

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import Request
from bench.virtual.firmware.update import push
from bench.virtual.firmware.update.machine import DOWNLOADING

EXCHANGE_LIFETIME = 247.0
PACKAGE = ("5", "0", "0")

push.PUSH_SILENCE = EXCHANGE_LIFETIME
served = Client._requested


def only_the_transfer(self: Client, request: Request) -> None:
    path = tuple(request.message.all(coap.URI_PATH))
    receiver = self._package_writers[(5, 0, 0)].__self__._receiver  # type: ignore[attr-defined]
    receives = receiver.source is not None and receiver._fota.state == DOWNLOADING
    if receives and path != PACKAGE:
        request.respond(coap.UNAVAILABLE)
    else:
        served(self, request)


Client._requested = only_the_transfer  # type: ignore[method-assign]
