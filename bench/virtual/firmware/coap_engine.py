"""The device's CoAP message layer: retransmission, de-duplication, separate responses (RFC 7252)."""

from __future__ import annotations

import random
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bench.virtual.firmware import coap_message as coap
from bench.virtual.firmware.coap_message import Message
from bench.virtual.machine import Machine
from bench.virtual.radio.modem import Address
from bench.virtual.scheduler import Handle

ACK_TIMEOUT = 2.0
MAX_RETRANSMIT = 4
NSTART = 1
"""Confirmable messages that may be open with one endpoint: requests (RFC 7252, 4.7), and notifications and
separate responses beside them (RFC 7641, 4.5.1)."""
SEPARATE_AFTER = 1.0
"""Seconds after which a request still being worked on gets its empty acknowledgement."""
RESPONSE_LIMIT = 60.0
"""Seconds to wait for the response after an empty acknowledgement."""
REMEMBERED = 32
"""Exchanges kept for de-duplication; an embedded engine has little memory."""
EXCHANGE_LIFETIME = 247.0
FIRST_RESPONSE, LAST_RESPONSE = 0x40, 0xBF
"""Codes of classes 2 to 5; 1, 6 and 7 are reserved (RFC 7252, section 3)."""


class Link(Protocol):
    """What carries datagrams: the modem, or DTLS over it."""

    def send(self, data: bytes, address: Address) -> None: ...
    def listen(self, heard: Callable[[bytes, Address], None]) -> None: ...


class Request:
    """An incoming request; answered at once or later by `respond`, exactly once."""

    def __init__(self, engine: CoapEngine, message: Message, source: Address) -> None:
        self.message = message
        self.source = source
        self._engine = engine
        self._acknowledged = False
        self._done = False
        self._timer: Handle | None = None
        if message.kind == coap.CON:
            self._timer = engine.machine.cpu.after(SEPARATE_AFTER, self._acknowledge)

    def _acknowledge(self) -> None:
        self._acknowledged = True
        self._engine.remember(self.source, self.message.mid, self._engine.empty(coap.ACK, self))

    def ignore(self) -> None:
        """Take it as never received; its retransmission is a new chance."""
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        self._engine.forget(self.source, self.message.mid)

    def respond(
        self, code: int, payload: bytes = b"", options: list[tuple[int, bytes]] | None = None
    ) -> None:
        if self._done:
            return
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        response = Message(coap.NON, code, token=self.message.token, options=options or [], payload=payload)
        if self.message.kind == coap.CON and not self._acknowledged:
            response.kind, response.mid = coap.ACK, self.message.mid
            self._engine.remember(self.source, self.message.mid, coap.encode(response))
            self._engine.transmit(coap.encode(response), self.source)
        else:
            kind = coap.CON if self.message.kind == coap.CON else coap.NON
            self._engine.send(response, self.source, kind)


@dataclass
class _Exchange:
    """A confirmable message on its way out. `ended` hears "acknowledged", "reset" or "timeout"."""

    destination: Address
    message: Message
    ended: Callable[[str], None]
    wanted: Callable[[], bool]
    data: bytes = b""
    tries: int = 0
    wait: float = 0.0
    timer: Handle | None = None

    @property
    def lane(self) -> Lane:
        return self.destination, self.message.code < FIRST_RESPONSE


Lane = tuple[Address, bool]
"""What NSTART limits: the requests to one endpoint, or else the responses."""


class CoapEngine:
    """One peer-to-peer CoAP endpoint on a link."""

    def __init__(self, machine: Machine, link: Link, rng: random.Random) -> None:
        self.machine = machine
        self.on_request: Callable[[Request], None] = lambda request: None
        self._link = link
        self._rng = rng
        self._mid = rng.randrange(0x10000)
        self._token = rng.randrange(1 << 32)
        self._exchanges: dict[tuple[Address, int], _Exchange] = {}
        self._queues: defaultdict[Lane, deque[_Exchange]] = defaultdict(deque)
        self._waiting: dict[tuple[Address, bytes], Callable[[Message | None], None]] = {}
        self._answered: OrderedDict[tuple[Address, int], tuple[float, bytes | None]] = OrderedDict()
        link.listen(self._heard)

    # ---- out

    def transmit(self, data: bytes, destination: Address) -> None:
        self._link.send(data, destination)

    def empty(self, kind: int, request: Request) -> bytes:
        """Send an empty ACK or RST for a request; returns its bytes."""
        data = coap.encode(Message(kind, coap.EMPTY, request.message.mid))
        self.transmit(data, request.source)
        return data

    def send(
        self,
        message: Message,
        destination: Address,
        kind: int = coap.CON,
        ended: Callable[[str], None] = lambda how: None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Send a message of our own; a confirmable one with retransmission, and when NSTART allows it.

        `wanted` is asked when its turn comes.
        """
        message.kind = kind
        if kind != coap.CON:
            self.transmit(self._numbered(message), destination)
            return
        exchange = _Exchange(destination, message, ended, wanted)
        self._queues[exchange.lane].append(exchange)
        self._go_on(exchange.lane)

    def _numbered(self, message: Message) -> bytes:
        self._mid = (self._mid + 1) & 0xFFFF
        message.mid = self._mid
        return coap.encode(message)

    def _go_on(self, lane: Lane) -> None:
        """Begin what waits in this lane, as far as NSTART allows."""
        queue = self._queues[lane]
        while queue and sum(exchange.lane == lane for exchange in self._exchanges.values()) < NSTART:
            exchange = queue.popleft()
            if exchange.wanted():
                self._begin(exchange)

    def _begin(self, exchange: _Exchange) -> None:
        exchange.data = self._numbered(exchange.message)
        exchange.wait = ACK_TIMEOUT * self._rng.uniform(1.0, 1.5)
        key = (exchange.destination, exchange.message.mid)
        self._exchanges[key] = exchange
        exchange.timer = self.machine.cpu.after(exchange.wait, lambda: self._again(key))
        self.transmit(exchange.data, exchange.destination)

    def _end(self, key: tuple[Address, int]) -> _Exchange | None:
        """The exchange is over; it is not repeated any more."""
        exchange = self._exchanges.pop(key, None)
        if exchange is not None and exchange.timer is not None:
            exchange.timer.cancel()
        return exchange

    def request(
        self, message: Message, destination: Address, answered: Callable[[Message | None], None]
    ) -> None:
        """Send a request; `answered` gets the response, or None when there is none."""
        self._token = (self._token + 1) & 0xFFFFFFFF
        token = message.token = self._token.to_bytes(4, "big")
        self._waiting[destination, token] = answered

        def give_up() -> None:
            waiting = self._waiting.pop((destination, token), None)
            if waiting is not None:
                waiting(None)

        def ended(how: str) -> None:
            if how == "acknowledged":  # an empty ACK: the response comes separately, or never
                self.machine.cpu.after(RESPONSE_LIMIT, give_up)
            else:
                give_up()

        self.send(message, destination, ended=ended)

    def _again(self, key: tuple[Address, int]) -> None:
        exchange = self._exchanges.get(key)
        if exchange is None:
            return
        if exchange.tries >= MAX_RETRANSMIT:
            self._end(key)
            exchange.ended("timeout")
            self._go_on(exchange.lane)
            return
        exchange.tries += 1
        exchange.wait *= 2
        exchange.timer = self.machine.cpu.after(exchange.wait, lambda: self._again(key))
        self.transmit(exchange.data, exchange.destination)

    # ---- in

    def _heard(self, data: bytes, source: Address) -> None:
        try:
            message = coap.decode(data)
        except ValueError:
            if len(data) >= 4 and data[0] >> 4 == 0b0100:  # a confirmable one is rejected (RFC 7252, 4.2)
                mid = int.from_bytes(data[2:4], "big")
                self.transmit(coap.encode(Message(coap.RST, coap.EMPTY, mid)), source)
            return
        if message.kind in (coap.ACK, coap.RST):
            self._acknowledged(message, source)
        elif message.code and message.code < 0x20:
            self._requested(message, source)
        elif FIRST_RESPONSE <= message.code <= LAST_RESPONSE:
            self._responded(message, source)
        else:  # a ping, or a code of a reserved class
            self._reject(message, source)

    def _reject(self, message: Message, source: Address) -> None:
        """RFC 7252, 4.2 and 4.3: a confirmable message is reset, any other ignored."""
        if message.kind == coap.CON:
            self.transmit(coap.encode(Message(coap.RST, coap.EMPTY, message.mid)), source)

    def _acknowledged(self, message: Message, source: Address) -> None:
        key = (source, message.mid)
        exchange = self._exchanges.get(key)
        if exchange is None or not self._matches(message, exchange):
            return
        self._end(key)
        if message.kind == coap.ACK and message.code != coap.EMPTY:
            waiting = self._waiting.pop((source, message.token), None)
            if waiting is not None:
                waiting(message)
        else:
            exchange.ended("reset" if message.kind == coap.RST else "acknowledged")
        self._go_on(exchange.lane)

    def _matches(self, message: Message, exchange: _Exchange) -> bool:
        """Whether it ends the exchange: a piggybacked response must be its own (RFC 7252, 5.3.2, 5.4.1)."""
        if message.kind == coap.RST or message.code == coap.EMPTY:
            return True
        return message.token == exchange.message.token and not message.unknown_critical

    def _responded(self, message: Message, source: Address) -> None:
        """A separate response."""
        if message.unknown_critical:
            self._reject(message, source)
            return
        waiting = self._waiting.pop((source, message.token), None)
        known = waiting is not None or (source, message.mid) in self._answered
        if message.kind == coap.CON:
            kind = coap.ACK if known else coap.RST
            data = coap.encode(Message(kind, coap.EMPTY, message.mid))
            self.remember(source, message.mid, data)
            self.transmit(data, source)
        if waiting is not None:
            self._stop_sending(message.token, source)
            waiting(message)
            self._go_on((source, True))

    def _stop_sending(self, token: bytes, destination: Address) -> None:
        """A response acknowledges its request, should the acknowledgement be lost (RFC 7252, 5.2.2)."""
        for key, exchange in tuple(self._exchanges.items()):
            if key[0] == destination and exchange.message.token == token:
                self._end(key)

    def _requested(self, message: Message, source: Address) -> None:
        key = (source, message.mid)
        known = self._answered.get(key)
        if known is not None and self.machine.now() - known[0] < EXCHANGE_LIFETIME:
            if known[1] is not None and message.kind == coap.CON:
                self.transmit(known[1], source)
            return
        self.remember(source, message.mid, None)
        request = Request(self, message, source)
        if message.unknown_critical:
            request.respond(coap.BAD_OPTION)
        else:
            self.on_request(request)

    def forget(self, source: Address, mid: int) -> None:
        self._answered.pop((source, mid), None)

    def remember(self, source: Address, mid: int, answer: bytes | None) -> None:
        key = (source, mid)
        self._answered.pop(key, None)
        self._answered[key] = (self.machine.now(), answer)
        while len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)
