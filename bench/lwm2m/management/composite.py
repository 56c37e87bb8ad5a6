"""Several paths in one request (OMA LwM2M 1.1 and 1.2, 6.3.8, 6.3.9, 6.4.4), on the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiocoap import FETCH, Message, iPATCH

from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import path_of
from bench.lwm2m.codecs.shapes import flat, nested
from bench.lwm2m.codecs.values import Path
from bench.lwm2m.management.negotiation import READ_REFUSALS, WRITE_REFUSALS, Formats, first_accepted
from bench.lwm2m.management.observation import Observation
from bench.lwm2m.management.operations import payload_of
from bench.lwm2m.management.requests import Requester
from bench.lwm2m.model import content

REFUSALS = READ_REFUSALS + WRITE_REFUSALS


class CompositeOperations:
    """What `Client` offers as composite operations, with the same errors."""

    def __init__(self, requester: Requester) -> None:
        self._requester = requester
        self._formats = Formats(requester.registration)

    async def read(self, paths: Sequence[str]) -> dict[str, Any]:
        async def attempt(content_format: int) -> Message:
            return await self._requester.ask(self._fetch(paths, content_format), "read composite")

        response = await first_accepted(self._formats, self._formats.composite(), REFUSALS, attempt)
        return self._found(paths, response)

    async def observe(self, paths: Sequence[str], heard: Callable[[dict[str, Any]], None]) -> Observation:
        async def attempt(content_format: int) -> Observation:
            observation = Observation(
                self._requester,
                ", ".join(paths),
                lambda: self._fetch(paths, content_format),
                lambda response: heard(self._found(paths, response)),
            )
            await observation.start()
            return observation

        return await first_accepted(self._formats, self._formats.composite(), REFUSALS, attempt)

    async def write(self, values: Mapping[str, Any]) -> None:
        held: dict[Path, Any] = {}
        for path, value in values.items():
            held |= flat(path_of(path), value)

        async def attempt(content_format: int) -> None:
            payload = content.encode(content_format, (), held)
            message = self._requester.message(iPATCH, "/", payload, content_format=content_format)
            await self._requester.ask(message, "write composite")

        await first_accepted(self._formats, self._formats.composite(), REFUSALS, attempt)

    def _fetch(self, paths: Sequence[str], content_format: int) -> Message:
        payload = content.paths_only(content_format, [path_of(path) for path in paths])
        return self._requester.message(
            FETCH, "/", payload, content_format=content_format, accept=content_format
        )

    def _found(self, paths: Sequence[str], response: Message) -> dict[str, Any]:
        try:
            values = payload_of(response, ())
        except CodecError as reason:
            raise self._requester.unreadable("read composite", reason) from None
        found = {}
        for path in paths:
            base = path_of(path)
            below = {p: value for p, value in values.items() if p[: len(base)] == base}
            if below:
                found[path] = nested(base, below)
        return found
