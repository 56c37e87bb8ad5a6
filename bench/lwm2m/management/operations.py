"""The operations of device management on one path (OMA LwM2M 1.0, 5.4; 1.1 and 1.2, 6.3), on the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiocoap import DELETE, GET, POST, PUT, Message
from aiocoap.numbers.codes import Code

from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import name_of, path_of
from bench.lwm2m.codecs.shapes import flat, nested
from bench.lwm2m.codecs.values import Path, Value
from bench.lwm2m.management.negotiation import (
    READ_REFUSALS,
    SINGLE_READ_REFUSALS,
    WRITE_REFUSALS,
    Formats,
    first_accepted,
)
from bench.lwm2m.management.observation import Observation
from bench.lwm2m.management.requests import CoapError, Requester
from bench.lwm2m.model import content, objects

MAX_ID = 65534
"""65535 is reserved (OMA LwM2M 1.0, 6.2)."""


class Operations:
    """What `Client` offers under the same names, with the same errors."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._formats = Formats(requester.registration)

    # ---- reading

    async def read(self, path: str) -> Any:
        base = path_of(path)

        async def attempt(accept: int | None) -> Message:
            return await self._requester.ask(self._get(path, accept), f"read {path}")

        candidates = self._formats.for_read(base)
        refusals = SINGLE_READ_REFUSALS if len(base) > 2 else READ_REFUSALS
        response = await first_accepted(self._formats, candidates, refusals, attempt)
        value = self._value_of(path, response)
        if isinstance(value, bytes) and response.opt.content_format == content.TLV:
            return await self._typed(path, candidates[1:], attempt, value)
        return value

    async def _typed(
        self,
        path: str,
        candidates: list[int | None],
        attempt: Callable[[int | None], Awaitable[Message]],
        value: bytes,
    ) -> Any:
        """A value that came in TLV, which does not tell its type, once more in a format that does."""
        base = path_of(path)
        known = objects.resource(base[0], base[2])
        typed = [f for f in candidates if f != content.TLV]
        if known is not None or not typed:
            return value
        try:
            answer = await first_accepted(self._formats, typed, SINGLE_READ_REFUSALS, attempt)
        except CoapError:
            return value  # TLV is all it has
        return self._value_of(path, answer)

    async def observe(self, path: str, heard: Callable[[Any], None]) -> Observation:
        base = path_of(path)

        async def attempt(accept: int | None) -> Observation:
            observation = Observation(
                self._requester,
                path,
                lambda: self._get(path, accept),
                lambda response: heard(self._value_of(path, response)),
            )
            await observation.start()
            return observation

        return await first_accepted(self._formats, self._formats.for_read(base), READ_REFUSALS, attempt)

    def _get(self, path: str, accept: int | None) -> Message:
        options: dict[str, Any] = {} if accept is None else {"accept": accept}
        return self._requester.message(GET, path, **options)

    def _value_of(self, path: str, response: Message) -> Any:
        base = path_of(path)
        try:
            return nested(base, payload_of(response, base))
        except CodecError as reason:
            raise self._requester.unreadable(f"read {path}", reason) from None

    async def discover(self, path: str) -> list[link_format.Link]:
        message = self._requester.message(GET, path, accept=content.LINKS)
        response = await self._requester.ask(message, f"discover {path}")
        try:
            return link_format.decode(response.payload)
        except CodecError as reason:
            raise self._requester.unreadable(f"discover {path}", reason) from None

    # ---- writing

    async def write(self, path: str, value: Value | Mapping[int, Any]) -> None:
        candidates = self._formats.for_write(value)
        await self._send(PUT, path, path_of(path), flat(path_of(path), value), candidates, f"write {path}")

    async def update(self, path: str, value: Mapping[int, Any]) -> None:
        candidates = self._formats.structured()
        await self._send(POST, path, path_of(path), flat(path_of(path), value), candidates, f"update {path}")

    async def write_attributes(self, path: str, attributes: Mapping[str, int | float | None]) -> None:
        query = tuple(_attribute(name, value) for name, value in attributes.items())
        message = self._requester.message(PUT, path, uri_query=query)
        await self._requester.ask(message, f"write attributes of {path}")

    async def execute(self, path: str, arguments: str) -> None:
        options = {"content_format": content.TEXT} if arguments else {}
        message = self._requester.message(POST, path, arguments.encode(), **options)
        await self._requester.ask(message, f"execute {path}")

    async def create(self, object_id: int, values: Mapping[int, Any], instance: int | None) -> int:
        """Only TLV can leave the ID to the device; without TLV, it is the lowest that is not registered."""
        response: Message | None = None
        candidates = self._formats.structured()
        if instance is None and content.TLV in candidates:
            try:
                response = await self._create((object_id, 0), (object_id, 0), values, [content.TLV])
            except CoapError as refusal:
                if refusal.dotted not in WRITE_REFUSALS or candidates == [content.TLV]:
                    raise
                candidates = self._formats.structured()
        if response is None:
            instance = self._free_id(object_id) if instance is None else instance
            response = await self._create((object_id,), (object_id, instance), values, candidates)
        location = response.opt.location_path
        if location and location[-1].isascii() and location[-1].isdigit() and len(location[-1]) < 6:
            return int(location[-1])
        if instance is None:
            missing = CodecError("no Location-Path with the new instance")
            raise self._requester.unreadable(f"create /{object_id}", missing)
        return instance

    async def _create(
        self, base: Path, at: Path, values: Mapping[int, Any], candidates: list[int]
    ) -> Message:
        path = name_of(base[:1])
        return await self._send(POST, path, base, flat(at, values), candidates, f"create {path}")

    def _free_id(self, object_id: int) -> int:
        taken = self._requester.registration.objects.get(object_id, set())
        return next(number for number in range(MAX_ID + 1) if number not in taken)

    async def delete(self, path: str) -> None:
        await self._requester.ask(self._requester.message(DELETE, path), f"delete {path}")

    async def _send(
        self,
        method: Code,
        path: str,
        base: Path,
        values: Mapping[Path, Any],
        candidates: list[int],
        what: str,
    ) -> Message:
        async def attempt(content_format: int) -> Message:
            payload = content.encode(content_format, base, values)
            message = self._requester.message(method, path, payload, content_format=content_format)
            return await self._requester.ask(message, what)

        return await first_accepted(self._formats, candidates, WRITE_REFUSALS, attempt)


def payload_of(response: Message, base: Path) -> content.Values:
    """A response's values, by its content format. Raises `CodecError`.

    Without a Content-Format it is text (OMA LwM2M 1.0, 6.4.1). An answer without payload is an object, an
    instance or a multiple resource that has nothing in it, whatever its format.
    """
    known = objects.resource(base[0], base[2]) if len(base) == 3 else None
    holds_several = len(base) < 3 or (known is not None and known.multiple)
    if not response.payload and holds_several:
        return {}
    content_format = response.opt.content_format
    number = content.TEXT if content_format is None else int(content_format)
    values = content.decode(number, base, response.payload)
    if not values and not holds_several and (known is not None or len(base) == 4):
        raise CodecError(f"no value for {name_of(base)}")
    return values


def _attribute(name: str, value: int | float | None) -> str:
    """A number without exponent, as the specification's grammar has it (OMA LwM2M 1.0, 5.1.2)."""
    if value is None:
        return name
    if isinstance(value, float):
        text = f"{value:.12f}".rstrip("0")
        return f"{name}={text.removesuffix('.')}"
    return f"{name}={value:d}"
