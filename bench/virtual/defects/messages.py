"""CoAP itself: messages, their IDs and times, responses, and the URI that becomes options."""

from __future__ import annotations

import urllib.parse
from dataclasses import replace
from typing import Any

from bench.virtual.defects.defect import ESP32, Area
from bench.virtual.firmware import coap_engine
from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_engine import CoapEngine
from bench.virtual.firmware.coap_message import Message
from bench.virtual.firmware.downloads import coap_tcp, schemes, source
from bench.virtual.firmware.downloads.blocks import CoapBlocks
from bench.virtual.firmware.dtls import SecureLink
from bench.virtual.firmware.observe import Observations

MESSAGES = Area("CoAP: messages, responses, options")


@MESSAGES(
    CoapEngine,
    "_heard",
    source="own",
    hints=("test_format_error",),
)
def malformed_message_not_reset(healthy: Any) -> Any:
    """A confirmable message with a format error is dropped in silence."""

    def heard(self: CoapEngine, data: bytes, source: Any) -> None:
        try:
            coap.decode(data)
        except ValueError:
            return
        healthy(self, data, source)

    return heard


@MESSAGES(CoapEngine, "_heard", source="own", hints=("test_format_error",))
def long_token_cut_short(healthy: Any) -> Any:
    """Of a token that is longer than 8 bytes the first 8 are taken, and the request is carried out."""

    def heard(self: CoapEngine, data: bytes, source: Any) -> None:
        length = data[0] & 15 if data else 0
        if length > 8:
            data = bytes([data[0] & 0xF0 | 8]) + data[1:12] + data[4 + length :]
        healthy(self, data, source)

    return heard


@MESSAGES(coap_engine, "MAX_RETRANSMIT", source="own", hints=("test_retransmission",))
def repeated_beyond_the_span(healthy: Any) -> Any:
    """A message that is not acknowledged is sent again for minutes."""
    return 6


@MESSAGES(coap_engine, "ACK_TIMEOUT", source="own", hints=("test_retransmission",))
def repeated_too_soon(healthy: Any) -> Any:
    """A message that is not acknowledged is sent again after half a second."""
    return 0.5


@MESSAGES(CoapEngine, "_again", source="own", hints=("test_retransmission",))
def repeated_without_backoff(healthy: Any) -> Any:
    """A message that is not acknowledged is sent again at equal intervals."""

    def again(self: CoapEngine, key: Any) -> None:
        exchange = self._exchanges.get(key)
        if exchange is not None:
            exchange.wait /= 2
        healthy(self, key)

    return again


@MESSAGES(CoapEngine, "_numbered", source="own", hints=("test_message_ids_of_a_download",))
def message_ids_repeat(healthy: Any) -> Any:
    """Message IDs come from a counter of six bits."""

    def numbered(self: CoapEngine, message: Message) -> bytes:
        self._mid = 0x1C40 | (self._mid & 0x3F)
        return healthy(self, message)

    return numbered


@MESSAGES(CoapEngine, "_go_on", source="own", hints=("test_requests_one_after_the_other",))
def requests_side_by_side(healthy: Any) -> Any:
    """A request does not wait for the end of another."""

    def go_on(self: CoapEngine, lane: Any) -> None:
        if not lane[1]:
            healthy(self, lane)
            return
        queue = self._queues[lane]
        while queue:
            self._begin(queue.popleft())

    return go_on


@MESSAGES(CoapEngine, "_go_on", source="own", hints=("test_notifications_one_after_the_other",))
def notifications_side_by_side(healthy: Any) -> Any:
    """A notification does not wait for the acknowledgement of another."""

    def go_on(self: CoapEngine, lane: Any) -> None:
        if lane[1]:
            healthy(self, lane)
            return
        queue = self._queues[lane]
        while queue:
            exchange = queue.popleft()
            if exchange.wanted():
                self._begin(exchange)

    return go_on


@MESSAGES(CoapEngine, "_responded", source="own", hints=("test_separate_responses",))
def separate_response_reset(healthy: Any) -> Any:
    """A response that does not come in the acknowledgement is reset."""
    return lambda self, message, source: self._reject(message, source)


@MESSAGES(CoapEngine, "_responded", source="own", hints=("test_separate_responses",))
def separate_response_must_be_confirmable(healthy: Any) -> Any:
    """Of separate responses only confirmable ones are taken."""

    def responded(self: CoapEngine, message: Message, source: Any) -> None:
        if message.kind == coap.CON:
            healthy(self, message, source)

    return responded


@MESSAGES(CoapEngine, "_responded", source="own", hints=("test_separate_responses",))
def response_before_its_acknowledgement_dropped(healthy: Any) -> Any:
    """A separate response is taken only after the empty acknowledgement."""

    def responded(self: CoapEngine, message: Message, source: Any) -> None:
        pending = [one for one in self._exchanges.values() if one.message.token == message.token]
        if pending:
            self._reject(message, source)
        else:
            healthy(self, message, source)

    return responded


@MESSAGES(CoapEngine, "_acknowledged", source="own", hints=("test_response_to_nobody",))
def piggybacked_token_not_compared(healthy: Any) -> Any:
    """Of a piggybacked response the message ID alone is compared."""

    def acknowledged(self: CoapEngine, message: Message, source: Any) -> None:
        exchange = self._exchanges.get((source, message.mid))
        if exchange is not None and message.code != coap.EMPTY:
            message.token = exchange.message.token
        healthy(self, message, source)

    return acknowledged


@MESSAGES(CoapEngine, "_responded", source="own", hints=("test_response_to_nobody",))
def separate_token_not_compared(healthy: Any) -> Any:
    """A separate response is taken for that to the request that is open, whatever its token."""

    def responded(self: CoapEngine, message: Message, source: Any) -> None:
        held = [token for address, token in self._waiting if address == source]
        if held and message.first(coap.OBSERVE) is None:
            message.token = held[0]
        healthy(self, message, source)

    return responded


@MESSAGES(CoapEngine, "_heard", source="own", hints=("test_response_to_nobody",))
def source_of_a_response_not_compared(healthy: Any) -> Any:
    """A response is taken from whatever address it comes."""

    def heard(self: CoapEngine, data: bytes, source: Any) -> None:
        for address, mid in self._exchanges:
            if len(data) >= 4 and data[1] >= 0x40 and int.from_bytes(data[2:4], "big") == mid:
                source = address
        healthy(self, data, source)

    return heard


@MESSAGES(SecureLink, "_receive", source="own", boards=ESP32, hints=("test_unsecured_response",))
def plain_datagrams_taken_in_a_session(healthy: Any) -> Any:
    """Over DTLS, what comes from the server's address in the clear is taken too."""

    def receive(self: SecureLink, data: bytes, address: Any) -> None:
        # the first byte of a DTLS record is 20 to 25, that of a CoAP message 64 or more
        if data and data[0] >= 64:
            self._heard(data, address)
        else:
            healthy(self, data, address)

    return receive


@MESSAGES(CoapEngine, "_heard", source="own", hints=("test_response_with_a_critical_option",))
def critical_option_of_a_response_ignored(healthy: Any) -> Any:
    """A response is taken although it has a critical option that nobody knows."""

    def heard(self: CoapEngine, data: bytes, source: Any) -> None:
        message = _decoded(data)
        if message is not None and message.code >= 0x40 and message.unknown_critical:
            message.options = [(n, v) for n, v in message.options if n <= coap.SIZE1]
            data = coap.encode(message)
        healthy(self, data, source)

    return heard


def _decoded(data: bytes) -> Message | None:
    try:
        return coap.decode(data)
    except ValueError:
        return None


@MESSAGES(schemes, "parse", source="own", hints=("test_uri_with_a_fragment",))
def fragment_of_a_uri_left_off(healthy: Any) -> Any:
    """What stands behind the # of a Package URI is left off, and the rest fetched."""
    return lambda uri, ports: healthy(uri.partition("#")[0], ports)


@MESSAGES(schemes, "parse", source="seen in a client's source", hints=("test_uri_becomes_options",))
def query_of_a_uri_left_encoded(healthy: Any) -> Any:
    """The query of a Package URI is asked for with its percent-encoding."""

    def parse(uri: str, ports: Any) -> Any:
        found = healthy(uri, ports)
        raw = urllib.parse.urlsplit(uri).query
        return found and replace(found, query=tuple(raw.split("&")) if raw else ())

    return parse


@MESSAGES(schemes, "parse", source="own", hints=("test_uri_becomes_options",))
def query_of_a_uri_dropped(healthy: Any) -> Any:
    """The query of a Package URI is not asked for."""

    def parse(uri: str, ports: Any) -> Any:
        found = healthy(uri, ports)
        return found and replace(found, query=())

    return parse


@MESSAGES(CoapBlocks, "_taken", source="own", hints=("test_smaller_blocks_than_asked_for",))
def block_size_of_the_answer_ignored(healthy: Any) -> Any:
    """Every request has the block size that the device likes best, whenever the offset allows it."""

    def taken(self: CoapBlocks, answer: Message) -> bytes:
        payload: bytes = healthy(self, answer)
        while self._exponent < self.first_exponent and self._offset % (1 << (self._exponent + 5)) == 0:
            self._exponent += 1
        return payload

    return taken


@MESSAGES(CoapBlocks, "_taken", source="seen in a client's source", hints=("test_wrong_size_announced",))
def announced_size_ends_the_download(healthy: Any) -> Any:
    """A download over CoAP is complete when as many bytes have come as were announced."""

    def taken(self: CoapBlocks, answer: Message) -> bytes:
        payload: bytes = healthy(self, answer)
        self._announced = answer.uint(coap.SIZE2) or getattr(self, "_announced", 0)  # type: ignore[attr-defined]
        if self.failure is None and 0 < self._announced <= self._offset:  # type: ignore[attr-defined]
            self.complete = True
        return payload

    return taken


@MESSAGES(CoapBlocks, "_taken", source="own", hints=("test_wrong_size_announced",))
def announced_size_must_be_right(healthy: Any) -> Any:
    """A download over CoAP fails when it is not as long as was announced."""

    def taken(self: CoapBlocks, answer: Message) -> bytes:
        payload: bytes = healthy(self, answer)
        self._announced = answer.uint(coap.SIZE2) or getattr(self, "_announced", 0)  # type: ignore[attr-defined]
        if self.complete and self._announced not in (0, self._offset):  # type: ignore[attr-defined]
            self.complete = False
            return self._fail(source.LOST)
        return payload

    return taken


@MESSAGES(coap_tcp, "_framed", source="own", hints=("test_connection_begins_with_a_csm",))
def no_csm(healthy: Any) -> Any:
    """A connection over TCP begins with the first request."""
    return lambda message: b"" if message.code == coap_tcp.CSM else healthy(message)


@MESSAGES(coap_tcp, "_framed", source="own", hints=("test_ping_over_tcp",))
def ping_not_answered(healthy: Any) -> Any:
    """A Ping over TCP gets no Pong."""
    return lambda message: b"" if message.code == coap_tcp.PONG else healthy(message)


@MESSAGES(coap_tcp, "_framed", source="own", hints=("test_ping_over_tcp",))
def pong_without_its_token(healthy: Any) -> Any:
    """A Pong has no token."""
    return lambda message: healthy(replace(message, token=b"") if message.code == coap_tcp.PONG else message)


class _Apart(tuple[int, ...]):
    """A path that is like no other."""

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


@MESSAGES(Observations, "add", source="own", hints=("test_observed_twice_with_one_token",))
def observed_twice_told_twice(healthy: Any) -> Any:
    """Who observes once more with the same token has two observations."""

    def add(self: Observations, path: Any, token: bytes, source: Any, accept: int | None = None) -> int:
        held = self._observers.pop((source, path), None)
        if held is not None and held.token == token:
            held.path = _Apart(path)
            self._observers[source, held.path] = held
        sequence: int = healthy(self, path, token, source, accept)
        return sequence

    return add
