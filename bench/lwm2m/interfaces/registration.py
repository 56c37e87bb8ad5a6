"""The registration interface: POST /rd, POST and DELETE /rd/ID (OMA LwM2M 1.0-1.2, "Registration")."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiocoap import CHANGED, CREATED, DELETED, Message, error
from aiocoap.numbers.codes import SERVICE_UNAVAILABLE
from aiocoap.resource import PathCapable, Resource

from bench.lwm2m.coap.assembly import RepeatableSpool
from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.identity import Identity
from bench.lwm2m.interfaces import parameters

LINK_FORMAT = 40
EXPIRY_MARGIN = 93.0
"""Seconds after its lifetime in which a registration still holds: an Update sent in time may take as
long to arrive (MAX_TRANSMIT_WAIT of RFC 7252)."""
LOCATION_LENGTH = 8
"""Bytes, told in hexadecimal digits."""
MAX_REGISTRATIONS = 256
MAX_REFUSALS = 64
"""Endpoints whose refused Register is remembered."""
FULL_RETRY = 60
"""Seconds (Max-Age) after which a client may try again when the directory is full."""
_OBJECT_PATH = re.compile(r"^/?(\d{1,5})(?:/(\d{1,5}))?$")


@dataclass
class Registration:
    """One registered device. Times are bench seconds; `objects` maps object ID to its instances.

    `lifetime` is seconds, 0 for ever; `parameters` is what the Register said, updates not included.
    `root` is the path that the device keeps its objects under, without slashes ("" for none).
    """

    endpoint: str
    location: str
    remote: Any
    lifetime: int
    version: str
    binding: str
    queue_mode: bool
    root: str
    formats: frozenset[int]
    objects: dict[int, set[int]]
    object_versions: dict[int, str]
    parameters: parameters.Parameters
    registered_at: float
    updated_at: float
    refused_formats: set[int] = field(default_factory=set)
    """Content formats that it lists, or that were tried, and does not speak after all."""
    expiry: asyncio.TimerHandle | None = field(default=None, repr=False)


class Directory(Resource, PathCapable):
    """Who is registered. `changed(registration, event)` hears "registered", "updated", "gone", "expired",
    "displaced".

    It hears "replaced" of the old registration when its endpoint registers anew, before "registered".
    `moved(registration, old_remote)` hears, before "updated", that a device speaks from another address.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now: Callable[[], float],
        changed: Callable[[Registration, str], None],
        moved: Callable[[Registration, Any], None] = lambda registration, old: None,
        allowed: Callable[[Identity | None, str], bool] = lambda identity, endpoint: True,
        rng: random.Random | None = None,
    ) -> None:
        super().__init__()
        self._block1 = RepeatableSpool()
        self._loop = loop
        self._now = now
        self._changed = changed
        self._moved = moved
        self._allowed = allowed
        self.held: dict[str, asyncio.Event] = {}
        """Endpoint -> what the answer to its Register waits for."""
        self.shut_out: set[str] = set()
        """Endpoints whose Register is refused, with 4.03."""
        self._rng = rng or random.SystemRandom()
        self.awaited: frozenset[str] = frozenset()
        """Endpoints for which there is always room."""
        self.refused: dict[str, str] = {}
        """Endpoint -> code and reason of its last Register that was refused; only of some."""
        self.by_endpoint: dict[str, Registration] = {}
        self.by_location: dict[str, Registration] = {}

    async def render_post(self, request: Message) -> Message:
        path = request.opt.uri_path
        if not path:
            try:
                registered = self._register(request)
            except error.RenderableError as refusal:
                self._note_refusal(request, refusal)
                raise
            await self._released(request)
            return registered
        registration = self._at(path)
        self._check_identity(request.remote, registration.endpoint)
        return self._update(registration, request)

    async def _released(self, request: Message) -> None:
        """Wait while the answer is held back."""
        gate = self.held.get(parameters.query_of(request).get("ep") or "")
        if gate is not None:
            await gate.wait()

    def _note_refusal(self, request: Message, refusal: error.RenderableError) -> None:
        endpoint = parameters.query_of(request).get("ep") or parameters.proved_name(request.remote)
        if not endpoint or len(endpoint) > parameters.MAX_ENDPOINT:
            return
        self.refused.pop(endpoint, None)
        code = getattr(refusal, "code", None)
        self.refused[endpoint] = f"{code.dotted if code is not None else '5.00'} ({refusal})"
        if len(self.refused) > MAX_REFUSALS:
            del self.refused[next(iter(self.refused))]

    def _check_identity(self, remote: Any, endpoint: str) -> None:
        """Raise 4.03 when whoever speaks has no right to be this endpoint."""
        if not self._allowed(getattr(remote, "identity", None), endpoint):
            raise error.Forbidden("another identity is needed for this endpoint")

    async def render_delete(self, request: Message) -> Message:
        registration = self._at(request.opt.uri_path)
        self._check_identity(request.remote, registration.endpoint)
        self._drop(registration, "gone")
        return Message(code=DELETED)

    def _at(self, path: tuple[str, ...]) -> Registration:
        registration = self.by_location.get(path[0]) if len(path) == 1 else None
        if registration is None:
            raise error.NotFound
        return registration

    def _register(self, request: Message) -> Message:
        said = parameters.registered(request)
        self._check_identity(request.remote, said.endpoint)
        if said.endpoint in self.shut_out:
            raise error.Forbidden("registrations of this endpoint are refused for a while")
        held = _objects(request)
        old = self.by_endpoint.get(said.endpoint)
        if old is not None:
            self._drop(old, "replaced")
        elif len(self.by_endpoint) >= MAX_REGISTRATIONS and not self._make_room(said.endpoint):
            return Message(code=SERVICE_UNAVAILABLE, max_age=FULL_RETRY)
        registration = Registration(
            endpoint=said.endpoint,
            location=self._free_location(),
            remote=request.remote,
            lifetime=said.lifetime,
            version=said.version,
            binding=said.binding,
            queue_mode=said.queue_mode,
            root=held.root,
            formats=held.formats,
            objects=held.instances,
            object_versions=held.versions,
            parameters=said,
            registered_at=self._now(),
            updated_at=self._now(),
        )
        self.refused.pop(said.endpoint, None)
        self.by_endpoint[said.endpoint] = registration
        self.by_location[registration.location] = registration
        self._arm(registration)
        self._changed(registration, "registered")
        return Message(code=CREATED, location_path=("rd", registration.location))

    def _make_room(self, endpoint: str) -> bool:
        """For a device that the bench awaits, the one heard least lately of those that it does not."""
        others = [r for r in self.by_endpoint.values() if r.endpoint not in self.awaited]
        if endpoint not in self.awaited or not others:
            return False
        self._drop(min(others, key=lambda registration: registration.updated_at), "displaced")
        return True

    def _free_location(self) -> str:
        """Who has no session proves by it alone that the registration is his: nobody may guess it."""
        while True:
            location = self._rng.randbytes(LOCATION_LENGTH).hex()
            if location not in self.by_location:
                return location

    def _update(self, registration: Registration, request: Message) -> Message:
        query = parameters.query_of(request)
        lifetime = parameters.lifetime(query, registration.version, registration.lifetime)
        binding = parameters.binding_of(query, registration.binding)
        held = _objects(request) if request.payload else None
        # nothing is changed by a request that is refused
        registration.lifetime, registration.binding = lifetime, binding
        if "b" in query or "Q" in query:
            registration.queue_mode = parameters.is_queue_mode(query, binding)
        if held is not None:
            registration.objects, registration.object_versions = held.instances, held.versions
            registration.root, registration.formats = held.root, held.formats or registration.formats
        old, registration.remote = registration.remote, request.remote
        registration.updated_at = self._now()
        self._arm(registration)
        if old != request.remote:
            self._moved(registration, old)
        self._changed(registration, "updated")
        return Message(code=CHANGED)

    def _arm(self, registration: Registration) -> None:
        if registration.expiry is not None:
            registration.expiry.cancel()
            registration.expiry = None
        if registration.lifetime:
            registration.expiry = self._loop.call_later(
                registration.lifetime + EXPIRY_MARGIN, self._drop, registration, "expired"
            )

    def _drop(self, registration: Registration, event: str) -> None:
        self._forget(registration)
        self._changed(registration, event)

    def expire(self, registration: Registration) -> None:
        """End a registration as if its lifetime were over."""
        self._drop(registration, "expired")

    def _forget(self, registration: Registration) -> None:
        if registration.expiry is not None:
            registration.expiry.cancel()
        self.by_location.pop(registration.location, None)
        if self.by_endpoint.get(registration.endpoint) is registration:
            del self.by_endpoint[registration.endpoint]

    def close(self) -> None:
        for registration in tuple(self.by_location.values()):
            self._forget(registration)


@dataclass(frozen=True)
class _Objects:
    """What a registration's link list says. `root` is the alternate path, "" for none."""

    root: str
    formats: frozenset[int]
    instances: dict[int, set[int]]
    versions: dict[int, str]


def _objects(request: Message) -> _Objects:
    content_format = request.opt.content_format
    if content_format is not None and int(content_format) != LINK_FORMAT:
        raise error.UnsupportedContentFormat
    try:
        links = link_format.decode(request.payload)
    except CodecError as reason:
        raise error.BadRequest(str(reason)) from None
    instances: dict[int, set[int]] = {}
    versions: dict[int, str] = {}
    root, formats = "", frozenset[int]()
    for link in links:
        if link.attributes.get("rt") == "oma.lwm2m" or link.target == "/":
            root = link.target.strip("/")
            listed = (link.attributes.get("ct") or "").split()
            formats = frozenset(int(ct) for ct in listed if ct.isascii() and ct.isdigit() and len(ct) < 6)
    for link in links:
        target = link.target.removeprefix("/" + root) if root else link.target
        match = _OBJECT_PATH.match(target)
        if match is None:
            continue  # links of other applications are none of ours
        number = int(match[1])
        held = instances.setdefault(number, set())
        if match[2] is not None:
            held.add(int(match[2]))
        version = link.attributes.get("ver")
        if version is not None:
            versions[number] = version
    return _Objects(root, formats, instances, versions)
