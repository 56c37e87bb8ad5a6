"""CoAP messages: types, options, identifiers, repetition."""

from __future__ import annotations

from typing import Any

from bench.virtual.defects.defect import Area
from bench.virtual.firmware import coap_engine
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.coap_engine import MAX_RETRANSMIT, CoapEngine, Request
from bench.virtual.firmware.coap_message import Message

MESSAGES = Area("CoAP messages")
TOKEN = 4
KNOWN_ELECTIVE = {coap.ETAG, coap.OBSERVE, coap.LOCATION_PATH, coap.CONTENT_FORMAT, coap.SIZE2, coap.SIZE1}


@MESSAGES(CoapEngine, "_heard", source="own", hints=("test_coap.py::test_ping",))
def ping_acknowledged(healthy: Any) -> Any:
    """A ping is answered with an empty acknowledgement, not with Reset."""

    def heard(self: CoapEngine, data: bytes, source: Any) -> None:
        if len(data) == 4 and data[:2] == b"\x40\0":
            mid = int.from_bytes(data[2:], "big")
            self.transmit(coap.encode(Message(coap.ACK, coap.EMPTY, mid)), source)
        else:
            healthy(self, data, source)

    return heard


@MESSAGES(Message, "unknown_critical", source="own", hints=("test_coap.py::test_unknown_critical_option",))
def unknown_critical_option_ignored(healthy: Any) -> Any:
    """A critical option that is not known is passed over like an elective one."""
    return property(lambda self: False)


@MESSAGES(Message, "unknown_critical", source="own", hints=("test_coap.py::test_unknown_elective_option",))
def unknown_elective_option_refused(healthy: Any) -> Any:
    """An elective option that is not known is answered 4.02 like a critical one."""
    known = KNOWN_ELECTIVE | coap._KNOWN_CRITICAL
    return property(lambda self: any(number not in known for number, _ in self.options))


@MESSAGES(CoapEngine, "_requested", source="own", hints=("test_coap.py::test_non_confirmable_request",))
def non_confirmable_request_acknowledged(healthy: Any) -> Any:
    """A non-confirmable request gets an empty acknowledgement beside its response."""

    def requested(self: CoapEngine, message: Message, source: Any) -> None:
        if message.kind == coap.NON:
            self.transmit(coap.encode(Message(coap.ACK, coap.EMPTY, message.mid)), source)
        healthy(self, message, source)

    return requested


@MESSAGES(CoapEngine, "_requested", source="own", hints=("test_coap.py::test_request_that_comes_twice",))
def copies_not_answered(healthy: Any) -> Any:
    """A request that comes again, as its answer was lost, is not answered again."""

    def requested(self: CoapEngine, message: Message, source: Any) -> None:
        if (source, message.mid) not in self._answered:
            healthy(self, message, source)

    return requested


@MESSAGES(Client, "_requested", source="own", hints=("test_coap.py::test_unknown_method",))
def unknown_method_not_answered(healthy: Any) -> Any:
    """A request with a method that the device does not have is acknowledged, and never answered."""
    return lambda self, request: healthy(self, request) if request.message.code <= coap.DELETE else None


@MESSAGES(CoapEngine, "send", source="own", hints=("test_image_sizes.py::test_full_slot[nrf9160",))
def message_ids_of_8_bits(healthy: Any) -> Any:
    """The device's message IDs come round after 256 messages."""

    def send(self: CoapEngine, *message: Any, **how: Any) -> None:
        if self._mid & 0xFF == 0xFF:
            self._mid -= 0x100
        healthy(self, *message, **how)

    return send


@MESSAGES(CoapEngine, "_again", source="own", hints=("test_coap.py::test_retransmission",))
def retransmission_is_a_new_message(healthy: Any) -> Any:
    """A message that is sent again has another message ID each time."""

    def again(self: CoapEngine, key: Any) -> None:
        exchange = self._exchanges.get(key)
        if exchange is not None and exchange.tries < MAX_RETRANSMIT:
            del self._exchanges[key]
            self._mid = (self._mid + 1) & 0xFFFF
            exchange.data = exchange.data[:2] + self._mid.to_bytes(2, "big") + exchange.data[4:]
            key = (key[0], self._mid)
            self._exchanges[key] = exchange
        healthy(self, key)

    return again


@MESSAGES(CoapEngine, "_again", source="own", hints=("test_coap.py::test_retransmission",))
def retransmissions_without_back_off(healthy: Any) -> Any:
    """A message is sent again and again after the same time."""

    def again(self: CoapEngine, key: Any) -> None:
        if key in self._exchanges:
            self._exchanges[key].wait /= 2
        healthy(self, key)

    return again


@MESSAGES(coap_engine, "ACK_TIMEOUT", source="own", hints=("test_coap.py::test_retransmission",))
def acknowledgement_awaited_too_briefly(healthy: Any) -> Any:
    """A message is sent again after 0.2 s, a tenth of the standard's ACK_TIMEOUT."""
    return 0.2


@MESSAGES(Request, "__init__", source="own", hints=("test_coap.py::test_token_is_repeated",))
def tokens_cut_to_four_bytes(healthy: Any) -> Any:
    """Tokens of more than four bytes come back cut."""

    def init(self: Request, engine: CoapEngine, message: Message, source: Any) -> None:
        message.token = message.token[:TOKEN]
        healthy(self, engine, message, source)

    return init


@MESSAGES(Request, "respond", source="own", hints=("test_coap.py::test_token_is_repeated",))
def empty_token_not_taken_for_one(healthy: Any) -> Any:
    """A request without a token is answered with one of the device's own."""

    def respond(self: Request, *answer: Any, **more: Any) -> None:
        self.message.token = self.message.token or b"\0"
        healthy(self, *answer, **more)

    return respond
