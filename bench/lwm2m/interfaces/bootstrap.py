"""The bootstrap server: tells a client which LwM2M servers to register at (OMA LwM2M 1.1 Core, 6.1).

Client-initiated: the client asks with POST /bs; what it holds is deleted, Security and Server
instances are written, and Bootstrap-Finish ends it. A client that refuses any of it is not finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from aiocoap import CHANGED, DELETE, GET, POST, PUT, Context, Message, error
from aiocoap.resource import Resource

from bench.lwm2m.coap.assembly import RepeatableSpool
from bench.lwm2m.coap.layers import DeviceRestarted
from bench.lwm2m.coap.tuning import RequestTuning
from bench.lwm2m.codecs import link_format
from bench.lwm2m.codecs.error import CodecError
from bench.lwm2m.codecs.names import path_of
from bench.lwm2m.codecs.shapes import flat
from bench.lwm2m.codecs.values import Single
from bench.lwm2m.identity import Identity
from bench.lwm2m.interfaces import parameters
from bench.lwm2m.model import content
from bench.timeline import Timeline

FORMATS = (content.TLV, content.SENML_CBOR, content.SENML_JSON, content.LWM2M_CBOR, content.JSON)
"""Content formats that accounts can be written in, the default first."""
STEP_LIMIT = 300.0
"""Bench seconds for one request, its retransmissions and a separate response included."""


class Security(IntEnum):
    """Security Mode, resource 2 of object 0."""

    PSK = 0
    RAW_PUBLIC_KEY = 1
    CERTIFICATE = 2
    NO_SEC = 3


@dataclass(frozen=True)
class Account:
    """One server for the client: an instance of object 0 and one of object 1.

    `identity` is the PSK identity or the client's certificate (DER), `key` the PSK or the client's
    private key (DER), `server_key` the server's certificate or public key. `lifetime` is seconds.
    """

    uri: str
    security: Security = Security.NO_SEC
    identity: bytes = b""
    key: bytes = field(default=b"", repr=False)
    server_key: bytes = b""
    short_id: int = 1
    lifetime: int = 300
    binding: str = "U"
    storing: bool = True


@dataclass(frozen=True)
class Plan:
    """What a client gets. `delete` are the paths deleted first; "/" keeps the bootstrap account only.

    `discover` asks which instances are left before new ones are numbered; without it, or when the
    client refuses to say, instance 0 of object 0 is taken to be the bootstrap account.
    """

    accounts: tuple[Account, ...]
    delete: tuple[str, ...] = ("/",)
    discover: bool = False


@dataclass
class Bootstrapped:
    """How a bootstrap went: each request with the code it was answered; `reason` when it did not finish."""

    endpoint: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    finished: bool = False
    reason: str = ""


class _Refused(Exception):
    """The client's answer, or silence, that ends a bootstrap."""


class BootstrapServer(Resource):
    """`/bs`. Clients without a plan are answered 4.00, as the interface has it for unknown names.

    `ended(outcome)` hears of each bootstrap that was begun, however it ended.
    """

    def __init__(
        self,
        timeline: Timeline,
        ended: Callable[[Bootstrapped], None] = lambda outcome: None,
        allowed: Callable[[Identity | None, str], bool] = lambda identity, endpoint: True,
        refused: Callable[[str], None] = lambda text: None,
    ) -> None:
        super().__init__()
        self._block1 = RepeatableSpool()
        self._timeline = timeline
        self._ended = ended
        self._allowed = allowed
        self._refused = refused
        self._running: dict[str, asyncio.Task[None]] = {}
        self.context: Context | None = None
        """Where requests to clients go out; set before the first client asks."""
        self.begun: Callable[[Any], None] = lambda remote: None
        """Hears the address of a client that asks: it has restarted, and awaits nothing of before."""
        self.plans: dict[str, Plan] = {}
        self.outcomes: dict[str, Bootstrapped] = {}
        """The latest of each client."""

    async def render_post(self, request: Message) -> Message:
        query = parameters.query_of(request)
        endpoint = query.get("ep") or parameters.proved_name(request.remote) or ""
        plan = self.plans.get(endpoint)
        if not self._allowed(getattr(request.remote, "identity", None), endpoint):
            plan = None  # an account holds keys; who may not be this endpoint does not even learn of it
        if plan is None:
            self._refused(f"refused: no plan for {endpoint[:80]!r}")
            raise error.BadRequest("unknown endpoint client name")
        content_format = _preferred(query)
        before = self._running.pop(endpoint, None)
        if before is not None:
            before.cancel()  # the client has begun anew
        self.begun(request.remote)
        outcome = self.outcomes[endpoint] = Bootstrapped(endpoint)
        task = asyncio.get_running_loop().create_task(
            self._bootstrap(plan, outcome, request.remote, content_format)
        )
        self._running[endpoint] = task
        task.add_done_callback(lambda done: self._forget(endpoint, done))
        return Message(code=CHANGED)

    def _forget(self, endpoint: str, task: asyncio.Task[None]) -> None:
        if self._running.get(endpoint) is task:
            del self._running[endpoint]

    def close(self) -> None:
        """Leave all clients as they are."""
        for task in self._running.values():
            task.cancel()
        self._running.clear()

    # ---- one bootstrap

    async def _bootstrap(self, plan: Plan, outcome: Bootstrapped, remote: Any, content_format: int) -> None:
        try:
            for path in plan.delete:
                await self._step(outcome, remote, DELETE, path, allowed=("4.04",))
            held = await self._discover(outcome, remote) if plan.discover else {}
            security = _free(held.get(0, {0}), len(plan.accounts))
            servers = _free(held.get(1, set()), len(plan.accounts))
            for account, at in zip(plan.accounts, security, strict=True):
                await self._write(outcome, remote, content_format, f"/0/{at}", _security(account))
            for account, at in zip(plan.accounts, servers, strict=True):
                await self._write(outcome, remote, content_format, f"/1/{at}", _server(account))
            await self._finish(outcome, remote)
            outcome.finished = True
        except _Refused as reason:
            outcome.reason = str(reason)
        except asyncio.CancelledError:
            outcome.reason = "the client asked anew, or the server was stopped"
            raise
        finally:
            how = "finished" if outcome.finished else f"not finished: {outcome.reason}"
            self._timeline.record(outcome.endpoint, "bootstrap", how)
            self._ended(outcome)

    async def _finish(self, outcome: Bootstrapped, remote: Any) -> None:
        try:
            await self._step(outcome, remote, POST, "/bs")
        except _Refused as silence:
            if not isinstance(silence.__cause__, DeviceRestarted):
                raise
            # it registers: its answer was lost, or is late
            outcome.steps[-1] = (outcome.steps[-1][0], "registered")

    async def _discover(self, outcome: Bootstrapped, remote: Any) -> dict[int, set[int]]:
        """The instances that the client holds, by object; nothing where it does not say."""
        response = await self._step(
            outcome, remote, GET, "/", allowed=("4.04", "4.05", "4.00"), accept=content.LINKS
        )
        held: dict[int, set[int]] = {}
        if not response.code.is_successful():
            return held
        try:
            links = link_format.decode(response.payload)
        except CodecError as reason:
            raise _Refused(f"the answer to Discover / cannot be read: {reason}") from None
        for link in links:
            parts = link.target.strip("/").split("/")
            if len(parts) == 2 and all(part.isascii() and part.isdigit() for part in parts):
                held.setdefault(int(parts[0]), set()).add(int(parts[1]))
        held.setdefault(0, set())
        return held

    async def _write(
        self, outcome: Bootstrapped, remote: Any, content_format: int, path: str, values: dict[int, Single]
    ) -> None:
        base = path_of(path)
        try:
            payload = content.encode(content_format, base, flat(base, values))
        except CodecError as reason:
            raise _Refused(f"the account for {path} cannot be told: {reason}") from None
        exponent = remote.maximum_block_size_exp
        size = 16 << exponent
        for start in range(0, len(payload), size):
            options: dict[str, Any] = {"content_format": content_format}
            more = start + size < len(payload)
            if len(payload) > size:  # a certificate
                options["block1"] = (start // size, more, exponent)
                options["size1"] = len(payload)
            part = payload[start : start + size]
            await self._step(outcome, remote, PUT, path, part, secret=True, more=more, **options)

    async def _step(
        self,
        outcome: Bootstrapped,
        remote: Any,
        code: Any,
        path: str,
        payload: bytes = b"",
        *,
        allowed: tuple[str, ...] = (),
        secret: bool = False,
        more: bool = False,
        **options: Any,
    ) -> Message:
        """One request of the bootstrap. Raises `_Refused` for any error but those `allowed`."""
        assert self.context is not None
        parts = tuple(part for part in path.split("/") if part)
        message = Message(
            code=code, uri_path=parts, payload=payload, transport_tuning=RequestTuning(), **options
        )
        message.remote, message.secret = remote, secret
        what = f"{code.name} {path}"
        request = self.context.request(message, handle_blockwise=False)
        try:
            response = await asyncio.wait_for(request.response, STEP_LIMIT)
        except (error.Error, TimeoutError) as failure:
            outcome.steps.append((what, "no answer"))
            raise _Refused(f"no answer to {what}: {failure or type(failure).__name__}") from failure
        answer = response.code.dotted
        outcome.steps.append((what, answer))
        if more and answer != "2.31":
            raise _Refused(f"{what} was answered {answer} before its last block")
        if not response.code.is_successful() and answer not in allowed:
            raise _Refused(f"{what} was answered {answer}")
        return response


def _preferred(query: parameters.Query) -> int:
    """The client's preferred content format (pct, since 1.1)."""
    text = query.get("pct")
    if text is None:
        return FORMATS[0]
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) in FORMATS:
        return int(text)
    raise error.UnsupportedContentFormat(f"pct={text[:20]} is not one of {', '.join(map(str, FORMATS))}")


def _free(held: set[int], count: int) -> list[int]:
    """The lowest instance IDs that are not held."""
    return [number for number in range(len(held) + count + max(held, default=0) + 1) if number not in held][
        :count
    ]


def _security(account: Account) -> dict[int, Single]:
    """An instance of object 0 (resources 0-5, 10); the keys are mandatory there, if only empty."""
    return {
        0: account.uri,
        1: False,
        2: int(account.security),
        3: account.identity,
        4: account.server_key,
        5: account.key,
        10: account.short_id,
    }


def _server(account: Account) -> dict[int, Single]:
    """An instance of object 1."""
    return {0: account.short_id, 1: account.lifetime, 6: account.storing, 7: account.binding}
