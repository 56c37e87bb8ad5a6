"""Requests to one registered device, on the bench's loop: how they are sent, and how they fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiocoap import FETCH, GET, Message, error
from aiocoap.numbers.codes import Code

from bench.errors import ServerError
from bench.lwm2m.exchange import Exchange
from bench.lwm2m.registration import Registration
from bench.lwm2m.tuning import BlockTuning

REQUEST_LIMIT = 300.0
"""Bench seconds for one request, retransmissions and a separate response included."""


class NotReachable(ServerError):
    """The device did not answer."""


class CoapError(Exception):
    """The device answered with an error code: the product's answer, for a testcase to judge."""

    def __init__(self, request: str, code: Code) -> None:
        super().__init__(f"{request} was answered {code.dotted} ({code.name.replace('_', ' ').title()})")
        self.code = code
        self.dotted = code.dotted


@dataclass
class Observation:
    """A running observation; `cancel()` on the bench's loop tells the device by Observe 1 (RFC 7641, 3.6)."""

    path: str
    _request: Any
    _requester: Requester
    _again: Callable[[], Message]
    _token: bytes

    async def cancel(self) -> None:
        self.drop()
        message = self._again()
        message.token = self._token  # a device knows the observation by it
        message.opt.observe = 1
        await self._requester.ask(message, f"cancel observation of {self.path}")

    def drop(self) -> None:
        """Stop listening without telling the device (it has restarted, or is switched off)."""
        if self._request.observation is not None and not self._request.observation.cancelled:
            self._request.observation.cancel()
        self._request._stop_interest()  # else its token stays known until the next notification


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
            transport_tuning=BlockTuning(),
            **options,
        )
        message.remote = self.registration.remote
        return message

    def parts(self, path: str) -> tuple[str, ...]:
        """The path on the device, below its alternate path if it has one."""
        return tuple(part for part in f"{self.registration.root}/{path}".split("/") if part)

    async def ask(self, message: Message, what: str) -> Message:
        """Send a request and wait for its response. Raises `CoapError` or `NotReachable`."""
        blockwise = message.code in (GET, FETCH) and message.opt.observe is None
        request = self.exchange.context.request(message, handle_blockwise=blockwise)
        return await self._answer(request, what)

    async def observe(
        self, path: str, make: Callable[[], Message], heard: Callable[[Message], None]
    ) -> Observation:
        """Observe what `make()` asks for; `heard` gets the first response and every notification."""
        message = make()
        message.opt.observe = 0
        request = self.exchange.context.request(message, handle_blockwise=False)

        def notified(response: Message) -> None:
            if response.code.is_successful():
                heard(response)

        if request.observation is not None:
            request.observation.register_callback(notified, _suppress_deprecation=True)
            request.observation.register_errback(lambda _: None, _suppress_deprecation=True)
        heard(await self._answer(request, f"observe {path}"))
        return Observation(path, request, self, make, message.token)

    async def _answer(self, request: Any, what: str) -> Message:
        endpoint = self.registration.endpoint
        try:
            response = await self.exchange.answer(request, self.registration, REQUEST_LIMIT)
        except (error.Error, TimeoutError, OSError) as failure:
            raise NotReachable(
                f"{endpoint}: no answer to {what}: {failure or type(failure).__name__}",
                help="is the device powered, attached and awake? see its console in the timeline",
            ) from None
        if not response.code.is_successful():
            raise CoapError(f"{endpoint}: {what}", response.code)
        return response
