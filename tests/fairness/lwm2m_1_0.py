"""A pytest plugin: virtual devices of LwM2M 1.0, which know TLV, text and opaque alone."""

from __future__ import annotations

from bench.virtual.firmware import data_model as model
from bench.virtual.firmware.client import Client
from bench.virtual.firmware.data_model import Path
from bench.virtual.firmware.update.machine import Stack

payload_of, links = Client._payload_of, Client._links


def without_senml(self: Client, path: Path, accept: int | None = None) -> tuple[int, bytes]:
    if accept == model.SENML_CBOR:
        raise NotImplementedError(accept)
    return payload_of(self, path, accept)


def unlisted(self: Client) -> str:
    return links(self).split(",", 1)[1]


Stack.__init__.__defaults__ = ("1.0", *(Stack.__init__.__defaults__ or ())[1:])  # type: ignore[misc]
Client._payload_of = without_senml  # type: ignore[method-assign]
Client._links = unlisted  # type: ignore[method-assign]
