"""One registered device, as the test thread sees it: the device management interface of LwM2M."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiocoap.numbers.codes import SERVICE_UNAVAILABLE

from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.values import Value
from bench.lwm2m.interfaces.registration import Registration
from bench.lwm2m.management.composite import CompositeOperations
from bench.lwm2m.management.exchange import Exchange
from bench.lwm2m.management.observation import Observation
from bench.lwm2m.management.operations import Operations
from bench.lwm2m.management.push import BlockPush
from bench.lwm2m.management.requests import REQUEST_LIMIT, CoapError, NotReachable, Requester

__all__ = ["Client", "CoapError", "NotReachable", "Observation"]

Attribute = int | float | None
BUSY_WAIT, BUSY_LIMIT = 2.0, 60.0
"""Seconds to wait after 5.03 without Max-Age, and for how long a device may be too busy to be read."""


class Client:
    """A device behind one registration. Plain methods are for the test thread, coroutines for the loop.

    A path is "/3", "/3/0", "/3/0/9" or "/3/0/7/0". A value has the type that `bench.lwm2m.codecs.values`
    tells; of a multiple resource it is {instance: value}, of an instance {resource: ...}, of an object
    {instance: {resource: ...}}.

    Each operation raises `CoapError` for an error response, `NotReachable` without one, and `ServerError`
    for a payload that is none; `CodecError` for a value that cannot be told.
    """

    def __init__(self, exchange: Exchange, registration: Registration) -> None:
        self._exchange = exchange
        self._requester = Requester(exchange, registration)
        self._operations = Operations(self._requester)
        self._composite = CompositeOperations(self._requester)
        self.registration = registration

    @property
    def endpoint(self) -> str:
        return self.registration.endpoint

    def __repr__(self) -> str:
        return f"<client {self.endpoint} at /rd/{self.registration.location}>"

    # ---- for the test thread

    def read(self, path: str) -> Any:
        """A device that is busy (5.03) is asked again for `BUSY_LIMIT` seconds."""
        return self._run(self._read_politely(path), f"read {path}")

    async def _read_politely(self, path: str) -> Any:
        until = self._exchange.clock.now() + BUSY_LIMIT
        while True:
            try:
                return await self.read_async(path)
            except CoapError as busy:
                if busy.code is not SERVICE_UNAVAILABLE or self._exchange.clock.now() >= until:
                    raise
                await asyncio.sleep(min(busy.max_age or BUSY_WAIT, BUSY_LIMIT))

    def write(self, path: str, value: Value | Mapping[int, Any]) -> None:
        """Write a resource, or replace all of an instance or a multiple resource (PUT)."""
        self._run(self.write_async(path, value), f"write {path}")

    def update(self, path: str, value: Mapping[int, Any]) -> None:
        """Partial write (POST): only the resources, or resource instances, given change."""
        self._run(self.update_async(path, value), f"update {path}")

    def execute(self, path: str, arguments: str = "") -> None:
        """`arguments` as they travel: "0,1='text'"."""
        self._run(self.execute_async(path, arguments), f"execute {path}")

    def discover(self, path: str) -> list[link_format.Link]:
        return self._run(self.discover_async(path), f"discover {path}")

    def create(self, object_id: int, values: Mapping[int, Any], instance: int | None = None) -> int:
        """Make an object instance; the device chooses its ID unless one is given. Returns the ID."""
        return self._run(self.create_async(object_id, values, instance), f"create /{object_id}")

    def delete(self, path: str) -> None:
        """Delete an instance, or (LwM2M 1.2) a resource instance."""
        self._run(self.delete_async(path), f"delete {path}")

    def write_attributes(self, path: str, **attributes: Attribute) -> None:
        """pmin, pmax, epmin, epmax (seconds), gt, lt, st (of the resource's unit), con (0 or 1).

        None takes an attribute back.
        """
        self._run(self.write_attributes_async(path, **attributes), f"write attributes of {path}")

    def read_composite(self, paths: Sequence[str]) -> dict[str, Any]:
        """Several paths in one request (LwM2M 1.1): {path: value}; what the device lacks is left out."""
        return self._run(self.read_composite_async(paths), "read composite")

    def write_composite(self, values: Mapping[str, Any]) -> None:
        """Several resources in one request, all or none (LwM2M 1.1)."""
        self._run(self.write_composite_async(values), "write composite")

    def _run(self, coro: Any, what: str) -> Any:
        # the request's own limit comes first: that is the device's silence, not a fault of the bench
        limit = REQUEST_LIMIT + BUSY_LIMIT + 60 + self._exchange.patience(self.registration)
        return self._exchange.clock.run(coro, timeout=limit, reason=f"{self.endpoint}: {what}")

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

    def push(self, path: str, data: bytes, **options: Any) -> BlockPush:
        """A Block1 transfer to `path`, to be run on the loop."""
        return BlockPush(self._exchange, self.registration, self._requester.parts(path), data, **options)
