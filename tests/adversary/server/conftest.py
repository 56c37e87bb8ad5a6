"""Attackers of the server: the raw peers of tests/lwm2m, and a server that knows identities."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dtls_peer import SecureDevice
from server_rig import clock, connect, device, faults, peer, server, timeline

from bench.clock import Clock
from bench.lwm2m.dtls.credentials import Credentials
from bench.lwm2m.server import LwM2mServer
from bench.timeline import Timeline

__all__ = ["clock", "connect", "device", "faults", "peer", "server", "timeline"]

KEY = bytes.fromhex("000102030405060708090a0b0c0d0e0f")


@pytest.fixture
def guarded(clock: Clock, timeline: Timeline, faults: list[Any]) -> Iterator[LwM2mServer]:
    """A server for "dev" (as id-a) and "other" (as id-b); id-c has a key, and is listed for no endpoint."""
    credentials = Credentials()
    credentials.add_psk("id-a", KEY, "dev")
    credentials.add_psk("id-b", KEY[::-1], "other")
    credentials.add_psk("id-c", KEY[:8])
    credentials.add_certificate("by-certificate", "certified")
    made = LwM2mServer(clock, timeline, seed=1, credentials=credentials)
    made.start()
    yield made
    made.close()


@pytest.fixture
def secure(clock: Clock, guarded: LwM2mServer) -> Iterator[Callable[..., SecureDevice]]:
    made: list[SecureDevice] = []

    def make(identity: str = "id-a", key: bytes = KEY, endpoint: str = "dev", **how: Any) -> SecureDevice:
        made.append(SecureDevice(clock, guarded.secure_uri, identity, key, endpoint, **how))
        return made[-1]

    yield make
    for one in made:
        one.close()
