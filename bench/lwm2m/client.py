"""One registered device, as the test thread sees it: the device management interface of LwM2M."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.names import path_of
from bench.lwm2m.codecs.values import Value
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management.busy import LIMIT, until_free
from bench.lwm2m.management.composite import CompositeOperations
from bench.lwm2m.management.exchange import Exchange
from bench.lwm2m.management.observation import Observation
from bench.lwm2m.management.operations import Operations
from bench.lwm2m.management.push import USUAL, BlockPush, Form
from bench.lwm2m.management.requests import REQUEST_LIMIT, CoapError, NotReachable, Requester
from bench.lwm2m.model import content

__all__ = ["Client", "CoapError", "NotReachable", "Observation"]

Attribute = int | float | None


class Client:
    """A device behind one registration. Plain methods are for the test thread, coroutines for the loop.

    A path is "/3", "/3/0", "/3/0/9" or "/3/0/7/0". A value has the type that `bench.lwm2m.codecs.values`
    tells; of a multiple resource it is {instance: value}, of an instance {resource: ...}, of an object
    {instance: {resource: ...}}.

    Each operation raises `CoapError` for an error response, `NotReachable` without one, and `ServerError`
    for a payload that is none; `CodecError` for a value that cannot be told.

    On the test thread `read` and `discover` wait out a device that is busy (5.03, see `management.busy`); of
    any other operation 5.03 is an answer like the rest, but for the operations of `patient`.
    """

    def __init__(self, exchange: Exchange, registration: Registration, *, patience: float = 0.0) -> None:
        self._exchange = exchange
        self._patience = patience
        self._requester = Requester(exchange, registration)
        self._operations = Operations(self._requester)
        self._composite = CompositeOperations(self._requester)
        self.registration = registration

    @property
    def endpoint(self) -> str:
        return self.registration.endpoint

    @property
    def patient(self) -> Client:
        """The same device, for requests of which 5.03 is no refusal: each is asked again until it is free."""
        return Client(self._exchange, self.registration, patience=LIMIT)

    def __repr__(self) -> str:
        return f"<client {self.endpoint} at /rd/{self.registration.location}>"

    # ---- for the test thread

    def read(self, path: str) -> Any:
        return self._run(lambda: self.read_async(path), f"read {path}", LIMIT)

    def write(self, path: str, value: Value | Mapping[int, Any]) -> None:
        """Write a resource, or replace all of an instance or a multiple resource (PUT)."""
        self._run(lambda: self.write_async(path, value), f"write {path}")

    def update(self, path: str, value: Mapping[int, Any]) -> None:
        """Partial write (POST): only the resources, or resource instances, given change."""
        self._run(lambda: self.update_async(path, value), f"update {path}")

    def execute(self, path: str, arguments: str = "") -> None:
        """`arguments` as they travel: "0,1='text'"."""
        self._run(lambda: self.execute_async(path, arguments), f"execute {path}")

    def discover(self, path: str) -> list[link_format.Link]:
        return self._run(lambda: self.discover_async(path), f"discover {path}", LIMIT)

    def create(self, object_id: int, values: Mapping[int, Any], instance: int | None = None) -> int:
        """Make an object instance; the device chooses its ID unless one is given. Returns the ID."""
        return self._run(lambda: self.create_async(object_id, values, instance), f"create /{object_id}")

    def delete(self, path: str) -> None:
        """Delete an instance, or (LwM2M 1.2) a resource instance."""
        self._run(lambda: self.delete_async(path), f"delete {path}")

    def write_attributes(self, path: str, **attributes: Attribute) -> None:
        """pmin, pmax, epmin, epmax (seconds), gt, lt, st (of the resource's unit), con (0 or 1).

        None takes an attribute back.
        """
        self._run(lambda: self.write_attributes_async(path, **attributes), f"write attributes of {path}")

    def read_composite(self, paths: Sequence[str]) -> dict[str, Any]:
        """Several paths in one request (LwM2M 1.1): {path: value}; what the device lacks is left out."""
        return self._run(lambda: self.read_composite_async(paths), "read composite")

    def write_composite(self, values: Mapping[str, Any]) -> None:
        """Several resources in one request, all or none (LwM2M 1.1)."""
        self._run(lambda: self.write_composite_async(values), "write composite")

    def _run(self, ask: Callable[[], Awaitable[Any]], what: str, patience: float | None = None) -> Any:
        patience = self._patience if patience is None else patience
        # the request's own limit comes first: that is the device's silence, not a fault of the bench
        limit = REQUEST_LIMIT + patience + 60 + self._exchange.patience(self.registration)
        clock = self._exchange.clock
        return clock.run(until_free(ask, clock, patience), timeout=limit, reason=f"{self.endpoint}: {what}")

    # ---- on the loop

    async def read_async(self, path: str) -> Any:
        return await self._operations.read(path)

    async def write_async(self, path: str, value: Value | Mapping[int, Any]) -> None:
        await self._operations.write(path, value)

    async def update_async(self, path: str, value: Mapping[int, Any]) -> None:
        await self._operations.update(path, value)

    async def execute_async(self, path: str, arguments: str = "") -> None:
        await self._operations.execute(path, arguments)

    async def discover_async(self, path: str) -> list[link_format.Link]:
        return await self._operations.discover(path)

    async def create_async(
        self, object_id: int, values: Mapping[int, Any], instance: int | None = None
    ) -> int:
        return await self._operations.create(object_id, values, instance)

    async def delete_async(self, path: str) -> None:
        await self._operations.delete(path)

    async def write_attributes_async(self, path: str, **attributes: Attribute) -> None:
        await self._operations.write_attributes(path, attributes)

    async def observe(self, path: str, heard: Callable[[Any], None]) -> Observation:
        """`heard(value)` gets the first value and every notification."""
        return await self._operations.observe(path, heard)

    async def read_composite_async(self, paths: Sequence[str]) -> dict[str, Any]:
        return await self._composite.read(paths)

    async def write_composite_async(self, values: Mapping[str, Any]) -> None:
        await self._composite.write(values)

    async def observe_composite(
        self, paths: Sequence[str], heard: Callable[[dict[str, Any]], None]
    ) -> Observation:
        """`heard({path: value})` gets the first values and every notification."""
        return await self._composite.observe(paths, heard)

    def push(self, path: str, data: bytes, form: Form = USUAL, **options: Any) -> BlockPush:
        """A Block1 transfer to `path`, to be run on the loop."""
        body, base = data, path_of(path)
        if form.content_format != content.OPAQUE:
            body = content.encode(form.content_format, base, {base: data})
        parts = self._requester.parts(path)
        return BlockPush(self._exchange, self.registration, parts, body, form=form, **options)
