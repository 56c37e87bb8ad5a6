"""One registered device, as the test thread sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiocoap import DELETE, GET, POST, PUT, Message, error
from aiocoap.numbers.codes import Code

from bench.errors import ServerError
from bench.lwm2m import objects
from bench.lwm2m.codecs import link_format, senml, tlv
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.exchange import Exchange
from bench.lwm2m.objects import Value
from bench.lwm2m.push import BlockPush
from bench.lwm2m.registration import Registration
from bench.lwm2m.tuning import BlockTuning

TEXT, LINKS, OPAQUE, TLV, TLV_OLD = 0, 40, 42, 11542, 1542
SENML_JSON, SENML_CBOR = 110, 112
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
    """A running observation; `cancel()` on the bench's loop tells the device by GET with Observe 1."""

    path: str
    _request: Any
    _client: Client
    _token: bytes

    async def cancel(self) -> None:
        token = self._token
        self.drop()
        message = self._client.message(GET, self.path)
        message.token = token  # RFC 7641, 3.6: a device knows the observation by it
        message.opt.observe = 1
        await self._client.ask(message, f"cancel observation of {self.path}")

    def drop(self) -> None:
        """Stop listening without telling the device (it has restarted, or is switched off)."""
        if self._request.observation is not None and not self._request.observation.cancelled:
            self._request.observation.cancel()
        self._request._stop_interest()  # else its token stays known until the next notification


class Client:
    """A device behind one registration. Plain methods are for the test thread, coroutines for the loop."""

    def __init__(self, exchange: Exchange, registration: Registration) -> None:
        self._exchange = exchange
        self.registration = registration

    @property
    def endpoint(self) -> str:
        return self.registration.endpoint

    def __repr__(self) -> str:
        return f"<client {self.endpoint} at /rd/{self.registration.location}>"

    # ---- for the test thread

    def read(self, path: str) -> Value | dict[int, Value]:
        """The value of a resource, or {resource: value} of an object instance.

        Raises `CoapError` for an error response, `NotReachable` without one, `ServerError` for a
        payload that is none.
        """
        return self._run(self.read_async(path), f"read {path}")

    def write(self, path: str, value: Value) -> None:
        self._run(self.write_async(path, value), f"write {path}")

    def execute(self, path: str, arguments: str = "") -> None:
        self._run(self.execute_async(path, arguments), f"execute {path}")

    def discover(self, path: str) -> list[link_format.Link]:
        return self._run(self.discover_async(path), f"discover {path}")

    def delete(self, path: str) -> None:
        self._run(self.ask(self.message(DELETE, path), f"delete {path}"), f"delete {path}")

    def _run(self, coro: Any, what: str) -> Any:
        # the request's own limit comes first: that is the device's silence, not a fault of the bench
        limit = REQUEST_LIMIT + 60 + self._exchange.patience(self.registration)
        return self._exchange.clock.run(coro, timeout=limit, reason=f"{self.endpoint}: {what}")

    # ---- on the loop

    def message(self, code: Code, path: str, payload: bytes = b"", **options: Any) -> Message:
        message = Message(
            code=code,
            uri_path=self._parts(path),
            payload=payload,
            transport_tuning=BlockTuning(),
            **options,
        )
        message.remote = self.registration.remote
        return message

    async def ask(self, message: Message, what: str) -> Message:
        """Send a request and wait for its response. Raises `CoapError` or `NotReachable`."""
        request = self._exchange.context.request(message, handle_blockwise=message.code is GET)
        try:
            response = await self._exchange.answer(request, self.registration, REQUEST_LIMIT)
        except (error.Error, TimeoutError, OSError) as failure:
            raise NotReachable(
                f"{self.endpoint}: no answer to {what}: {failure or type(failure).__name__}",
                help="is the device powered, attached and awake? see its console in the timeline",
            ) from None
        if not response.code.is_successful():
            raise CoapError(f"{self.endpoint}: {what}", response.code)
        return response

    async def read_async(self, path: str) -> Any:
        response = await self.ask(self.message(GET, path), f"read {path}")
        return self.value_of(path, response)

    async def write_async(self, path: str, value: Value) -> None:
        content_format, payload = TEXT, b""
        if isinstance(value, bytes):
            content_format, payload = OPAQUE, value
        elif isinstance(value, bool):
            payload = b"1" if value else b"0"
        else:
            payload = str(value).encode()
        message = self.message(PUT, path, payload, content_format=content_format)
        await self.ask(message, f"write {path}")

    async def execute_async(self, path: str, arguments: str = "") -> None:
        await self.ask(self.message(POST, path, arguments.encode()), f"execute {path}")

    async def discover_async(self, path: str) -> list[link_format.Link]:
        response = await self.ask(self.message(GET, path, accept=LINKS), f"discover {path}")
        try:
            return link_format.decode(response.payload)
        except CodecError as reason:
            raise self._unreadable(f"discover {path}", reason) from None

    async def write_attributes(self, path: str, **attributes: int | float) -> None:
        query = tuple(f"{name}={value}" for name, value in attributes.items())
        await self.ask(self.message(PUT, path, uri_query=query), f"write attributes of {path}")

    async def observe(self, path: str, heard: Callable[[Any], None]) -> Observation:
        """Observe a resource; `heard(value)` gets the first value and every notification."""
        message = self.message(GET, path)
        message.opt.observe = 0
        request = self._exchange.context.request(message, handle_blockwise=False)

        def notified(response: Message) -> None:
            if response.code.is_successful():
                try:
                    heard(self.value_of(path, response))
                except ServerError as reason:
                    self._exchange.timeline.record(self.endpoint, "warning", reason.message)

        if request.observation is not None:
            request.observation.register_callback(notified, _suppress_deprecation=True)
            request.observation.register_errback(lambda _: None, _suppress_deprecation=True)
        try:
            response = await self._exchange.answer(request, self.registration, REQUEST_LIMIT)
        except (error.Error, TimeoutError, OSError) as failure:
            raise NotReachable(
                f"{self.endpoint}: no answer to observe {path}: {failure or type(failure).__name__}",
                help="is the device powered, attached and awake? see its console in the timeline",
            ) from None
        if not response.code.is_successful():
            raise CoapError(f"{self.endpoint}: observe {path}", response.code)
        heard(self.value_of(path, response))
        return Observation(path, request, self, message.token)

    def push(self, path: str, data: bytes, **options: Any) -> BlockPush:
        """A Block1 transfer to `path`, to be run on the loop."""
        parts = self._parts(path)
        return BlockPush(self._exchange, self.registration, parts, data, **options)

    def _parts(self, path: str) -> tuple[str, ...]:
        """The path on the device, below its alternate path if it has one."""
        return tuple(part for part in f"{self.registration.root}/{path}".split("/") if part)

    # ---- payloads

    def value_of(self, path: str, response: Message) -> Any:
        """A response's payload as a value, by its content format and the object model."""
        numbers = [int(part) for part in path.split("/") if part]
        content_format = response.opt.content_format
        try:
            return self._decode(
                numbers, TEXT if content_format is None else int(content_format), response.payload
            )
        except CodecError as reason:
            raise self._unreadable(f"read {path}", reason) from None

    def _decode(self, numbers: list[int], content_format: int, payload: bytes) -> Any:
        kind = "bytes"
        if len(numbers) >= 3:
            known = objects.resource(numbers[0], numbers[2])
            kind = known.kind if known is not None else "str"
        if content_format == TEXT:
            try:
                return objects.from_text(kind, payload.decode("utf-8"))
            except UnicodeDecodeError as reason:
                raise CodecError(f"text is not UTF-8: {reason.reason}") from None
        if content_format == OPAQUE:
            return payload
        if content_format in (TLV, TLV_OLD):
            records = tlv.decode(payload)
            if len(numbers) >= 3:
                if len(records) != 1:
                    raise CodecError(f"{len(records)} TLV records for one resource")
                return _resource_value(numbers[0], records[0])
            if len(records) == 1 and records[0].kind is tlv.Kind.OBJECT_INSTANCE:
                records = records[0].children
            return {record.id: _resource_value(numbers[0], record) for record in records}
        if content_format in (SENML_JSON, SENML_CBOR):
            decode = senml.decode_json if content_format == SENML_JSON else senml.decode_cbor
            return _below(numbers, decode(payload))
        raise CodecError(f"content format {content_format} is not known here")

    def _unreadable(self, what: str, reason: CodecError) -> ServerError:
        return ServerError(
            f"{self.endpoint}: the answer to {what} cannot be read: {reason}",
            help="the device's payload does not follow its content format; see the CoAP trace",
        )


def _below(numbers: list[int], values: dict[str, Any]) -> Any:
    """SenML values as the value of a resource, or {resource: value} of an instance."""
    found: dict[int, Any] = {}
    for name, value in values.items():
        path = [int(part) for part in name.split("/") if part.isascii() and part.isdigit()]
        if path[: len(numbers)] != numbers or not 3 <= len(path) <= 4:
            raise CodecError(f"SenML names {name[:40]!r}, which was not asked for")
        if len(path) == 4:
            found.setdefault(path[2], {})[path[3]] = value
        else:
            found[path[2]] = value
    if len(numbers) < 3:
        return found
    if numbers[2] not in found:
        raise CodecError("SenML without the resource that was asked for")
    return found[numbers[2]]


def _resource_value(object_id: int, record: tlv.Record) -> Any:
    known = objects.resource(object_id, record.id)
    kind = known.kind if known is not None else "bytes"
    if record.kind is tlv.Kind.MULTIPLE_RESOURCE:
        return {child.id: objects.from_bytes(kind, child.value) for child in record.children}
    return objects.from_bytes(kind, record.value)
