"""What a client says of itself when it registers (OMA LwM2M 1.0-1.2 Core, section 6.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from aiocoap import Message, error

from bench.lwm2m.identity import Identity

DEFAULT_LIFETIME = 86400
MAX_LIFETIME = 2**31 - 1
MAX_ENDPOINT = 255
"""Bytes of UTF-8."""
VERSIONS = ("1.0", "1.1", "1.2")

Query = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query of a Register; what is unknown here is ignored. `lifetime` 0 has no end (since 1.1).

    `sms` is the telephone number, `profile` the 1.2 profile ID ("pid"); None where not given.
    """

    endpoint: str
    version: str
    lifetime: int
    binding: str
    queue_mode: bool
    sms: str | None
    profile: str | None


def query_of(request: Message) -> Query:
    query: Query = {}
    for item in request.opt.uri_query:
        name, equals, value = item.partition("=")
        query[name] = value if equals else None
    return query


def registered(request: Message) -> Parameters:
    """Raises the CoAP error that the request deserves."""
    query = query_of(request)
    version = query.get("lwm2m") or "1.0"
    if version not in VERSIONS:
        raise error.PreconditionFailed(f"lwm2m={version[:20]} is not one of {', '.join(VERSIONS)}")
    binding = binding_of(query, "U")
    return Parameters(
        endpoint=_endpoint(query, version, request.remote),
        version=version,
        lifetime=lifetime(query, version, DEFAULT_LIFETIME),
        binding=binding,
        queue_mode=is_queue_mode(query, binding),
        sms=query.get("sms"),
        profile=query.get("pid"),
    )


def _endpoint(query: Query, version: str, remote: Any) -> str:
    endpoint = query.get("ep")
    if not endpoint and "ep" not in query and version != "1.0":
        # since 1.1 the identity of a secure session may stand for it
        endpoint = proved_name(remote)
    if not endpoint:
        raise error.BadRequest("ep is missing")
    if len(endpoint.encode()) > MAX_ENDPOINT or not endpoint.isprintable():
        raise error.BadRequest("ep is no endpoint name")
    return endpoint


def proved_name(remote: Any) -> str | None:
    """What a session's far end has proved to be called; None where nothing was proved."""
    identity: Identity | None = getattr(remote, "identity", None)
    return None if identity is None else identity.name


def lifetime(query: Query, version: str, default: int) -> int:
    """Seconds. Raises `BadRequest` for what is none."""
    text = query.get("lt")
    if text is None:
        return default
    least = 1 if version == "1.0" else 0
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= MAX_LIFETIME):
        raise error.BadRequest(f"lt={text[:20]} is no lifetime")
    return int(text)


def binding_of(query: Query, default: str) -> str:
    given = query.get("b")
    if not given:
        return default
    if len(given) > 8 or not (given.isascii() and given.isalpha()):
        raise error.BadRequest(f"b={given[:20]} is no binding")
    return given.upper()


def is_queue_mode(query: Query, binding: str) -> bool:
    """Part of the binding in 1.0 ("UQ"), a parameter of its own since 1.1 ("Q")."""
    return "Q" in query or "Q" in binding
