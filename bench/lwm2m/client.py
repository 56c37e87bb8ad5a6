"""One registered device, as the test thread sees it: the device management interface of LwM2M."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiocoap import DELETE, FETCH, GET, POST, PUT, Message, iPATCH

from bench.errors import ServerError
from bench.lwm2m import content
from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.exchange import Exchange
from bench.lwm2m.objects import Value
from bench.lwm2m.push import BlockPush
from bench.lwm2m.registration import Registration
from bench.lwm2m.requests import REQUEST_LIMIT, CoapError, NotReachable, Observation, Requester

__all__ = ["Client", "CoapError", "NotReachable", "Observation"]

NOT_ACCEPTABLE, UNSUPPORTED_FORMAT = "4.06", "4.15"


class Client:
    """A device behind one registration. Plain methods are for the test thread, coroutines for the loop.

    Each raises `CoapError` for an error response, `NotReachable` without one, and `ServerError` for a
    payload that is none. Values have the types of `bench.lwm2m.codecs.values`.
    """

    def __init__(self, exchange: Exchange, registration: Registration) -> None:
        self._exchange = exchange
        self._requester = Requester(exchange, registration)
        self.registration = registration

    @property
    def endpoint(self) -> str:
        return self.registration.endpoint

    def __repr__(self) -> str:
        return f"<client {self.endpoint} at /rd/{self.registration.location}>"

    # ---- for the test thread

    def read(self, path: str) -> Any:
        """A resource's value ({instance: value} when it is multiple), an instance's {resource: value},
        or an object's {instance: {resource: value}}."""
        return self._run(self.read_async(path), f"read {path}")

    def write(self, path: str, value: Value) -> None:
        """Write one resource, or (replacing it) the whole of an instance, given as {resource: value}."""
        self._run(self.write_async(path, value), f"write {path}")

    def update(self, path: str, value: Mapping[int, Any]) -> None:
        """Partial write: only the resources (or resource instances) given change."""
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
        self._run(self.delete_async(path), f"delete {path}")

    def write_attributes(self, path: str, **attributes: float) -> None:
        """pmin, pmax, epmin, epmax (seconds), gt, lt, st (values), con (0 or 1)."""
        self._run(self.write_attributes_async(path, **attributes), f"write attributes of {path}")

    def read_composite(self, paths: Sequence[str]) -> dict[str, Any]:
        """Several paths in one request (LwM2M 1.1): {path: value}; what the device lacks is left out."""
        return self._run(self.read_composite_async(paths), "read composite")

    def write_composite(self, values: Mapping[str, Any]) -> None:
        """Several resources in one request, all or none (LwM2M 1.1)."""
        self._run(self.write_composite_async(values), "write composite")

    def _run(self, coro: Any, what: str) -> Any:
        # the request's own limit comes first: that is the device's silence, not a fault of the bench
        limit = REQUEST_LIMIT + 60 + self._exchange.patience(self.registration)
        return self._exchange.clock.run(coro, timeout=limit, reason=f"{self.endpoint}: {what}")

    # ---- on the loop

    async def read_async(self, path: str) -> Any:
        return self.value_of(path, await self._get(path, self._preferred(path)))

    async def _get(self, path: str, accept: int | None) -> Message:
        """Ask in a format the device should know; if it does not, in one of its own choice."""
        requester = self._requester
        if accept is None or accept in self.registration.refused_formats:
            return await requester.ask(requester.message(GET, path), f"read {path}")
        try:
            return await requester.ask(requester.message(GET, path, accept=accept), f"read {path}")
        except CoapError as refusal:
            if refusal.dotted != NOT_ACCEPTABLE:
                raise
            self.registration.refused_formats.add(accept)
            return await self._get(path, self._preferred(path))

    def _preferred(self, path: str) -> int | None:
        """The server's preference among the structured formats the device says it has; None: the device's.

        One resource is asked for without a wish: every client can tell one value somehow.
        """
        if len(content.path_of(path)) > 2:
            return None
        return self._structured(None)

    def _structured(self, default: int | None) -> int | None:
        listed = self.registration.formats - self.registration.refused_formats
        return next((f for f in content.STRUCTURED if f in listed), default)

    async def write_async(self, path: str, value: Value) -> None:
        if isinstance(value, dict):
            await self._write_structured(PUT, path, value)
            return
        content_format = content.OPAQUE if isinstance(value, bytes) else content.TEXT
        payload = content.encode(content_format, content.path_of(path), {content.path_of(path): value})
        message = self._requester.message(PUT, path, payload, content_format=content_format)
        await self._requester.ask(message, f"write {path}")

    async def update_async(self, path: str, value: Mapping[int, Any]) -> None:
        await self._write_structured(POST, path, value)

    async def _write_structured(self, method: Any, path: str, value: Mapping[int, Any]) -> None:
        """In the preferred format of those the device lists; TLV, mandatory in 1.0, without a list."""
        base = content.path_of(path)
        tried: set[int] = set()
        while True:
            wanted = self._structured(content.TLV)
            content_format = content.TLV if wanted is None or wanted in tried else wanted
            payload = content.encode(content_format, base, content.flat(base, dict(value)))
            message = self._requester.message(method, path, payload, content_format=content_format)
            try:
                await self._requester.ask(message, f"write {path}")
                return
            except CoapError as refusal:
                if refusal.dotted != UNSUPPORTED_FORMAT or content_format in tried:
                    raise
                tried.add(content_format)
                self.registration.refused_formats.add(content_format)

    async def execute_async(self, path: str, arguments: str = "") -> None:
        options = {"content_format": content.TEXT} if arguments else {}
        message = self._requester.message(POST, path, arguments.encode(), **options)
        await self._requester.ask(message, f"execute {path}")

    async def discover_async(self, path: str) -> list[link_format.Link]:
        message = self._requester.message(GET, path, accept=content.LINKS)
        response = await self._requester.ask(message, f"discover {path}")
        try:
            return link_format.decode(response.payload)
        except CodecError as reason:
            raise self._unreadable(f"discover {path}", reason) from None

    async def create_async(
        self, object_id: int, values: Mapping[int, Any], instance: int | None = None
    ) -> int:
        base: content.Path = (object_id,)
        content_format = self._structured(content.TLV)
        assert content_format is not None
        if instance is None:  # TLV may leave the instance to the device; the others must name one
            content_format = content.TLV
            payload = content.encode(
                content_format, (object_id, 0), content.flat((object_id, 0), dict(values))
            )
        else:
            payload = content.encode(content_format, base, content.flat((object_id, instance), dict(values)))
        message = self._requester.message(POST, f"/{object_id}", payload, content_format=content_format)
        response = await self._requester.ask(message, f"create /{object_id}")
        location = response.opt.location_path
        if location and location[-1].isascii() and location[-1].isdigit():
            return int(location[-1])
        if instance is None:
            raise self._unreadable(
                f"create /{object_id}", CodecError("no Location-Path with the new instance")
            )
        return instance

    async def delete_async(self, path: str) -> None:
        await self._requester.ask(self._requester.message(DELETE, path), f"delete {path}")

    async def write_attributes_async(self, path: str, **attributes: float) -> None:
        query = tuple(f"{name}={value}" for name, value in attributes.items())
        message = self._requester.message(PUT, path, uri_query=query)
        await self._requester.ask(message, f"write attributes of {path}")

    async def observe(self, path: str, heard: Callable[[Any], None]) -> Observation:
        """Observe; `heard(value)` gets the first value and every notification."""
        return await self._requester.observe(
            path,
            lambda: self._requester.message(GET, path),
            lambda response: self._tell(path, response, heard),
        )

    def _tell(self, path: str, response: Message, heard: Callable[[Any], None]) -> None:
        try:
            value = self.value_of(path, response)
        except ServerError as reason:
            self._exchange.timeline.record(self.endpoint, "warning", reason.message)
        else:
            heard(value)

    def push(self, path: str, data: bytes, **options: Any) -> BlockPush:
        """A Block1 transfer to `path`, to be run on the loop."""
        return BlockPush(self._exchange, self.registration, self._requester.parts(path), data, **options)

    # ---- several paths at once (LwM2M 1.1)

    async def read_composite_async(self, paths: Sequence[str]) -> dict[str, Any]:
        response = await self._requester.ask(self._composite(paths), "read composite")
        return self._found(paths, response)

    async def observe_composite(
        self, paths: Sequence[str], heard: Callable[[dict[str, Any]], None]
    ) -> Observation:
        """`heard({path: value})` gets the first values and every notification."""
        return await self._requester.observe(
            ", ".join(paths),
            lambda: self._composite(paths),
            lambda response: heard(self._found(paths, response)),
        )

    async def write_composite_async(self, values: Mapping[str, Any]) -> None:
        content_format = self._senml()
        flat: content.Values = {}
        for path, value in values.items():
            flat |= content.flat(content.path_of(path), value)
        payload = content.encode(content_format, (), flat)
        message = self._requester.message(iPATCH, "/", payload, content_format=content_format)
        await self._requester.ask(message, "write composite")

    def _composite(self, paths: Sequence[str]) -> Message:
        content_format = self._senml()
        payload = content.paths_only(content_format, [content.path_of(path) for path in paths])
        return self._requester.message(
            FETCH, "/", payload, content_format=content_format, accept=content_format
        )

    def _senml(self) -> int:
        """Composite operations know SenML only; CBOR unless the device says it has JSON alone."""
        json_only = content.SENML_JSON in self.registration.formats
        cbor_too = content.SENML_CBOR in self.registration.formats
        return content.SENML_JSON if json_only and not cbor_too else content.SENML_CBOR

    def _found(self, paths: Sequence[str], response: Message) -> dict[str, Any]:
        try:
            values = content.decode(_format_of(response), (), response.payload)
        except CodecError as reason:
            raise self._unreadable("read composite", reason) from None
        found = {}
        for path in paths:
            base = content.path_of(path)
            below = {p: value for p, value in values.items() if p[: len(base)] == base}
            if below:
                found[path] = content.nested(base, below)
        return found

    # ---- payloads

    def value_of(self, path: str, response: Message) -> Any:
        """A response's payload as a value, by its content format and the object model."""
        base = content.path_of(path)
        try:
            return content.nested(base, content.decode(_format_of(response), base, response.payload))
        except CodecError as reason:
            raise self._unreadable(f"read {path}", reason) from None

    def _unreadable(self, what: str, reason: CodecError) -> ServerError:
        return ServerError(
            f"{self.endpoint}: the answer to {what} cannot be read: {reason}",
            help="the device's payload does not follow its content format; see the CoAP trace",
        )


def _format_of(response: Message) -> int:
    """Without a Content-Format it is text (OMA LwM2M 1.0, 6.4.1)."""
    content_format = response.opt.content_format
    return content.TEXT if content_format is None else int(content_format)
