"""Requests to one registered device, on the bench's loop: how they are sent, and how they fail."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from aiocoap import Message, error
from aiocoap.numbers.codes import Code

from bench.errors import DeviceAnswer, DeviceError
from bench.lwm2m.coap import bodies
from bench.lwm2m.coap.layers import UnreadableResponse
from bench.lwm2m.coap.tuning import RequestTuning
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management.exchange import Exchange

REQUEST_LIMIT = 150.0
"""Bench seconds for one request: its retransmissions (93 s), and time for a separate response."""


class NotReachable(DeviceError):
    """The device did not answer."""


class CoapError(DeviceAnswer):
    """The device answered with an error code: the product's answer, for a testcase to judge."""

    def __init__(self, request: str, code: Code, max_age: int | None = None) -> None:
        super().__init__(f"{request} was answered {code.dotted} ({code.name.replace('_', ' ').title()})")
        self.code = code
        self.dotted = code.dotted
        self.max_age = max_age
        """Seconds after which it may be asked again, where the answer says so (5.03)."""


class Requester:
    """Sends requests to the device behind a registration. Everything runs on the bench's loop."""

    def __init__(self, exchange: Exchange, registration: Registration) -> None:
        self.exchange = exchange
        self.registration = registration

    def message(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> Message:
        message = Message(
            code=code,
            uri_path=self.parts(path),
            payload=payload,
            transport_tuning=RequestTuning(),
            **options,
        )
        message.remote = self.registration.remote
        return message

    def parts(self, path: str) -> tuple[str, ...]:
        """The path on the device, below its alternate path if it has one."""
        return tuple(part for part in f"{self.registration.root}/{path}".split("/") if part)

    async def ask(self, message: Message, what: str) -> Message:
        """Send a request of any size and return its whole response.

        Raises `CoapError`, `NotReachable`, or `DeviceError` when the response's blocks do not fit together.
        """
        return await self.judged(bodies.whole_exchange(self.send, message), what)

    async def completed(self, request: Message, first: Message, what: str) -> Message:
        """The whole of a response whose first block is here. Raises as `ask`."""
        return await self.judged(bodies.whole_answer(self.send, request, first), what)

    async def send(self, message: Message) -> Message:
        """Send one message and return its response, whatever its code. Raises aiocoap's errors."""
        # the device may have moved to another address since the first block
        message.remote = self.registration.remote
        return await self.exchange.respond(message, self.registration, REQUEST_LIMIT)

    async def judged(self, answer: Awaitable[Message], what: str) -> Message:
        """The answer when it is a success. Raises as `ask`."""
        endpoint = self.registration.endpoint
        try:
            response = await answer
        except UnreadableResponse as reason:
            raise self.unreadable(what, reason) from None
        except (error.Error, TimeoutError, OSError) as failure:
            raise NotReachable(
                f"{endpoint}: no answer to {what}: {failure or type(failure).__name__}",
                help="is the device powered, attached and awake? see its console in the timeline",
            ) from None
        except CodecError as reason:
            raise self.unreadable(what, reason) from None
        if not response.code.is_successful():
            raise CoapError(f"{endpoint}: {what}", response.code, response.opt.max_age)
        return response

    def unreadable(self, what: str, reason: CodecError | UnreadableResponse) -> DeviceError:
        return DeviceError(
            f"{self.registration.endpoint}: the answer to {what} cannot be read: {reason}",
            help="the device's payload does not follow its content format; see the CoAP trace",
        )
