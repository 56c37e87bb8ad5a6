"""Observations: notifications of a device, and how they are ended (RFC 7641)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiocoap import Message

from bench.errors import ServerError
from bench.lwm2m.coap import bodies
from bench.lwm2m.management.requests import REQUEST_LIMIT, CoapError, Requester

Heard = Callable[[Message], None]
"""Takes a whole notification. Raises `ServerError` when it cannot be read."""


class Observation:
    """A running observation; `cancel()` on the bench's loop tells the device that nobody listens any more.

    `accepted`: the first response said that notifications follow (an Observe option).
    """

    def __init__(self, requester: Requester, path: str, make: Callable[[], Message], heard: Heard) -> None:
        """`make()` gives the request; `heard` gets every whole notification."""
        self.path = path
        self.accepted = False
        self._requester = requester
        self._make = make
        self._heard = heard
        self._request: Any = None
        self._token = b""
        self._fetching: asyncio.Task[None] | None = None
        self._overtaken = False

    @property
    def token(self) -> bytes:
        """What the device knows it by."""
        return self._token

    async def start(self) -> None:
        """Ask the device, and have its first response heard. Raises as `Requester.ask`, and as `heard`."""
        message = self._make()
        message.opt.observe = 0
        exchange = self._requester.exchange
        self._request = exchange.context.request(message, handle_blockwise=False)
        self._request.observation.register_callback(self._notified, _suppress_deprecation=True)
        self._request.observation.register_errback(lambda _: None, _suppress_deprecation=True)
        what = f"observe {self.path}"
        answer = exchange.answer(self._request, self._requester.registration, REQUEST_LIMIT)
        first = await self._requester.judged(answer, what)
        self._token = message.token
        self.accepted = first.opt.observe is not None
        if bodies.is_part(first):
            first = await self._requester.completed(self._make(), first, what)
        if not self._overtaken:
            self._heard(first)

    def _notified(self, response: Message) -> None:
        """A newer notification makes what is still fetched of an older one worthless."""
        self._stop_fetching()
        self._overtaken = True
        if not response.code.is_successful():
            return
        if bodies.is_part(response):
            self._fetching = asyncio.get_running_loop().create_task(self._fetch(response))
        else:
            self._hear_quietly(response)

    async def _fetch(self, first: Message) -> None:
        try:
            whole = await self._requester.completed(self._make(), first, f"fetch the rest of {self.path}")
        except (CoapError, ServerError) as failure:
            self._warn(failure)
        else:
            self._hear_quietly(whole)

    def _hear_quietly(self, response: Message) -> None:
        """A notification that cannot be read ends nothing: there is nobody to raise it to."""
        try:
            self._heard(response)
        except ServerError as failure:
            self._warn(failure)
        self._requester.exchange.clock.changed()

    def _warn(self, failure: CoapError | ServerError) -> None:
        text = failure.message if isinstance(failure, ServerError) else str(failure)
        self._requester.exchange.timeline.record(self._requester.registration.endpoint, "warning", text)

    def _stop_fetching(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    async def cancel(self) -> None:
        self.drop()
        message = self._make()
        message.token = self._token  # a device knows the observation by it (RFC 7641, 3.6)
        message.opt.observe = 1
        await self._requester.judged(self._requester.send(message), f"cancel observation of {self.path}")

    def drop(self) -> None:
        """Stop listening without telling the device (it has restarted, or is switched off)."""
        self._stop_fetching()
        if not self._request.observation.cancelled:
            self._request.observation.cancel()
        self._request._stop_interest()  # else its token stays known until the next notification
