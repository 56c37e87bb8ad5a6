"""Host and port, and what they are called elsewhere."""

from __future__ import annotations

Address = tuple[str, int]

_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def reachable(address: Address) -> Address:
    """Where something on this PC reaches what listens at `address`, which may be "everywhere"."""
    host, port = address
    return _LOOPBACK.get(host, host), port


def coap_uri(address: Address, secure: bool = False) -> str:
    """ "coap://HOST:PORT", or "coaps://"; an IPv6 address in brackets."""
    host, port = address
    scheme = "coaps" if secure else "coap"
    return f"{scheme}://{in_uri(host)}:{port}"


def in_uri(host: str) -> str:
    """A host as it stands in a URI: an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]" if ":" in host else host
